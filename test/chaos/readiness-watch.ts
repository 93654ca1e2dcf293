/**
 * Owns: what /readyz of the consumers tells during a soak run, held against what their logs say afterwards.
 * Invariants:
 * - A partition that stood is in every answer of its process from the moment its stop was known until it continued.
 * - A stop is known at once when charging fails, and after STALLED_AFTER_MS when a chunk only takes too long.
 * - An answer that does not come (the process is paused, starts or ends) tells nothing.
 */
import { STALLED_AFTER_MS } from '../../src/consumers/stopped-partitions.js';
import type { ConsumeChild } from '../support/consume-child.js';

interface Answer {
  readonly atMs: number;
  /** The partitions that it tells of, as `topic/partition`. */
  readonly blocked: ReadonlySet<string>;
}

interface Stand {
  readonly name: string;
  /** When what stopped it began. */
  readonly sinceMs: number;
  /** When the process knew of it, as its log says. */
  readonly knownMs: number;
  readonly toMs: number;
}

const POLL_MS = 400;
const ANSWER_MAX_MS = 1_000;
/** An answer so near to the stop or the continuation may have been made before it was told. */
const EDGE_MS = 700;
/** Less than a second: what a process answers on waking, before it has looked at its own clock. */
const SILENT_MAX = 2;
/** A stop and the line that tells of it are not of one millisecond. */
const SAME_MOMENT_MS = 20;

/** Asks the consumers at some ports. */
export class ReadinessWatch {
  readonly #answers = new Map<number, Answer[]>();
  readonly #timer: NodeJS.Timeout;

  constructor(readonly ports: readonly number[]) {
    this.#timer = setInterval(() => void Promise.all(ports.map((port) => this.#ask(port))), POLL_MS);
  }

  /** Stops asking. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** The partitions that are stopped now, whichever process tells so. */
  async blockedNow(): Promise<string[]> {
    const answers = await Promise.all(this.ports.map((port) => this.#ask(port)));
    return answers.flatMap((answer) => [...(answer?.blocked ?? [])]);
  }

  /** Stands of a process that an answer of it has kept silent about; each once. */
  unseen({ port, child }: { readonly port: number; readonly child: ConsumeChild }): string[] {
    const answers = this.#answers.get(port) ?? [];
    return standsIn(child.log()).flatMap(({ name, sinceMs, knownMs, toMs }) => {
      // A process that is paused, or busy, gives no answer; one that answers knows of a stall in time.
      const tellsFromMs = Math.min(knownMs, sinceMs + STALLED_AFTER_MS) + EDGE_MS;
      const within = answers.filter(({ atMs }) => atMs > tellsFromMs && atMs < toMs - EDGE_MS);
      const silent = within.filter(({ blocked }) => !blocked.has(name)).length;
      if (silent <= SILENT_MAX) return [];
      return [`${name} stood for ${toMs - sinceMs} ms, and ${silent} answers of /readyz did not tell`];
    });
  }

  async #ask(port: number): Promise<Answer | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(ANSWER_MAX_MS) });
      const document = (await response.json()) as { blocked: readonly { topic: string; partition: number }[] };
      const blocked = new Set(document.blocked.map(({ topic, partition }) => `${topic}/${partition}`));
      const answer = { atMs: Date.now(), blocked };
      const known = this.#answers.get(port);
      if (known === undefined) this.#answers.set(port, [answer]);
      else known.push(answer);
      return answer;
    } catch {
      return undefined; // no process listens there now, or it is paused: nothing is told
    }
  }
}

/** What a log says of partitions that stood and continued. */
function standsIn(log: string): Stand[] {
  const stands: Stand[] = [];
  const warnings = new Map<string, number[]>();
  for (const line of log.split('\n')) {
    const stops = line.includes('"partition stopped: ');
    if (!stops && !line.includes('"partition continues"')) continue;
    const { time, topic, partition, stoodS } = JSON.parse(line) as Readonly<Record<string, string | number>>;
    const atMs = typeof time === 'number' ? time : Date.parse(String(time));
    const name = `${topic}/${partition}`;
    if (stops) {
      warnings.set(name, [...(warnings.get(name) ?? []), atMs]);
      continue;
    }
    const sinceMs = atMs - Number(stoodS) * 1_000;
    const knownMs = warnings.get(name)?.find((warnedMs) => warnedMs >= sinceMs - SAME_MOMENT_MS) ?? sinceMs;
    stands.push({ name, sinceMs, knownMs, toMs: atMs });
  }
  return stands;
}
