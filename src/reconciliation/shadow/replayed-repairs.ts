/**
 * Owns: repairs in a replay: leaving out of a chunk what the ledger passed over in it, and repairing it where the ledger
 * did. So a ledger that was repaired is replayed as it came about, loss and mending.
 * Does not own: the repair of a chunk (../repair/repair-attempt.ts).
 */
import type pg from 'pg';
import type { ChargePorts } from '../../consumers/chunk-charge.js';
import { intake, type IntakeLimits, renumbered, type UsageKind } from '../../consumers/intake.js';
import { type DeadLetter, letterName, type LetterPosition } from '../../ledger/dead-letter.js';
import { type BatchSeal, rowsOf } from '../reconcile/ledger-batches.js';
import { attemptRepair, type LostMessage } from '../repair/repair-attempt.js';
import { PostgresRepairStore, type RepairSigner } from '../repair/repair-store.js';
import type { MessageFeed } from './message-feed.js';

/** What a repair is replayed with. */
export interface RepairReplayPorts {
  readonly live: pg.Pool;
  readonly shadow: pg.Pool;
  readonly feed: MessageFeed;
  readonly topics: ReadonlyMap<string, UsageKind>;
  readonly charging: ChargePorts & { readonly limits: IntakeLimits };
}

/** The offsets of a batch's range that the ledger passed over and repaired later. Throws POSTGRES_*. */
export async function repairedAmong(live: pg.Pool, batch: BatchSeal): Promise<ReadonlySet<bigint>> {
  const { source, firstOffset, nextOffset } = batch;
  const rows = await rowsOf<{ kafka_offset: string }>(
    live,
    `SELECT kafka_offset FROM repaired_messages
     WHERE topic = $1 AND partition = $2 AND kafka_offset >= $3 AND kafka_offset < $4`,
    [source.topic, source.partition, firstOffset, nextOffset],
  );
  return new Set(rows.map((row) => BigInt(row.kafka_offset)));
}

interface RepairedRow {
  readonly topic: string;
  readonly partition: number;
  readonly kafka_offset: string;
  readonly run_id: string;
  readonly actor: string;
  readonly reason: string;
  readonly sealed_at: Date | null;
}

/**
 * Repairs in the shadow what a batch repaired; `draw` is called before every attempt, since each draws a batch id.
 * Returns why nothing was sealed; undefined when all was. Throws POSTGRES_*, KAFKA_UNAVAILABLE.
 */
export async function replayRepair(
  ports: RepairReplayPorts,
  batch: BatchSeal,
  draw: () => Promise<void>,
): Promise<string | undefined> {
  const rows = await repairsOf(ports.live, batch);
  const [first] = rows;
  if (first === undefined) return 'no message is recorded as repaired by this batch';
  const lost = await lostOf(ports, rows);
  if (lost.length < rows.length) return 'expired';
  const signer: RepairSigner = { runId: first.run_id, actor: first.actor, reason: first.reason };
  const store = new PostgresRepairStore(ports.shadow);
  for (let dead: ReadonlyMap<string, DeadLetter> = new Map(); ;) {
    await draw();
    const attempt = await store.transact(
      (transaction) => attemptRepair(ports.charging, transaction, { source: batch.source, lost, dead, signer }),
      ({ isWritten }) => isWritten,
    );
    if (attempt.isFinal) return attempt.isWritten ? undefined : 'all of it was repaired before';
    dead = attempt.dead;
  }
}

/** The messages that a batch repaired, by their number in the repair stream, and when each was passed over. */
function repairsOf(live: pg.Pool, { source, firstOffset, nextOffset }: BatchSeal): Promise<RepairedRow[]> {
  return rowsOf<RepairedRow>(
    live,
    `SELECT r.topic, r.partition, r.kafka_offset, r.run_id, r.actor, r.reason, (
       SELECT b.sealed_at FROM ledger_batches b WHERE b.topic = r.topic AND b.partition = r.partition
         AND b.first_offset <= r.kafka_offset AND b.next_offset > r.kafka_offset LIMIT 1) AS sealed_at
     FROM repaired_messages r
     WHERE r.repair_topic = $1 AND r.repair_partition = $2 AND r.repair_offset >= $3 AND r.repair_offset < $4
     ORDER BY r.repair_offset`,
    [source.topic, source.partition, firstOffset, nextOffset],
  );
}

async function lostOf(
  { feed, topics, charging }: RepairReplayPorts,
  rows: readonly RepairedRow[],
): Promise<LostMessage[]> {
  const placed = rows.map((row) => ({ row, position: positionOf(row) }));
  const messages = await feed.at(placed.map(({ position }) => position));
  return placed.flatMap(({ row, position }): LostMessage[] => {
    const message = messages.get(letterName(position));
    const kind = topics.get(position.topic);
    if (message === undefined || kind === undefined) return [];
    const nowMs = row.sealed_at?.getTime() ?? charging.clock.nowMs();
    return [
      {
        position,
        message: { ...renumbered(message, message.kafkaOffset), timestampMs: nowMs },
        item: intake(message, kind, { ...charging.limits, nowMs }),
      },
    ];
  });
}

function positionOf({ topic, partition, kafka_offset: kafkaOffset }: RepairedRow): LetterPosition {
  return { topic, partition, kafkaOffset: BigInt(kafkaOffset) };
}
