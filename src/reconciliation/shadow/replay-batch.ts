/**
 * Owns: replaying one recorded batch on the shadow: the same messages, command, holds or dead letters, together and at the
 * recorded time, through the very code that charges, books, expires and redrives.
 * Does not own: reading what is recorded (recorded-ledger.ts), nor the comparison of what comes of it.
 * Invariants: nothing is simulated but what a replay cannot have: the clock, Redis, the next batch id, and the limits on
 * size and age under which a redrive was let through, which nobody recorded. What the code under test refuses is told, and
 * the replay goes on.
 */
import type pg from 'pg';
import { ChargeProtocol, type ChargeProtocolOptions } from '../../consumers/charge-protocol.js';
import type { ChargePorts } from '../../consumers/chunk-charge.js';
import type { LedgerBounds } from '../../consumers/chunk-plan.js';
import type { IntakeLimits, UsageKind } from '../../consumers/intake.js';
import { attemptRedrive, type RedrivePorts } from '../../consumers/redrive-attempt.js';
import { bookCommand } from '../../ledger/commands/book-command.js';
import { COMMAND_TOPIC } from '../../ledger/commands/command-stream.js';
import { REDRIVE_TOPIC } from '../../ledger/dead-letter.js';
import { expireHolds } from '../../ledger/expiry.js';
import { PostgresDeadLetterReader } from '../../ledger/postgres/postgres-dead-letter-reader.js';
import { PostgresDeadLetterStore } from '../../ledger/postgres/postgres-dead-letter-store.js';
import { PostgresLedgerStore } from '../../ledger/postgres/postgres-ledger-store.js';
import type { StoredEntry } from '../../ledger/postgres/proof-rows.js';
import { acceptGap } from '../../ledger/postgres/stream-gaps.js';
import { isTollbookError, TollbookError } from '../../runtime/errors.js';
import { type BatchSeal, rowsOf } from '../reconcile/ledger-batches.js';
import { sourceName } from '../reconcile/frozen-ranges.js';
import { REPAIR_TOPIC } from '../repair/repair-stream.js';
import type { MessageFeed } from './message-feed.js';
import { commandOfRecord } from '../../ledger/commands/recorded-command.js';
import { commandOf, decodedAtMs, defaultsOf, entriesOfBatch, gapsBefore, redrivesOf } from './recorded-ledger.js';
import { recordedLetters } from './recorded-letters.js';
import { RecordedGate } from './recorded-refusals.js';
import { openHoldsOf } from './replayed-holds.js';
import { repairedAmong, replayRepair } from './replayed-repairs.js';

/** What a replay runs on. */
export interface ReplayPorts {
  /** The ledger, which is read only. */
  readonly live: pg.Pool;
  readonly shadow: pg.Pool;
  readonly feed: MessageFeed;
  readonly charging: Omit<ChargePorts, 'gate' | 'clock'> & { readonly limits: IntakeLimits };
  /** Topic name → which event it carries. */
  readonly topics: ReadonlyMap<string, UsageKind>;
  readonly clusterId: string;
  /** Makes the protocol under test; the one of this version unless given. */
  readonly protocolOf?: (options: ChargeProtocolOptions) => Pick<ChargeProtocol, 'charge'>;
}

/** What replaying a batch came to, before anything is compared. */
export type ReplayStep =
  | { readonly kind: 'replayed' }
  /** The code under test did not seal a batch where the ledger has one. */
  | { readonly kind: 'notSealed'; readonly why: string }
  /** Kafka no longer has its messages. */
  | { readonly kind: 'expired' };

/** The time of a replay: that of decoding until Redis is asked, then that of the seal. */
class RecordedClock {
  #nowMs = 0;
  #sealedAtMs = 0;

  set(decodedAtMs: number, sealedAtMs: number): void {
    this.#nowMs = decodedAtMs;
    this.#sealedAtMs = sealedAtMs;
  }

  goOn(): void {
    this.#nowMs = this.#sealedAtMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }
}

const REPLAYED: ReplayStep = { kind: 'replayed' };
/** A failure of these is one of the machinery, not of the code under test. */
const NOT_OF_THE_CODE = ['POSTGRES_UNAVAILABLE', 'KAFKA_UNAVAILABLE', 'TOPIC_UNKNOWN'] as const;
const ALL_LIMITS_LIFTED: IntakeLimits = {
  eventBytesMax: Number.POSITIVE_INFINITY,
  eventAgeMaxMs: Number.POSITIVE_INFINITY,
};

const UNBOUNDED: LedgerBounds = { costMaxNano: undefined, opensNoAccount: undefined };

/** Replays batches in the order of their ids. */
export class BatchReplay {
  readonly #ports: ReplayPorts;
  readonly #clock = new RecordedClock();
  readonly #gate = new RecordedGate(() => this.#clock.goOn());
  readonly #store: PostgresLedgerStore;
  readonly #letters: PostgresDeadLetterStore;
  readonly #protocol: Pick<ChargeProtocol, 'charge'>;
  /** The settings that accounts are opened under: those that the batch records, else those of this process. */
  readonly #defaults: { -readonly [K in keyof ChargePorts['defaults']]: ChargePorts['defaults'][K] };
  /** The bounds against forged events that the batch records. */
  readonly #bounds: LedgerBounds = { ...UNBOUNDED };
  /** Where the last batch of each source ended, by `sourceName`. */
  readonly #ends: Map<string, bigint>;

  /** `ends` is where the sources stand before the first batch that is replayed. */
  constructor(ports: ReplayPorts, ends: ReadonlyMap<string, bigint> = new Map()) {
    this.#ports = ports;
    this.#ends = new Map(ends);
    this.#defaults = { ...ports.charging.defaults };
    this.#store = new PostgresLedgerStore(ports.shadow);
    this.#letters = new PostgresDeadLetterStore(ports.shadow);
    const options = { ...this.#charging(), store: this.#store, clusterId: ports.clusterId, wakeProjector: nobody };
    this.#protocol = ports.protocolOf?.(options) ?? new ChargeProtocol(options);
  }

  /** How many refusals counted something in flight, which was taken over. */
  get refusalsTakenOver(): number {
    return this.#gate.takenOver;
  }

  /** Replays the next batch; `refuses` tells whether it has refused something. Throws POSTGRES_UNAVAILABLE, KAFKA_UNAVAILABLE, TOPIC_UNKNOWN. */
  async replay(batch: BatchSeal, refuses: boolean): Promise<ReplayStep> {
    const { live } = this.#ports;
    this.#clock.set(Date.parse(batch.sealedAt), Date.parse(batch.sealedAt));
    const isCommand = batch.source.topic === COMMAND_TOPIC;
    const entries = refuses || isCommand ? await entriesOfBatch(live, batch.batchId) : [];
    this.#gate.expect(refuses ? entries.map(({ entry }) => entry) : []);
    Object.assign(this.#bounds, UNBOUNDED);
    Object.assign(this.#defaults, this.#ports.charging.defaults, await this.#recordedDefaults(batch));
    try {
      return await this.#replayAs(batch, entries);
    } catch (error) {
      if (!isTollbookError(error) || NOT_OF_THE_CODE.some((code) => code === error.code)) throw error;
      return { kind: 'notSealed', why: `${error.code}: ${error.message}` };
    }
  }

  async #replayAs(batch: BatchSeal, entries: readonly StoredEntry[]): Promise<ReplayStep> {
    switch (batch.source.topic) {
      case COMMAND_TOPIC:
        return this.#replayCommands(batch, entries);
      case REDRIVE_TOPIC:
        return this.#replayRedrive(batch);
      case REPAIR_TOPIC:
        return this.#replayRepair(batch);
      default:
        return this.#replayChunk(batch);
    }
  }

  async #replayChunk(batch: BatchSeal): Promise<ReplayStep> {
    const { live, shadow, feed, charging, topics } = this.#ports;
    const { source, firstOffset, nextOffset } = batch;
    const kind = topics.get(source.topic);
    if (kind === undefined) throw unknownTopic(source.topic, topics);
    const end = this.#ends.get(sourceName(source)) ?? firstOffset;
    this.#ends.set(sourceName(source), nextOffset);
    for (const gap of end < firstOffset ? await gapsBefore(live, batch, end) : []) {
      await acceptGap(shadow, { source, ...gap });
    }
    const fed = await feed.take(source, { from: firstOffset, to: nextOffset });
    if (!fed.isComplete) return { kind: 'expired' };
    const passedOver = await repairedAmong(live, batch);
    const messages = fed.messages.filter(({ kafkaOffset }) => !passedOver.has(kafkaOffset));
    this.#clock.set(await decodedAtMs(live, batch, charging.limits.eventAgeMaxMs), Date.parse(batch.sealedAt));
    await this.#drawAs(batch);
    const { putAside, bounds } = await recordedLetters(live, batch);
    Object.assign(this.#bounds, bounds);
    const chunk = { source, kind, messages, nextOffset, from: firstOffset, putAside };
    const outcome = await this.#protocol.charge(chunk);
    return outcome.kind === 'charged' ? REPLAYED : { kind: 'notSealed', why: `the chunk came to "${outcome.kind}"` };
  }

  /** A batch of a command stream is one command, or holds that expired together. */
  async #replayCommands(batch: BatchSeal, entries: readonly StoredEntry[]): Promise<ReplayStep> {
    const { live, shadow } = this.#ports;
    const [store, clock, defaults] = [this.#store, this.#clock, this.#defaults];
    const row = await commandOf(live, entries);
    await this.#drawAs(batch);
    if (row !== undefined) {
      await bookCommand({ store, clock, defaults }, commandOfRecord(row));
      return REPLAYED;
    }
    const due = await openHoldsOf(shadow, entries, batch.sealedAt);
    const { expired } = await expireHolds({ store, clock }, batch.source, due);
    return expired > 0 ? REPLAYED : { kind: 'notSealed', why: 'no hold was open and past its time' };
  }

  async #replayRedrive(batch: BatchSeal): Promise<ReplayStep> {
    const { live, shadow, topics } = this.#ports;
    const redrives = await redrivesOf(live, batch);
    const letters = await new PostgresDeadLetterReader(shadow).at(redrives.map(({ position }) => position));
    const [first] = redrives;
    if (first === undefined) return { kind: 'notSealed', why: 'no dead letter is recorded as redriven by this batch' };
    const { actor, reason, amendedValue } = first; // a letter that was amended is alone in its batch
    const order = { letters, actor, reason, isDryRun: false, amendedValue: amendedValue ?? undefined };
    const chunk = { source: batch.source, letters };
    const ports: RedrivePorts = { ...this.#charging(), limits: ALL_LIMITS_LIFTED, letters: this.#letters, topics };
    await this.#drawAs(batch);
    const { isWritten, results } = await this.#letters.transact(
      (transaction) => attemptRedrive(ports, transaction, { chunk, order, stillDead: new Map() }),
      (attempt) => attempt.isWritten,
    );
    const why = results.flatMap((result) =>
      result.kind === 'stillDead' ? [`${result.reason}: ${result.detail}`] : [],
    );
    return isWritten ? REPLAYED : { kind: 'notSealed', why: why[0] ?? 'the dead letters are no longer open' };
  }

  async #replayRepair(batch: BatchSeal): Promise<ReplayStep> {
    const { live, shadow, feed, topics } = this.#ports;
    const charging = this.#charging();
    const why = await replayRepair({ live, shadow, feed, topics, charging }, batch, () => this.#drawAs(batch));
    if (why === 'expired') return { kind: 'expired' };
    return why === undefined ? REPLAYED : { kind: 'notSealed', why };
  }

  #charging(): ChargePorts & { readonly limits: IntakeLimits } {
    const { eventBytesMax, eventAgeMaxMs } = this.#ports.charging.limits;
    const limits = { eventBytesMax, eventAgeMaxMs };
    return {
      ...this.#ports.charging,
      limits,
      bounds: this.#bounds,
      defaults: this.#defaults,
      gate: this.#gate,
      clock: this.#clock,
    };
  }

  /** A command that opens an account is one that the seal counts as charged, not as an opening. */
  async #recordedDefaults(batch: BatchSeal): Promise<ChargePorts['defaults'] | undefined> {
    const mayOpen = batch.counts.openings > 0 || batch.source.topic === COMMAND_TOPIC;
    return mayOpen ? defaultsOf(this.#ports.live, batch) : undefined;
  }

  /** The next id that the shadow draws is the recorded one: the hash of a batch covers it. */
  async #drawAs({ batchId }: BatchSeal): Promise<void> {
    await rowsOf(this.#ports.shadow, `SELECT setval('ledger_batch_id', $1, false)`, [batchId]);
  }
}

function nobody(): void {
  // A shadow has no projector.
}

function unknownTopic(topic: string, topics: ReadonlyMap<string, UsageKind>): TollbookError {
  return new TollbookError(
    'TOPIC_UNKNOWN',
    `the ledger has charged topic ${topic}; known are ${[...topics.keys()].join(' and ')}: set TOLLBOOK_TOPIC_PENDING or ` +
      `TOLLBOOK_TOPIC_COMPLETED to ${topic}, whichever it carries`,
    { context: { topic } },
  );
}
