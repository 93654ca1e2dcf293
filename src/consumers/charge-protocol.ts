/**
 * Owns: the charge protocol: how one chunk of one partition, or several of different partitions together, become sealed
 * entries, exactly once.
 *
 *  1. Decode and validate each message; what cannot be read becomes a dead letter, never an exception.
 *  2. Begin; lock the cursor; stop when the topic is not the one charged before; trim what is already charged. A chunk that
 *     begins beyond the cursor leaves a hole: the caller goes back to the cursor. Where it begins says who read the log.
 *  3. Lock all accounts of the chunk, in ascending order; where one is missing, none until the missing are open.
 *  4. Read the states of the chunk's traces; decide what each event wants.
 *  5. Put in flight in Redis what the locked accounts grant, within its deadline. Where Redis refuses some of it, decide
 *     again by the account less what others have in flight; where it does not answer the accounts alone decide.
 *  6. Append entries, fold accounts, seal the batch, advance the cursor by compare-and-set; commit.
 *  7. Wake the projector. (Committing the Kafka offset as a hint is the consumer's.)
 *
 * What a crash leaves behind: before 5, nothing. Between 5 and the commit of 6, in-flight items in Redis that the
 * re-delivered chunk finds `already` there (idempotent by trace and phase). Between 6 and 7, a hash behind its ledger,
 * which the overlay makes up for until the projector or its sweep catches up. After 7, an old Kafka offset: step 2 trims.
 * A writer that was paused and overtaken is fenced in 6 and commits nothing.
 *
 * Does not own: Kafka (usage-consumer.ts), what steps 3 to 6 do (chunk-charge.ts), SQL (ledger/postgres), the rule
 * (ledger/quota-rule.ts).
 */
import { CHAIN_GENESIS, type SealedBatch, type StreamSource } from '../ledger/batch.js';
import { type ChargedLog, type RecordMark, UNKNOWN_LOG } from '../ledger/charged-log.js';
import type { DeadLetterReason } from '../ledger/dead-letter.js';
import type { UsageEvent } from '../ledger/events.js';
import type { LedgerAdvance } from '../ledger/ledger-reader.js';
import type { Cursor, LedgerStore, LedgerTransaction } from '../ledger/ledger-store.js';
import { invariant, TollbookError } from '../runtime/errors.js';
import { faultPoint, poisonPoint } from '../runtime/fault-points.js';
import { advancesOf, type ChargedItems, type ChargeItems, type ChargePorts, chargeTogether } from './chunk-charge.js';
import {
  type ChunkMessage,
  deadLetter,
  intake,
  type IntakeItem,
  type IntakeLimits,
  renumbered,
  type UsageKind,
} from './intake.js';
import { assertSameTopic } from './log-identity.js';

/** Some consecutive messages of one partition. */
export interface Chunk {
  readonly source: StreamSource;
  readonly kind: UsageKind;
  /** In ascending offset order; none where the offsets hold only markers or aborted records. */
  readonly messages: readonly ChunkMessage[];
  /**
   * Where the chunk begins: from here to the first message, the log was read and holds nothing to charge. Left out, it begins
   * at its first message.
   */
  readonly from?: bigint;
  /** The position after the chunk: above the last message's offset; offsets between hold no message. */
  readonly nextOffset: bigint;
  /** What was added to Kafka's offsets; 0 unless given. */
  readonly base?: bigint;
  /** The id of the topic, asked for after the messages were fetched; null or absent where there is none. */
  readonly topicId?: string | null;
  /** The last message that could be read. */
  readonly lastRecord?: RecordMark | undefined;
  /** The caller knows that the source has a cursor: when it is gone, the ledger has lost what was charged. */
  readonly hasCursor?: boolean;
  /** Something in it failed: it is charged with no other chunk. */
  readonly isAlone?: boolean;
  /** Messages that are not to be charged, whatever they say, by offset. */
  readonly putAside?: ReadonlyMap<bigint, PutAside>;
}

/** Why a message is put aside, and what its dead letter leaves out. */
export interface PutAside {
  readonly reason: DeadLetterReason;
  readonly detail: string;
  /** Leave out the headers, or the tenant and the trace: one of them may be what cannot be stored. */
  readonly withoutHeaders: boolean;
  readonly withoutNames: boolean;
}

/** Charges one chunk. */
export type Charging = Pick<ChargeProtocol, 'charge'>;

/** What became of a chunk. */
export type ChunkOutcome =
  | { readonly kind: 'charged'; readonly batch: SealedBatch; readonly advances: readonly LedgerAdvance[] }
  | { readonly kind: 'alreadyCharged'; readonly nextOffset: bigint }
  | { readonly kind: 'hole'; readonly expectedOffset: bigint };

/** What the protocol works with. */
export interface ChargeProtocolOptions extends ChargePorts {
  readonly store: LedgerStore;
  readonly limits: IntakeLimits;
  /** The Kafka cluster whose offsets the cursors are. */
  readonly clusterId: string;
  /** Step 7: called after the commit with how far it moved each tenant's ledger; must not throw. */
  readonly wakeProjector: (advances: readonly LedgerAdvance[]) => void;
}

/** Runs the charge protocol, chunk by chunk. */
export class ChargeProtocol {
  readonly #options: ChargeProtocolOptions;

  constructor(options: ChargeProtocolOptions) {
    this.#options = options;
  }

  /**
   * Charges one chunk.
   * Idempotent: charging it again, here or elsewhere, finds the cursor advanced and changes nothing.
   * Atomic: one database transaction. Throws FENCED, CLUSTER_MISMATCH, LOG_REPLACED, POSTGRES_*.
   */
  async charge(chunk: Chunk): Promise<ChunkOutcome> {
    const [outcome] = await this.chargeTogether([chunk]);
    invariant(outcome !== undefined, 'one chunk has one outcome');
    return outcome;
  }

  /**
   * Charges chunks of different sources in one database transaction, as if they came one after the other; the outcomes are in the
   * order of the chunks. All or none: what stands in the way of one stands in the way of all. More than one: each must have
   * its cursor (who creates one while it holds another could wait in a circle), and no trace may be in chunks of both kinds
   * (what a completion releases depends on whether its pending event was granted, which a plan does not know yet).
   * Throws FENCED, CLUSTER_MISMATCH, LOG_REPLACED, POSTGRES_*.
   */
  async chargeTogether(chunks: readonly Chunk[]): Promise<ChunkOutcome[]> {
    const { limits, clock, store, wakeProjector } = this.#options;
    const bounds = { ...limits, nowMs: clock.nowMs() };
    const decoded = chunks.map((chunk): DecodedChunk => {
      poisonPoint('charge.decoding', () => (chunk.putAside === undefined ? chunk.messages.map(offsetText) : []));
      return { chunk, items: itemsOf(chunk, bounds) };
    });
    await faultPoint('charge.decoded');
    const outcomes = await store.transact((transaction) => this.#chargeLocked(transaction, decoded));
    const advances = outcomes.flatMap((outcome) => (outcome.kind === 'charged' ? outcome.advances : []));
    if (advances.length > 0) wakeProjector(advances);
    await faultPoint('charge.woken');
    return outcomes;
  }

  async #chargeLocked(transaction: LedgerTransaction, decoded: readonly DecodedChunk[]): Promise<ChunkOutcome[]> {
    const cursors = await transaction.lockCursors(decoded.map(({ chunk }) => chunk.source));
    const outcomes: (ChunkOutcome | undefined)[] = [];
    const fresh: ChargeItems[] = [];
    for (const each of decoded) {
      const { topic, partition } = each.chunk.source;
      const known = cursors.find(({ source }) => source.topic === topic && source.partition === partition);
      const todo = await this.#freshOf(transaction, each, known);
      if ('kind' in todo) outcomes.push(todo);
      else {
        outcomes.push(undefined);
        fresh.push(todo);
      }
    }
    const charged = fresh.length === 0 ? [] : await chargeTogether(this.#options, transaction, fresh);
    const batches = charged.values();
    return outcomes.map((outcome) => outcome ?? chargedOutcome(batches.next().value));
  }

  /** Step 2 of one chunk, its cursor locked: what of it is to be charged, or why nothing is. */
  async #freshOf(
    transaction: LedgerTransaction,
    { chunk, items }: DecodedChunk,
    known: Cursor | undefined,
  ): Promise<ChargeItems | ChunkOutcome> {
    const cursor = await this.#cursorOf(transaction, chunk, known);
    if (cursor === undefined) return { kind: 'hole', expectedOffset: 0n };
    assertSameTopic(chunk.source, cursor.log?.topicId ?? null, chunk.topicId ?? null);
    if ((cursor.log?.base ?? 0n) !== (chunk.base ?? 0n)) return { kind: 'hole', expectedOffset: cursor.nextOffset };
    if (cursor.nextOffset >= chunk.nextOffset) return { kind: 'alreadyCharged', nextOffset: cursor.nextOffset };
    if (beginOf(chunk) > cursor.nextOffset) return { kind: 'hole', expectedOffset: cursor.nextOffset };
    const fresh = itemsFrom(cursor.nextOffset, items);
    return { cursor, items: fresh, nextOffset: chunk.nextOffset, log: logAfter(chunk, cursor) };
  }

  /** The cursor, locked; created at the first message ever seen of a source; undefined when it was lost. */
  async #cursorOf(
    transaction: LedgerTransaction,
    chunk: Chunk,
    known: Cursor | undefined,
  ): Promise<Cursor | undefined> {
    const { clusterId } = this.#options;
    if (known !== undefined) return ofCluster(known, clusterId);
    if (chunk.hasCursor === true) return undefined;
    return transaction.createCursor({
      source: chunk.source,
      nextOffset: beginOf(chunk),
      batchNo: 0,
      head: CHAIN_GENESIS,
      clusterId,
      log: { ...UNKNOWN_LOG, topicId: chunk.topicId ?? null },
    });
  }
}

interface DecodedChunk {
  readonly chunk: Chunk;
  readonly items: readonly IntakeItem[];
}

function offsetText({ kafkaOffset }: ChunkMessage): string {
  return kafkaOffset.toString();
}

function itemsOf(chunk: Chunk, bounds: IntakeLimits & { nowMs: number }): IntakeItem[] {
  const { messages, kind, putAside } = chunk;
  const items: IntakeItem[] = [];
  for (const message of messages) {
    const why = putAside?.get(message.kafkaOffset);
    items.push(why === undefined ? intake(message, kind, bounds) : putAsideItem(message, why, { kind, bounds }));
  }
  return items;
}

/** The dead letter of a message that cannot be charged whatever it says; whose it is, is told where it can be read. */
function putAsideItem(
  message: ChunkMessage,
  { reason, detail, withoutHeaders, withoutNames }: PutAside,
  { kind, bounds }: { kind: UsageKind; bounds: IntakeLimits & { nowMs: number } },
): IntakeItem {
  const event = withoutNames ? undefined : eventOf(message, kind, bounds);
  const kept = withoutHeaders ? { ...renumbered(message, message.kafkaOffset), headers: {} } : message;
  return { kind: 'deadLetter', letter: deadLetter(kept, { reason, detail, event }) };
}

function eventOf(
  message: ChunkMessage,
  kind: UsageKind,
  bounds: IntakeLimits & { nowMs: number },
): UsageEvent | undefined {
  try {
    const item = intake(message, kind, bounds);
    return item.kind === 'deadLetter' ? undefined : item.event;
  } catch {
    // Reading it may be just what fails.
    return undefined;
  }
}

/** What is known of the log once a chunk is charged. */
function logAfter({ topicId, lastRecord }: Chunk, { log = UNKNOWN_LOG }: Cursor): ChargedLog {
  return { base: log.base, topicId: topicId ?? log.topicId, lastRecord: lastRecord ?? log.lastRecord };
}

/** The first offset that a chunk accounts for. */
function beginOf({ from, messages, nextOffset }: Chunk): bigint {
  return from ?? messages[0]?.kafkaOffset ?? nextOffset;
}

function chargedOutcome(charged: ChargedItems | undefined): ChunkOutcome {
  invariant(charged !== undefined, 'every chunk that was charged has its batch');
  return { kind: 'charged', batch: charged.batch, advances: advancesOf(charged.content) };
}

/** Returns the cursor if its offsets are those of this Kafka cluster; throws CLUSTER_MISMATCH otherwise. */
export function ofCluster(cursor: Cursor, clusterId: string): Cursor {
  if (cursor.clusterId === clusterId) return cursor;
  const { topic, partition } = cursor.source;
  throw new TollbookError(
    'CLUSTER_MISMATCH',
    `the cursor of ${topic}/${partition} belongs to Kafka cluster ${cursor.clusterId}, connected is ${clusterId}`,
    { context: { topic, partition, expected: cursor.clusterId, found: clusterId } },
  );
}

/** The items at an offset or beyond it. */
function itemsFrom(nextOffset: bigint, items: readonly IntakeItem[]): readonly IntakeItem[] {
  let start = 0;
  for (const item of items) {
    if (offsetOf(item) >= nextOffset) break;
    start += 1;
  }
  return start === 0 ? items : items.slice(start);
}

function offsetOf(item: IntakeItem): bigint {
  return item.kind === 'deadLetter' ? item.letter.kafkaOffset : item.message.kafkaOffset;
}
