/**
 * Owns: the charge protocol: how one chunk of one partition becomes sealed entries, exactly once.
 *
 *  1. Decode and validate each message; what cannot be read becomes a dead letter, never an exception.
 *  2. Begin; lock the cursor; trim what is already charged. A first offset beyond the cursor is a hole: the caller finds
 *     out whether it is harmless, and says so with the next call.
 *  3. Lock all accounts of the chunk, in ascending order; where one is missing, none until the missing are open.
 *  4. Read the states of the chunk's traces; decide what each event wants.
 *  5. Ask Redis, within its deadline; where it does not answer the locked accounts alone decide, by the same rule.
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
import type { LedgerAdvance } from '../ledger/ledger-reader.js';
import type { Cursor, LedgerStore, LedgerTransaction } from '../ledger/ledger-store.js';
import { TollbookError } from '../runtime/errors.js';
import { faultPoint } from '../runtime/fault-points.js';
import { advancesOf, chargeItems, type ChargePorts } from './chunk-charge.js';
import { type ChunkMessage, intake, type IntakeItem, type IntakeLimits, type UsageKind } from './intake.js';

/** Some consecutive messages of one partition. */
export interface Chunk {
  readonly source: StreamSource;
  readonly kind: UsageKind;
  /** At least one, in ascending offset order. */
  readonly messages: readonly ChunkMessage[];
  /** The position after the chunk: above the last message's offset; offsets between hold no message. */
  readonly nextOffset: bigint;
  /** The cursor value from which the caller has made sure that nothing chargeable precedes the first message. */
  readonly harmlessHoleFrom?: bigint;
  /** The caller knows that the source has a cursor: when it is gone, the ledger has lost what was charged. */
  readonly hasCursor?: boolean;
}

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
   * Atomic: one database transaction. Throws FENCED, CLUSTER_MISMATCH, POSTGRES_*.
   */
  async charge(chunk: Chunk): Promise<ChunkOutcome> {
    const { limits, clock, store, wakeProjector } = this.#options;
    const bounds = { ...limits, nowMs: clock.nowMs() };
    const items: IntakeItem[] = [];
    for (const message of chunk.messages) items.push(intake(message, chunk.kind, bounds));
    await faultPoint('charge.decoded');
    const outcome = await store.transact((transaction) => this.#chargeLocked(transaction, chunk, items));
    if (outcome.kind === 'charged') wakeProjector(outcome.advances);
    await faultPoint('charge.woken');
    return outcome;
  }

  async #chargeLocked(
    transaction: LedgerTransaction,
    chunk: Chunk,
    items: readonly IntakeItem[],
  ): Promise<ChunkOutcome> {
    const cursor = await this.#lockCursor(transaction, chunk);
    if (cursor === undefined) return { kind: 'hole', expectedOffset: 0n };
    if (cursor.nextOffset >= chunk.nextOffset) return { kind: 'alreadyCharged', nextOffset: cursor.nextOffset };
    const fresh = itemsFrom(cursor.nextOffset, items);
    const firstOffset = fresh[0] === undefined ? chunk.nextOffset : offsetOf(fresh[0]);
    if (
      firstOffset > cursor.nextOffset &&
      chunk.harmlessHoleFrom !== cursor.nextOffset &&
      fresh.length === items.length
    ) {
      return { kind: 'hole', expectedOffset: cursor.nextOffset };
    }
    const nextOffset = chunk.nextOffset;
    const charged = await chargeItems(this.#options, transaction, { cursor, items: fresh, nextOffset });
    return { kind: 'charged', batch: charged.batch, advances: advancesOf(charged.content) };
  }

  /** Step 2: the cursor, locked; created at the first message ever seen of a source; undefined when it was lost. */
  async #lockCursor(transaction: LedgerTransaction, chunk: Chunk): Promise<Cursor | undefined> {
    const { clusterId } = this.#options;
    const known = await transaction.lockCursor(chunk.source);
    if (known !== undefined) return ofCluster(known, clusterId);
    if (chunk.hasCursor === true) return undefined;
    const firstOffset = chunk.messages[0]?.kafkaOffset ?? chunk.nextOffset;
    return transaction.createCursor({
      source: chunk.source,
      nextOffset: firstOffset,
      batchNo: 0,
      head: CHAIN_GENESIS,
      clusterId,
    });
  }
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
