/**
 * Owns: the port that each of the three servers implements, so that one life cycle drives them all.
 * Does not own: the life cycle (server-lifecycle.ts) or any server's own knowledge.
 */
import type { JavaParts } from './java-parts.js';
import type { Launch } from './server-process.js';
import type { ServerName, ServerRecord, StackState } from './stack-state.js';

/** Where one server lives: its folder, its ports, and what it may ask for. */
export interface ServerSite {
  readonly dir: string;
  readonly state: StackState;
  readonly record: ServerRecord;
  readonly logPath: string;
  readonly javaParts: JavaParts;
  readonly report: (line: string) => void;
}

/** What the life cycle must know of one server. */
export interface ServerRecipe {
  readonly name: ServerName;
  /** The signal that means "stop cleanly and soon" to this server. */
  readonly stopSignal: NodeJS.Signals;
  readonly stopDeadlineMs: number;
  readonly startDeadlineMs: number;
  /** Downloads, formats and configures what is missing. Idempotent. */
  readonly prepare: (site: ServerSite) => Promise<Launch>;
  /** Rejects unless the server really answers a request. */
  readonly probe: (site: ServerSite) => Promise<void>;
  /** Creates what clients expect to find, once the server answers. Idempotent. */
  readonly provision: (site: ServerSite) => Promise<void>;
}
