/**
 * Owns: adding up what audits found: how many tenants, how many differences and how much money by field, how old.
 * Invariants: bounded: of the findings themselves only the first are kept, all of them are counted.
 */
import type { Difference, DriftField } from './audit-difference.js';
import type { TenantDrift } from './audit-drift.js';
import { joined, type TenantsAudit, type Waiting } from './audit-tenants.js';

/** The differences about one field. */
export interface FieldTally {
  readonly count: number;
  /** Σ |difference| in nano-units. */
  readonly amountNano: bigint;
}

/** What audits found. */
export interface AuditFigures {
  /** Tenants looked at. */
  readonly tenants: number;
  /** Tenants with a difference. */
  readonly drifting: number;
  readonly fields: ReadonlyMap<DriftField, FieldTally>;
  /** Σ |difference| of all fields in nano-units. */
  readonly amountNano: bigint;
  /** The longest that a difference can have been there, in milliseconds; null when there is none whose age is known. */
  readonly oldestMs: number | null;
  /** The first of the tenants with a difference. */
  readonly drifts: readonly TenantDrift[];
  readonly behind: Waiting;
  readonly unsettled: Waiting;
  /** Tenants that were projected anew at every look: not judged. */
  readonly restless: number;
}

const DRIFTS_KEPT_MAX = 100;
const NONE: Waiting = { count: 0, oldestMs: 0 };

/** Adds up audits. */
export class AuditTally {
  readonly #fields = new Map<DriftField, FieldTally>();
  readonly #drifts: TenantDrift[] = [];
  #tenants = 0;
  #drifting = 0;
  #oldestMs: number | null = null;
  #behind = NONE;
  #unsettled = NONE;
  #restless = 0;

  /** Adds what a look at some tenants found. */
  add(audit: TenantsAudit): void {
    this.#tenants += audit.looked;
    this.#behind = joined(this.#behind, audit.behind);
    this.#unsettled = joined(this.#unsettled, audit.unsettled);
    this.#restless += audit.restless.length;
    for (const drift of audit.drifts) this.addDrift(drift);
  }

  /** Adds a tenant with differences. */
  addDrift(drift: TenantDrift): void {
    this.#drifting += 1;
    if (this.#drifts.length < DRIFTS_KEPT_MAX) this.#drifts.push(drift);
    for (const difference of drift.differences) this.#addDifference(difference);
  }

  /** The figures as they are now. */
  figures(): AuditFigures {
    return {
      tenants: this.#tenants,
      drifting: this.#drifting,
      fields: new Map([...this.#fields].sort(([one], [other]) => (one < other ? -1 : 1))),
      amountNano: [...this.#fields.values()].reduce((sum, { amountNano }) => sum + amountNano, 0n),
      oldestMs: this.#oldestMs,
      drifts: [...this.#drifts],
      behind: this.#behind,
      unsettled: this.#unsettled,
      restless: this.#restless,
    };
  }

  #addDifference({ field, amountNano, ageMs }: Difference): void {
    const known = this.#fields.get(field) ?? { count: 0, amountNano: 0n };
    this.#fields.set(field, { count: known.count + 1, amountNano: known.amountNano + amountNano });
    if (ageMs !== null) this.#oldestMs = Math.max(this.#oldestMs ?? 0, ageMs);
  }
}
