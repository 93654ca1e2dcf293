/**
 * Owns: the repair of messages that a reconciliation found missing: they are read from Kafka again and sent through the
 * charge protocol, as chunks of a stream of their own.
 *
 *  1. Read the messages at their positions; decode and validate them as of the time when their batch passed them over.
 *  2. Leave out tenants whose entries have holes: a row that was removed is still in the balance, and would be charged twice.
 *  3. Begin; lock the cursor of the repair stream; leave out what has been repaired before.
 *  4. Charge them: steps 3 to 6 of the charge protocol, each numbered in the repair stream.
 *  5. What would be a dead letter: roll back, and go on at 3 with it set apart; it becomes a dead letter at its position.
 *  6. Record each message as repaired, with both positions; commit.
 *
 * What a crash leaves behind: before the commit of 6, nothing but in-flight items in Redis, which the repeated repair
 * finds `already` there. After it, everything; running processes follow the repair stream and project it.
 * Does not own: finding what is missing (../reconcile), SQL (repair-store.ts).
 * Invariants: a message is repaired at most once, whoever repairs it and how often; a trace is charged at most once, since
 * the protocol finds what was charged meanwhile to be a duplicate; messages of a tenant keep the order of the ledger.
 */
import type { ChargePorts } from '../../consumers/chunk-charge.js';
import { intake, type IntakeLimits, type UsageKind } from '../../consumers/intake.js';
import { LEDGER_ALONE } from '../../consumers/quota-gate.js';
import type { StreamSource } from '../../ledger/batch.js';
import { type DeadLetter, letterName, type LetterPosition } from '../../ledger/dead-letter.js';
import { besideOthers } from '../../runtime/beside-others.js';
import type { TopicReader } from '../topic/topic-reader.js';
import { readLost } from './lost-messages.js';
import { attemptRepair, type LostMessage, type MessageRepair, type RepairAttempt } from './repair-attempt.js';
import type { PostgresRepairStore, RepairSigner } from './repair-store.js';
import { repairSource } from './repair-stream.js';

/** What a repair works with. */
export interface RepairPorts extends ChargePorts {
  readonly store: PostgresRepairStore;
  readonly reader: TopicReader;
  readonly limits: IntakeLimits;
}

/** A missing message: where it is, which event it carries, and when the batch that passed it was sealed, if one did. */
export interface LostPosition extends LetterPosition {
  readonly kind: UsageKind;
  readonly sealedAt: string | null;
}

/** What is repaired, in this order, and on whose word. */
export interface RepairOrder {
  readonly positions: readonly LostPosition[];
  readonly signer: RepairSigner;
  /** Find out what they would come to, and write nothing. */
  readonly isDryRun: boolean;
  /** Hears how many have been seen to. */
  readonly onProgress?: (done: number) => void;
}

const PAGE = 2_000;
/** One database transaction: bounded in messages and, but for a single larger message, in bytes. */
const CHUNK_MESSAGES_MAX = 500;
const CHUNK_BYTES_MAX = 8 * 1024 * 1024;

/** Grants nothing and refuses nothing: the locked accounts decide, and no delta is left in Redis. */

/**
 * Repairs messages and returns what each came to, in their order.
 * Idempotent: what was repaired before is reported as such. Atomic: chunk by chunk; a failure leaves whole chunks.
 * A dry run asks nobody but the ledger, and sees each chunk as if it were the only one. Throws KAFKA_UNAVAILABLE, POSTGRES_*.
 */
export async function repairMessages(ports: RepairPorts, order: RepairOrder): Promise<MessageRepair[]> {
  const charging = order.isDryRun ? { ...ports, gate: LEDGER_ALONE } : ports;
  const results: MessageRepair[] = [];
  for (let start = 0; start < order.positions.length; start += PAGE) {
    results.push(...(await repairPage(charging, order, order.positions.slice(start, start + PAGE))));
    order.onProgress?.(results.length);
  }
  return results;
}

async function repairPage(
  ports: RepairPorts,
  order: RepairOrder,
  positions: readonly LostPosition[],
): Promise<MessageRepair[]> {
  const messages = await readLost(ports.reader, positions);
  const lost = positions.flatMap((position): LostMessage[] => {
    const message = messages.get(letterName(position));
    if (message === undefined) return [];
    const nowMs = position.sealedAt === null ? message.timestampMs : Date.parse(position.sealedAt);
    const { topic, partition, kafkaOffset } = position;
    const item = intake(message, position.kind, { ...ports.limits, nowMs });
    return [{ position: { topic, partition, kafkaOffset }, message, item }];
  });
  const results = new Map<string, MessageRepair>();
  const tenants = new Map(lost.map((each) => [letterName(each.position), tenantOf(each)]));
  const broken = await ports.store.tenantsWithHoles([...new Set(tenants.values())].filter((id) => id !== undefined));
  for (const chunk of chunksOf(lost.filter((each) => !broken.has(tenantOf(each) ?? '')))) {
    for (const result of await repairChunk(ports, order, chunk)) results.set(letterName(result.position), result);
  }
  return positions.map(({ topic, partition, kafkaOffset }) => {
    const position = { topic, partition, kafkaOffset };
    const tenantId = tenants.get(letterName(position)) ?? '';
    if (broken.has(tenantId)) return { position, kind: 'refused', tenantId };
    return results.get(letterName(position)) ?? { position, kind: 'expired' };
  });
}

interface RepairChunk {
  readonly source: StreamSource;
  readonly lost: readonly LostMessage[];
}

/** Cuts messages into chunks of one repair stream and one topic each, in their order; one topic for the reason of a redrive. */
function chunksOf(lost: readonly LostMessage[]): RepairChunk[] {
  const chunks: { source: StreamSource; lost: LostMessage[]; bytes: number }[] = [];
  const last = new Map<number, (typeof chunks)[number]>();
  for (const each of lost) {
    const source = repairSource(tenantOf(each));
    const bytes = each.message.value?.length ?? 0;
    const open = last.get(source.partition);
    const fits =
      open !== undefined &&
      open.lost[0]?.position.topic === each.position.topic &&
      open.lost.length < CHUNK_MESSAGES_MAX &&
      open.bytes + bytes <= CHUNK_BYTES_MAX;
    const chunk = fits ? open : { source, lost: [], bytes: 0 };
    if (!fits) chunks.push(chunk);
    last.set(source.partition, chunk);
    chunk.lost.push(each);
    chunk.bytes += bytes;
  }
  return chunks;
}

function tenantOf({ item }: LostMessage): string | undefined {
  return item.kind === 'deadLetter' ? (item.letter.tenantId ?? undefined) : item.event.tenantId;
}

/** Attempts a chunk until everything in it that is a dead letter has been set apart. */
async function repairChunk(
  ports: RepairPorts,
  { signer, isDryRun }: RepairOrder,
  { source, lost }: RepairChunk,
): Promise<readonly MessageRepair[]> {
  let dead: ReadonlyMap<string, DeadLetter> = new Map();
  const attemptOnce = (): Promise<RepairAttempt> =>
    ports.store.transact(
      (transaction) => attemptRepair(ports, transaction, { source, lost, dead, signer }),
      ({ isWritten }) => isWritten && !isDryRun,
    );
  for (;;) {
    const attempt = await besideOthers(attemptOnce);
    if (attempt.isFinal) return attempt.results;
    dead = attempt.dead;
  }
}
