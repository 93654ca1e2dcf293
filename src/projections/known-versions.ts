/**
 * Owns: the version each quota hash was last seen or left at, as far as this process knows.
 * Does not own: the truth: the project script compares with the hash itself, so a wrong memory only costs a second try.
 * Invariants: bounded; forgetting is always safe.
 */

/** About 100 bytes each. */
const KNOWN_MAX = 100_000;

/** Remembers versions by tenant. */
export class KnownVersions {
  readonly #versions = new Map<string, number>();

  /** The version last known; undefined when it must be read. */
  get(tenantId: string): number | undefined {
    return this.#versions.get(tenantId);
  }

  /** Remembers a version. */
  set(tenantId: string, version: number): void {
    if (this.#versions.size >= KNOWN_MAX && !this.#versions.has(tenantId)) this.#versions.clear();
    this.#versions.set(tenantId, version);
  }

  /** Forgets tenants whose hash turned out to be elsewhere. */
  forget(tenantIds: readonly string[]): void {
    for (const tenantId of tenantIds) this.#versions.delete(tenantId);
  }
}
