/**
 * Owns: the publisher that a gateway embeds: check, number, buffer, batch, acknowledge.
 * Does not own: how a batch reaches Kafka (event-transport.ts, kafka-transport.ts), the contract (src/contract).
 * The way of an event:
 *  1. It is mapped to the wire form and checked by the gate that consumers use; an invalid event takes no number.
 *  2. It takes the next seq of (instance, epoch). An event that was not published before takes the number it had then.
 *  3. The buffer has room, or the event is refused at once; the gateway's request is never held up.
 *  4. It waits; a crash here loses it, as a tail that no gap shows.
 *  5. Batches leave in that order, one request at a time; the promise resolves when Kafka has acknowledged.
 *  6. A batch that Kafka did not acknowledge is rejected as a whole and is not sent again by itself: it may be stored
 *     or not. What was refused in 3 or rejected here leaves a gap in seq: usage that no topic has. Whoever publishes the
 *     same event of its trace again closes the gap.
 * Invariants: no promise of this class ever becomes an unhandled rejection, so a gateway may publish and forget;
 * failures are then seen in stats() and in the log.
 */
import { randomUUID } from 'node:crypto';
import type { UsageKind } from '../contract/dto-kinds.js';
import { joinProblems } from '../contract/dto-report.js';
import { validateForPublish } from '../contract/event-gate.js';
import { SCHEMA_VERSION } from '../contract/usage-identity-dto.js';
import { TollbookError } from '../runtime/errors.js';
import { faultPoint } from '../runtime/fault-points.js';
import type { EventTransport } from './event-transport.js';
import { PublishBuffer } from './publish-buffer.js';
import type { BufferedEvent } from './publish-buffer.js';
import { BATCH_BYTES_MAX } from './publisher-settings.js';
import type { PublisherSettings } from './publisher-settings.js';
import { OwedNumbers } from './owed-numbers.js';
import { toWire } from './usage-input.js';
import type { CompletedInput, PendingInput, UsageInputs } from './usage-input.js';

/** Kafka has stored the event on all in-sync replicas. */
export interface PublishAck {
  readonly eventId: string;
  readonly topic: string;
  /** Number of the event in this run of the gateway instance. */
  readonly seq: number;
}

/** Counts since the publisher was made. */
export interface PublisherStats {
  /** Events that Kafka acknowledged. */
  readonly published: number;
  /** Events that were accepted and then not acknowledged. */
  readonly failed: number;
  /** Events that were not accepted: invalid, buffer full or closed. */
  readonly refused: number;
  /** Events that wait for an acknowledgement now. */
  readonly buffered: number;
  /** Bytes that wait for an acknowledgement now. */
  readonly bytes: number;
}

interface CheckedEvent {
  readonly eventId: string;
  readonly traceId: string;
  readonly topic: string;
  readonly key: string;
  /** What is the same when the event is published again. */
  readonly identity: string;
  readonly seq: number;
  readonly value: Buffer;
}

/** Publishes usage events; made by `createUsagePublisher`. */
export class UsagePublisher {
  readonly #transport: EventTransport;
  readonly #settings: PublisherSettings;
  readonly #buffer: PublishBuffer;
  readonly #owed: OwedNumbers;
  #nextSeq = 0;
  #published = 0;
  #failed = 0;
  #refused = 0;
  #lastAck: Promise<unknown> = Promise.resolve();
  #isSending = false;
  #linger: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(transport: EventTransport, settings: PublisherSettings) {
    this.#transport = transport;
    this.#settings = settings;
    this.#buffer = new PublishBuffer(settings);
    this.#owed = new OwedNumbers(settings.bufferEventsMax);
  }

  /**
   * Publishes that a request was admitted; resolves when Kafka has acknowledged it.
   * Rejects with EVENT_INVALID, PUBLISHER_BUFFER_FULL or PUBLISHER_CLOSED at once (nothing is sent), or with
   * PUBLISH_FAILED after the retries. Idempotent: publishing again with the same trace_id charges nothing twice, and closes
   * the gap in the numbers that the refused or failed event left, which `tollbook reconcile` would report.
   */
  pending(input: PendingInput): Promise<PublishAck> {
    return this.#publish('pending', input);
  }

  /** Publishes that a request has ended; the same promises as `pending`. */
  completed(input: CompletedInput): Promise<PublishAck> {
    return this.#publish('completed', input);
  }

  /** Sends what waits without lingering; resolves when every event accepted so far is acknowledged or rejected. */
  async flush(): Promise<void> {
    this.#startSending();
    await Promise.allSettled([this.#lastAck]);
  }

  /**
   * Accepts nothing more, sends what waits, disconnects. After the first batch that fails, the rest is rejected
   * with PUBLISH_FAILED instead of being tried. Idempotent: every call returns the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#flushAndDisconnect();
    return this.#closing;
  }

  /** Counts events by what became of them. */
  stats(): PublisherStats {
    return {
      published: this.#published,
      failed: this.#failed,
      refused: this.#refused,
      buffered: this.#buffer.events,
      bytes: this.#buffer.bytes,
    };
  }

  #publish<K extends UsageKind>(kind: K, input: UsageInputs[K]): Promise<PublishAck> {
    const ack = this.#accept(kind, input);
    ack.catch(() => undefined); // marks the promise as handled; a caller that awaits it still sees the rejection
    return ack;
  }

  #accept<K extends UsageKind>(kind: K, input: UsageInputs[K]): Promise<PublishAck> {
    try {
      if (this.#closing !== undefined) {
        throw new TollbookError('PUBLISHER_CLOSED', 'the publisher is closed; this event was not accepted');
      }
      const event = this.#check(kind, input);
      if (event.seq === this.#nextSeq) this.#nextSeq += 1;
      this.#requireRoom(event);
      return this.#enqueue(event);
    } catch (error) {
      this.#refused += 1;
      return Promise.reject(error instanceof Error ? error : new TollbookError('INVARIANT_BROKEN', String(error)));
    }
  }

  #check<K extends UsageKind>(kind: K, input: UsageInputs[K]): CheckedEvent {
    const { instance, epoch, topics } = this.#settings;
    const { wire, problems } = toWire(kind, input);
    wire['schema_version'] = SCHEMA_VERSION;
    if (!('event_id' in wire)) wire['event_id'] = randomUUID();
    const identity = [kind, wire['tenant_id'], wire['trace_id']].join('\n');
    const seq = this.#owed.of(identity) ?? this.#nextSeq;
    wire['producer'] = { instance, epoch, seq };
    const verdict = validateForPublish(kind, wire);
    if (problems.length > 0 || !verdict.ok) {
      const detail = joinProblems(verdict.ok ? problems : [...problems, verdict.detail]);
      throw new TollbookError('EVENT_INVALID', `usage.${kind} breaks the contract: ${detail}`, { context: { kind } });
    }
    return {
      eventId: String(wire['event_id']),
      traceId: input.traceId,
      topic: topics[kind],
      key: input.tenantId ?? input.traceId,
      identity,
      seq,
      value: Buffer.from(JSON.stringify(wire)),
    };
  }

  #requireRoom({ identity, seq, value }: CheckedEvent): void {
    if (this.#buffer.hasRoomFor(value.length)) return;
    this.#owed.add(identity, seq);
    const { bufferEventsMax, bufferBytesMax } = this.#settings;
    const held = `${this.#buffer.events} events and ${this.#buffer.bytes} bytes wait for Kafka`;
    const allowed = `at most ${bufferEventsMax} events and ${bufferBytesMax} bytes may`;
    throw new TollbookError('PUBLISHER_BUFFER_FULL', `${held}, ${allowed}; this event was not accepted`);
  }

  #enqueue({ eventId, traceId, topic, key, identity, seq, value }: CheckedEvent): Promise<PublishAck> {
    this.#owed.take(identity);
    const { instance, epoch } = this.#settings;
    const ack = new Promise<PublishAck>((resolve, reject) => {
      this.#buffer.add({
        message: { topic, key, value },
        acknowledge: () => resolve({ eventId, topic, seq }),
        fail: (cause) => {
          this.#owed.add(identity, seq);
          const reason = cause instanceof Error ? cause.message : String(cause);
          const context = { eventId, traceId, topic, instance, epoch, seq };
          reject(
            new TollbookError('PUBLISH_FAILED', `Kafka did not acknowledge ${eventId}: ${reason}`, { cause, context }),
          );
        },
      });
    });
    this.#lastAck = ack;
    this.#scheduleSending();
    return ack;
  }

  #scheduleSending(): void {
    if (this.#buffer.waiting >= this.#settings.batchEventsMax) this.#startSending();
    else this.#linger ??= setTimeout(() => this.#startSending(), this.#settings.lingerMs);
  }

  #startSending(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    if (!this.#isSending && this.#buffer.waiting > 0) void this.#sendAll();
  }

  /** Never rejects. Ends in the same turn in which it finds the buffer empty, so no event can slip in between. */
  async #sendAll(): Promise<void> {
    this.#isSending = true;
    while (this.#buffer.waiting > 0) {
      const batch = this.#buffer.take(this.#settings.batchEventsMax, BATCH_BYTES_MAX);
      try {
        await faultPoint('publish.taken');
        await this.#transport.send(batch.map(({ message }) => message));
        await faultPoint('publish.stored');
        this.#acknowledge(batch);
      } catch (error) {
        this.#fail(batch, error);
        if (this.#closing !== undefined) this.#fail(this.#buffer.take(Infinity, Infinity), error);
      }
    }
    this.#isSending = false;
  }

  #acknowledge(batch: readonly BufferedEvent[]): void {
    this.#buffer.release(batch);
    this.#published += batch.length;
    for (const { acknowledge } of batch) acknowledge();
  }

  #fail(batch: readonly BufferedEvent[], cause: unknown): void {
    if (batch.length === 0) return;
    this.#buffer.release(batch);
    this.#failed += batch.length;
    this.#settings.logger?.error({ err: cause, events: batch.length }, 'Kafka did not acknowledge a batch');
    for (const { fail } of batch) fail(cause);
  }

  async #flushAndDisconnect(): Promise<void> {
    await this.flush();
    await this.#transport.disconnect();
  }
}
