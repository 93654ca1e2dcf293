/**
 * Owns: what /readyz of the consumers tells during a soak run, held against what their logs say afterwards.
 * Invariants: a partition that stood is in every answer of its process between its stop and its continuation; an answer
 * that does not come (the process is paused, starts or ends) tells nothing.
 */
import type { ConsumeChild } from '../support/consume-child.js';

interface Answer {
  readonly atMs: number;
  /** The partitions that it tells of, as `topic/partition`. */
  readonly blocked: ReadonlySet<string>;
}

interface Stand {
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
}

const POLL_MS = 400;
const ANSWER_MAX_MS = 1_000;
/** An answer so near to the stop or the continuation may have been made before it was told. */
const EDGE_MS = 700;

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
    return standsIn(child.log()).flatMap(({ name, fromMs, toMs }) => {
      const within = answers.filter(({ atMs }) => atMs > fromMs + EDGE_MS && atMs < toMs - EDGE_MS);
      const silent = within.filter(({ blocked }) => !blocked.has(name)).length;
      return silent === 0
        ? []
        : [`${name} stood for ${toMs - fromMs} ms, and ${silent} answers of /readyz did not tell`];
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
  for (const line of log.split('\n')) {
    if (!line.includes('partition continues')) continue;
    const { time, topic, partition, stoodS } = JSON.parse(line) as Readonly<Record<string, string | number>>;
    const toMs = typeof time === 'number' ? time : Date.parse(String(time));
    stands.push({ name: `${topic}/${partition}`, fromMs: toMs - Number(stoodS) * 1_000, toMs });
  }
  return stands;
}
