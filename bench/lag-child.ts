/**
 * Owns: a consumer with its projector that records when each chunk was committed and when the last of its tenants was
 * projected; the result is one line of JSON on stdout once as many messages as asked for are charged and projected.
 */
import type { ChunkOutcome } from '../src/consumers/charge-protocol.js';
import { startLedgerProcess } from '../src/cli/ledger-process.js';
import type { ProjectedVersion } from '../src/projections/projector.js';
import { loadConfig } from '../src/runtime/config.js';
import { createLogger } from '../src/runtime/logger.js';

/** One committed chunk; times in milliseconds since the Unix epoch. */
export interface ChunkTimes {
  readonly topic: string;
  readonly partition: number;
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly committedAtMs: number;
  projectedAtMs: number;
}

interface Waiting {
  readonly seq: number;
  readonly chunk: OpenChunk;
}

interface OpenChunk {
  readonly times: ChunkTimes;
  tenantsLeft: number;
}

/** Follows chunks from their commit to the projection of their last tenant. */
class ChunkWatch {
  readonly chunks: ChunkTimes[] = [];
  messages = 0;
  #open = 0;
  readonly #waiting = new Map<string, Waiting[]>();

  get isAtRest(): boolean {
    return this.#open === 0;
  }

  committed(outcome: ChunkOutcome): void {
    if (outcome.kind !== 'charged') return;
    const { source, firstOffset, nextOffset } = outcome.batch;
    const nowMs = Date.now();
    const times: ChunkTimes = {
      ...source,
      firstOffset: Number(firstOffset),
      nextOffset: Number(nextOffset),
      committedAtMs: nowMs,
      projectedAtMs: nowMs,
    };
    this.chunks.push(times);
    this.messages += times.nextOffset - times.firstOffset;
    const chunk = { times, tenantsLeft: outcome.advances.length };
    if (chunk.tenantsLeft > 0) this.#open += 1;
    for (const { account } of outcome.advances) {
      const waiting = this.#waiting.get(account.tenantId) ?? [];
      this.#waiting.set(account.tenantId, [...waiting, { seq: account.seq, chunk }]);
    }
  }

  projected(versions: readonly ProjectedVersion[]): void {
    const nowMs = Date.now();
    for (const { tenantId, version } of versions) {
      const waiting = this.#waiting.get(tenantId);
      if (waiting === undefined) continue;
      for (const { seq, chunk } of waiting) if (seq <= version) this.#close(chunk, nowMs);
      const left = waiting.filter(({ seq }) => seq > version);
      if (left.length > 0) this.#waiting.set(tenantId, left);
      else this.#waiting.delete(tenantId);
    }
  }

  #close(chunk: OpenChunk, nowMs: number): void {
    chunk.tenantsLeft -= 1;
    if (chunk.tenantsLeft > 0) return;
    chunk.times.projectedAtMs = nowMs;
    this.#open -= 1;
  }
}

async function watch(): Promise<ChunkTimes[]> {
  const wanted = Number(process.env['BENCH_MESSAGES']);
  const chunkWatch = new ChunkWatch();
  const end: { done: () => void; fail: (error: Error) => void } = { done: () => undefined, fail: () => undefined };
  const ended = new Promise<void>((resolve, reject) => {
    [end.done, end.fail] = [resolve, reject];
  });
  const endWhenDone = (): void => {
    if (chunkWatch.messages >= wanted && chunkWatch.isAtRest) end.done();
  };
  const ledger = await startLedgerProcess({
    config: loadConfig(),
    logger: createLogger({ level: 'warn', name: 'bench' }),
    consumes: true,
    projects: true,
    sweepIntervalMs: 3_600_000,
    onChunk: (outcome) => {
      chunkWatch.committed(outcome);
      endWhenDone();
    },
    onProjected: (versions) => {
      chunkWatch.projected(versions);
      endWhenDone();
    },
    onFatal: (error) => end.fail(error),
  });
  await ended;
  await ledger.stop();
  return chunkWatch.chunks;
}

process.stdout.write(`${JSON.stringify(await watch())}\n`);
