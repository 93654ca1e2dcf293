/**
 * Owns: a reconciliation from its request to its result: freeze the ranges, walk both sides window by window, judge, and
 * look at the producers' numbers.
 * Does not own: any judgement; the report (report.ts); repairs.
 * Order: one window is judged while the next is read. A run that is interrupted goes on from its file with the ranges it
 * had frozen, and comes to the same digests.
 * Invariants: reads only, with no consumer group; memory is bounded by two windows, whatever the size of either side.
 */
import type pg from 'pg';
import { PostgresLedgerReader } from '../../ledger/postgres/postgres-ledger-reader.js';
import type { Clock } from '../../runtime/clock.js';
import { fetchBytesFor, type TopicReader } from '../topic/topic-reader.js';
import { type KeptRun, readCheckpoint, removeCheckpoint, type RunIdentity, writeCheckpoint } from './checkpoint.js';
import { freezeRanges, type RangeRequest, sourceName } from './frozen-ranges.js';
import { lostOffsets } from './findings.js';
import { judgeWindow, noteStrayLeft, type WindowJudgePorts } from './judge-window.js';
import type { JudgeSettings } from './judgement.js';
import { readAcceptedGaps, readChargedStarts, spanOfRanges } from './ledger-batches.js';
import { judgeNumbers, noteNumber, numberBounds, type ProducerVerdict } from './producer-gaps.js';
import { ProducerNumbers } from './producer-numbers.js';
import { findingsOf, newRun, noteFinding, noteTaken, type RunState } from './run-state.js';
import { lookUp } from './window-knowledge.js';
import { WindowLoader } from './window-loader.js';

/** What a reconciliation works with. */
export interface ReconcilePorts {
  readonly pool: pg.Pool;
  readonly reader: TopicReader;
  readonly settings: JudgeSettings;
  readonly clock: Clock;
}

/** A run, and who hears of it. */
export interface ReconcileOrder {
  readonly request: RangeRequest;
  /** Whether the topics of the request are all that gateways publish to. */
  readonly coversAllTopics: boolean;
  /** The file to keep the run in, and to go on from if it exists. */
  readonly resumeFile?: string | undefined;
  /** How often the run is kept, in milliseconds; default 5 seconds. The first window is always kept. */
  readonly keepEveryMs?: number;
  /** Hears how many offsets of how many have been compared. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What a run came to. */
export interface ReconcileResult {
  readonly clusterId: string;
  readonly request: RangeRequest;
  readonly state: RunState;
  readonly producers: ProducerVerdict;
  readonly finishedAt: string;
  readonly verdict: 'equal' | 'different' | 'incomplete';
}

const KEEP_EVERY_MS = 5_000;

/**
 * Runs a reconciliation.
 * Throws USAGE_INVALID, CLUSTER_MISMATCH, CURSOR_AHEAD_OF_LOG, FILE_UNREADABLE, KAFKA_UNAVAILABLE, POSTGRES_*.
 */
export async function reconcile(ports: ReconcilePorts, order: ReconcileOrder): Promise<ReconcileResult> {
  const { reader, clock } = ports;
  const { request, resumeFile } = order;
  const identity: RunIdentity = { clusterId: reader.clusterId, request: requestText(request) };
  const kept = resumeFile === undefined ? undefined : await readCheckpoint(resumeFile, identity);
  const run = kept ?? (await begin(ports, order));
  await walk(ports, order, { run, identity });
  noteStrayLeft(run.state);
  noteLost(run.state);
  const producers = await judgeNumbers(ports, run.state, run);
  if (resumeFile !== undefined) await removeCheckpoint(resumeFile);
  const finishedAt = new Date(clock.nowMs()).toISOString();
  return {
    ...{ clusterId: reader.clusterId, request, producers, finishedAt },
    state: run.state,
    verdict: verdictOf(run.state, request),
  };
}

/** A request in one line, in which equal requests are equal. */
export function requestText(request: RangeRequest): string {
  const { topics, partitions, fromOffset, toOffset, sinceMs, untilMs } = request;
  const bounds = { partitions, fromOffset, toOffset, sinceMs, untilMs };
  const given = Object.entries(bounds).filter(([, value]) => value !== undefined);
  const words = given.map(([name, value]) => `${name} ${String(value)}`);
  return [topics.map(({ topic, kind }) => `${topic} (${kind})`).join(' and '), ...words].join(', ');
}

async function begin({ pool, reader, clock }: ReconcilePorts, order: ReconcileOrder): Promise<KeptRun> {
  const startedAt = new Date(clock.nowMs()).toISOString();
  const ranges = await freezeRanges(
    {
      reader,
      readCursors: () => new PostgresLedgerReader(pool).readCursors(),
      readChargedStarts: (topics) => readChargedStarts(pool, topics),
    },
    order.request,
  );
  const { after, through } = await spanOfRanges(pool, ranges);
  const state = newRun(ranges, { startedAt, after, through });
  return { state, numbers: new ProducerNumbers(), bounds: await numberBounds({ pool, reader }, state, order) };
}

async function walk(
  ports: ReconcilePorts,
  { onProgress, resumeFile, keepEveryMs = KEEP_EVERY_MS }: ReconcileOrder,
  { run, identity }: { readonly run: KeptRun; readonly identity: RunIdentity },
): Promise<void> {
  const { state } = run;
  const loader = await openLoader(ports, state);
  const judging = judgePorts(ports, run);
  const total = totalOf(state);
  let keptMs = Number.NEGATIVE_INFINITY;
  for (let next = loader.next(); ;) {
    const window = await next;
    if (window === undefined) return;
    next = loader.next();
    // It is awaited in the next round; if judging fails first, its own failure is not what matters.
    next.catch(() => undefined);
    await judgeWindow(judging, state, window);
    if (resumeFile !== undefined && ports.clock.nowMs() - keptMs >= keepEveryMs) {
      await writeCheckpoint(resumeFile, identity, run);
      keptMs = ports.clock.nowMs();
    }
    onProgress?.(total - leftOf(state), total);
  }
}

function judgePorts({ pool, settings }: ReconcilePorts, { state, numbers, bounds }: KeptRun): WindowJudgePorts {
  return {
    settings,
    quoteOf: () => undefined,
    onTaken: (what) => noteTaken(state, what),
    lookUp: (cases) => lookUp(pool, cases),
    onMessage: (message, item) => noteNumber(numbers, bounds, { message, item }),
  };
}

async function openLoader({ pool, reader }: ReconcilePorts, state: RunState): Promise<WindowLoader> {
  const topics = [...new Set(state.ranges.map(({ range }) => range.source.topic))];
  const gaps = await readAcceptedGaps(pool, topics);
  const bytesMax = fetchBytesFor(state.ranges.length);
  const sources = state.ranges.map(({ range, position }) => ({
    ...{ source: range.source, name: sourceName(range.source), kind: range.kind, to: range.to, position },
    reader: reader.partition(range.source, { from: position, bytesMax }),
    acceptedGaps: gaps.get(sourceName(range.source)) ?? [],
  }));
  return new WindowLoader({ pool, sources, topics, span: { after: state.after, through: state.through } });
}

function totalOf({ ranges }: RunState): number {
  return ranges.reduce((sum, { range }) => sum + Number(range.to - range.from), 0);
}

function leftOf({ ranges }: RunState): number {
  return ranges.reduce((sum, { range, position }) => sum + Number(range.to - position), 0);
}

function noteLost(state: RunState): void {
  for (const { range } of state.ranges) {
    if (range.lost === null) continue;
    noteFinding(state, lostOffsets(`${sourceName(range.source)}/${range.lost.from}-${range.lost.to - 1n}`));
  }
}

/** Incomplete: offsets that were asked for by number, or that the run was about to read, are no longer in Kafka. */
function verdictOf(state: RunState, { fromOffset }: RangeRequest): ReconcileResult['verdict'] {
  if (findingsOf(state) > 0) return 'different';
  const isCut = state.ranges.some(
    ({ range, expired }) => expired.length > 0 || (fromOffset !== undefined && range.expired !== null),
  );
  return isCut ? 'incomplete' : 'equal';
}
