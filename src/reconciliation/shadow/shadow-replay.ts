/**
 * Owns: a whole replay into a shadow:
 *
 *  1. Freeze what is replayed: every batch that is committed now, from the first one of which Kafka has all messages.
 *  2. Create the shadow; take over what the batches before that have written.
 *  3. Replay batch after batch (replay-ledger.ts).
 *  4. Compare both ledgers (compare-ledgers.ts).
 *  5. Drop the shadow, unless it is to be kept; also when anything before failed or was stopped.
 *
 * A crash leaves the shadow behind, which nobody uses: its name tells of which ledger it is.
 * Does not own: connections to the ledger and to Kafka.
 * Invariants: the ledger is read only, while traffic may go on.
 */
import type pg from 'pg';
import { TollbookError } from '../../runtime/errors.js';
import { type ComparisonResult, compareLedgers } from './compare-ledgers.js';
import { freezeSpan, type RecordedSpan } from './recorded-ledger.js';
import type { ReplayPorts } from './replay-batch.js';
import { type ReplayResult, replayLedger } from './replay-ledger.js';
import { type ExpiredBatches, expiredBatches, firstReplayable, type LogStart } from './replay-span.js';
import { seedShadow } from './seed-shadow.js';
import { createShadow } from './shadow-database.js';

/** What a replay is asked for. */
export interface ShadowReplayOrder {
  /** The first batch; by default the first of which Kafka has everything. */
  readonly first?: number | undefined;
  /** The last batch; by default the last one there is. */
  readonly through?: number | undefined;
  readonly isKept: boolean;
  /** How many differences are told. */
  readonly keptMax: number;
}

/** What a replay runs on, but for the shadow it makes. */
export interface ShadowReplayPorts extends Omit<ReplayPorts, 'shadow'> {
  /** Connects as a user who may create a database. */
  readonly ownerUrl: string;
  /** Where Kafka's logs start now. */
  readonly logs: readonly LogStart[];
  readonly nowMs: () => number;
}

/** Who watches a replay, and how it is stopped. */
export interface ShadowReplayWatch {
  readonly signal: AbortSignal;
  /** Hears of a new phase and of how much there is to do in it, in some unit. */
  readonly onPhase: (phase: 'taking over' | 'replaying' | 'comparing', total: number, unit: string) => void;
  readonly onProgress: (done: number) => void;
}

/** What a replay found. */
export interface ShadowReplay {
  readonly span: RecordedSpan;
  readonly expired: readonly ExpiredBatches[];
  readonly shadow: string;
  readonly replay: ReplayResult;
  readonly comparison: ComparisonResult;
  readonly replayMs: number;
  readonly compareMs: number;
}

/** Replays and compares. Throws USAGE_INVALID, RUN_STOPPED, POSTGRES_*, KAFKA_UNAVAILABLE, TOPIC_UNKNOWN, LEDGER_CORRUPT. */
export async function replayIntoShadow(
  ports: ShadowReplayPorts,
  order: ShadowReplayOrder,
  watch: ShadowReplayWatch,
): Promise<ShadowReplay> {
  const expired = await expiredBatches(ports.live, ports.logs);
  const span = await spanOf(ports.live, order, expired);
  const shadow = await createShadow(ports.ownerUrl);
  let isKept = false;
  try {
    const found = await replayAndCompare({ ...ports, shadow: shadow.pool }, { span, keptMax: order.keptMax }, watch);
    isKept = order.isKept;
    return { ...found, span, expired, shadow: shadow.name };
  } finally {
    await shadow.close({ isKept });
  }
}

async function spanOf(
  live: pg.Pool,
  { first, through }: ShadowReplayOrder,
  expired: readonly ExpiredBatches[],
): Promise<RecordedSpan> {
  const possible = firstReplayable(expired);
  if (first !== undefined && first < possible) {
    throw new TollbookError(
      'USAGE_INVALID',
      `--from-batch is ${first}; allowed: ${possible} or later, since Kafka no longer has all messages of batches before`,
      { context: { first, possible } },
    );
  }
  const span = await freezeSpan(live, { first: first ?? possible, through });
  if (span.batches > 0) return span;
  throw new TollbookError(
    'USAGE_INVALID',
    `no batch from ${span.first} to ${through ?? span.through} can be replayed: ` +
      (expired.length === 0 ? 'the ledger has none' : 'Kafka no longer has the messages of any, or there is none'),
  );
}

async function replayAndCompare(
  ports: ReplayPorts & Pick<ShadowReplayPorts, 'nowMs'>,
  { span, keptMax }: { readonly span: RecordedSpan; readonly keptMax: number },
  { signal, onPhase, onProgress }: ShadowReplayWatch,
): Promise<Omit<ShadowReplay, 'span' | 'expired' | 'shadow'>> {
  const { live, shadow, nowMs } = ports;
  const assertGoing = (): void => {
    if (signal.aborted)
      throw new TollbookError('RUN_STOPPED', 'stopped before the comparison was over; the shadow is dropped');
  };
  if (span.first > 1) {
    let tables = 0;
    onPhase('taking over', SEEDED_TABLES, 'tables');
    await seedShadow({ live, shadow }, span.first, () => {
      assertGoing();
      onProgress((tables += 1));
    });
  }
  const startedMs = nowMs();
  onPhase('replaying', span.messages, 'messages');
  const replay = await replayLedger(ports, span, { signal, onProgress });
  const replayedMs = nowMs();
  onPhase('comparing', span.rows, 'rows');
  let rows = 0;
  const onRows = (more: number): void => onProgress((rows += more));
  const scope = { first: span.first, through: span.through, keptMax };
  const comparison = await compareLedgers({ live, shadow }, scope, { onRows, assertGoing });
  return { replay, comparison, replayMs: replayedMs - startedMs, compareMs: nowMs() - replayedMs };
}

/** The tables that a shadow takes over, accounts and open holds among them. */
const SEEDED_TABLES = 10;
