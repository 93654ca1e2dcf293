/** Owns: watching what a child process takes of memory, as its own /metrics tell it. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import type { ConsumeChild } from './consume-child.js';
import { waitUntil } from './wait-until.js';

/** The most that was seen, in MB of 10^6 bytes. */
export interface MemoryPeak {
  readonly residentMb: number;
  readonly heapMb: number;
}

/** A watch that is under way. */
export interface MemoryWatch {
  /** The most seen since the watch began, or since it was last asked. */
  take(): MemoryPeak;
  stop(): Promise<void>;
}

const SAMPLE_EVERY_MS = 25;
const START_MAX_MS = 60_000;
const FIGURES = { residentMb: 'process_resident_memory_bytes', heapMb: 'nodejs_heap_size_used_bytes' } as const;

/** Watches a child that was started with TOLLBOOK_METRICS_PORT=0, until it is stopped or the child ends. */
export async function watchMemory(child: ConsumeChild): Promise<MemoryWatch> {
  const port = (): string | undefined => /"metricsPort":(\d+)/.exec(child.log())?.[1];
  await waitUntil('the child serves its figures', () => port() !== undefined, START_MAX_MS).catch((error: unknown) =>
    expect.fail(`${String(error)}:\n${child.log()}`),
  );
  const url = `http://127.0.0.1:${String(port())}/metrics`;
  let peak: MemoryPeak = { residentMb: 0, heapMb: 0 };
  const over = new AbortController();
  void child.ended.then(() => over.abort());
  const watching = (async () => {
    while (!over.signal.aborted) {
      peak = higher(peak, await readFigures(url));
      await delay(SAMPLE_EVERY_MS);
    }
  })();
  return {
    take: () => {
      const taken = peak;
      peak = { residentMb: 0, heapMb: 0 };
      return taken;
    },
    stop: async () => {
      over.abort();
      await watching;
    },
  };
}

/** Figures of now; none when the child has just ended, which is for the caller to notice. */
async function readFigures(url: string): Promise<MemoryPeak> {
  const text = await fetch(url).then(
    (response) => response.text(),
    () => '',
  );
  const megabytes = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0) / 1e6;
  return { residentMb: megabytes(FIGURES.residentMb), heapMb: megabytes(FIGURES.heapMb) };
}

function higher(left: MemoryPeak, right: MemoryPeak): MemoryPeak {
  return {
    residentMb: Math.max(left.residentMb, right.residentMb),
    heapMb: Math.max(left.heapMb, right.heapMb),
  };
}
