/** Owns: the publisher's promises that need no broker: checks, numbering, bounds, order, closing. */
import { expect } from 'chai';
import { decodeCompleted, decodePending } from '../../../src/contract/event-gate.js';
import { publisherSettings } from '../../../src/gateway/publisher-settings.js';
import type { PublisherTuning } from '../../../src/gateway/publisher-settings.js';
import type { CompletedInput, PendingInput } from '../../../src/gateway/usage-input.js';
import { UsagePublisher } from '../../../src/gateway/usage-publisher.js';
import type { ErrorCode, TollbookError } from '../../../src/runtime/errors.js';
import { isTollbookError } from '../../../src/runtime/errors.js';
import { MemoryTransport } from './memory-transport.js';

const LIMITS = { eventBytesMax: 65_536 };

const PENDING: PendingInput = {
  traceId: 'trace-1',
  tenantId: 'tenant-1',
  occurredAt: '2026-03-31T09:30:00.250Z',
  provider: 'openai',
  model: 'gpt-4o',
  stream: false,
  estimate: { inputTokens: 10 },
  pricing: {
    inputPer1k: '0.003',
    outputPer1k: '0.015',
    currency: 'USD',
    meters: { cached: '0.001' },
    priceVersion: 'v1',
  },
};

const COMPLETED: CompletedInput = {
  traceId: 'trace-1',
  tenantId: 'tenant-1',
  apiKeyId: 'key-1',
  presetItemId: 'preset-1',
  occurredAt: '2026-03-31T09:30:01.250Z',
  provider: 'openai',
  model: 'gpt-4o',
  stream: false,
  outcome: 'succeeded',
  usage: { inputTokens: 10, outputTokens: 20, meters: { cached: 3 } },
  allowNegative: true,
  skipReason: 'internal',
};

function publisherOn(transport: MemoryTransport, tuning: PublisherTuning = {}): UsagePublisher {
  return new UsagePublisher(
    transport,
    publisherSettings({ instance: 'gateway-1', epoch: 7, lingerMs: 0, ...tuning }, 0),
  );
}

async function failure(promise: Promise<unknown>, code: ErrorCode): Promise<TollbookError> {
  const outcome: unknown = await promise.then(
    () => 'resolved',
    (error: unknown) => error,
  );
  if (!isTollbookError(outcome, code)) expect.fail(`expected ${code}, got ${String(outcome)}`);
  return outcome;
}

describe('the usage publisher', () => {
  it('publishes what the consumer decodes to the same facts', async () => {
    const transport = new MemoryTransport();
    const publisher = publisherOn(transport);
    await Promise.all([publisher.pending(PENDING), publisher.completed({ ...COMPLETED, eventId: 'event-2' })]);
    const [first, second] = transport.stored();
    const pending = decodePending(Buffer.from(JSON.stringify(first?.value)), LIMITS);
    const completed = decodeCompleted(Buffer.from(JSON.stringify(second?.value)), LIMITS);
    expect(pending.ok && pending.event).to.deep.include({
      traceId: 'trace-1',
      pricing: PENDING.pricing,
      estimate: { inputTokens: 10 },
      producer: { instance: 'gateway-1', epoch: 7, seq: 0 },
    });
    const producer = { instance: 'gateway-1', epoch: 7, seq: 1 };
    expect(completed.ok && completed.event).to.deep.equal({
      ...COMPLETED,
      kind: 'completed',
      eventId: 'event-2',
      producer,
    });
  });

  it('acknowledges with the event id, the topic and the number of the event', async () => {
    const publisher = publisherOn(new MemoryTransport(), { topics: { pending: 'p', completed: 'c' } });
    expect(await publisher.completed({ ...COMPLETED, eventId: 'mine' })).to.deep.equal({
      eventId: 'mine',
      topic: 'c',
      seq: 0,
    });
    const { eventId, topic, seq } = await publisher.pending(PENDING);
    expect({ topic, seq }).to.deep.equal({ topic: 'p', seq: 1 });
    expect(eventId).to.match(/^[0-9a-f-]{36}$/);
  });

  it('keys an event by its tenant, or by its trace when it has none', async () => {
    const transport = new MemoryTransport();
    const publisher = publisherOn(transport);
    const { tenantId: _tenantId, ...ofNobody } = PENDING;
    await Promise.all([publisher.pending(PENDING), publisher.pending({ ...ofNobody, traceId: 'trace-9' })]);
    expect(transport.stored().map(({ key }) => key)).to.deep.equal(['tenant-1', 'trace-9']);
  });

  it('refuses an invalid event before anything is buffered, naming field, value and what is allowed', async () => {
    const transport = new MemoryTransport();
    const publisher = publisherOn(transport);
    const bad = { ...COMPLETED, usage: { inputTokens: -1, outputTokens: 0.5 } };
    const { message } = await failure(publisher.completed(bad), 'EVENT_INVALID');
    expect(message).to.include('usage.input_tokens: found -1, allowed: an integer from 0 to 1000000000000');
    expect(message).to.include('usage.output_tokens: found 0.5');
    await publisher.flush();
    expect(transport.batches).to.deep.equal([]);
    expect(publisher.stats()).to.deep.equal({ published: 0, failed: 0, refused: 1, buffered: 0, bytes: 0 });
  });

  it('refuses a misspelt field and a field in its wire name instead of dropping it', async () => {
    const publisher = publisherOn(new MemoryTransport());
    for (const extra of [{ allowNegatve: true }, { allow_negative: true }, { constructor: 1 }]) {
      const [name] = Object.keys(extra);
      const { message } = await failure(publisher.completed({ ...COMPLETED, ...extra }), 'EVENT_INVALID');
      expect(message).to.include(`${name} (found `).and.include('allowNegative');
    }
  });

  it('refuses what is no object at all with an error, not with a crash', async () => {
    const publisher = publisherOn(new MemoryTransport());
    for (const input of [null, undefined, 7, []]) {
      await failure(publisher.pending(input as unknown as PendingInput), 'EVENT_INVALID');
    }
  });

  it('takes the time as a Date or as text, and refuses a Date that is none', async () => {
    const transport = new MemoryTransport();
    const publisher = publisherOn(transport);
    const time = '2026-03-31T09:30:00.250Z';
    await Promise.all([time, new Date(time)].map((occurredAt) => publisher.pending({ ...PENDING, occurredAt })));
    expect(transport.stored().map(({ value }) => value.occurred_at)).to.deep.equal([time, time]);
    const bad = publisher.pending({ ...PENDING, occurredAt: new Date(NaN) });
    expect((await failure(bad, 'EVENT_INVALID')).message).to.include(
      'occurred_at: found "Invalid Date", allowed: an RFC 3339',
    );
  });

  it('publishes whose usage it was, its class, held meters and declared totals under their wire names', async () => {
    const transport = new MemoryTransport();
    const publisher = publisherOn(transport);
    const whose = { userId: 'auth0|7', projectId: 'p', tags: { team: 'search' }, priceClass: 'batch' };
    await publisher.pending({ ...PENDING, ...whose, estimate: { inputTokens: 1, meters: { output_images: 2 } } });
    const usage = { inputTokens: 1, outputTokens: 2, meters: { cached_input_tokens: 3 } };
    await publisher.completed({ ...COMPLETED, ...whose, usage: { ...usage, declared: { inputTokens: 4 } } });
    const wire = { user_id: 'auth0|7', project_id: 'p', tags: { team: 'search' }, price_class: 'batch' };
    const [held, done] = transport.stored().map(({ value }) => value);
    expect(held).to.deep.include({ ...wire, estimate: { input_tokens: 1, meters: { output_images: 2 } } });
    expect(done).to.deep.include(wire);
    expect(done?.usage).to.deep.include({ declared: { input_tokens: 4 } });
    const twice = publisher.completed({
      ...COMPLETED,
      usage: { ...usage, inputTokens: 4, declared: { inputTokens: 4 } },
    });
    expect((await failure(twice, 'EVENT_INVALID')).message).to.include('only the tokens that no other meter counts');
  });

  it('treats a field with the value undefined as left out', async () => {
    const transport = new MemoryTransport();
    const input = { ...PENDING, apiKeyId: undefined, eventId: undefined } as unknown as PendingInput;
    await publisherOn(transport).pending(input);
    expect(transport.stored()[0]?.value).to.not.have.property('api_key_id');
    expect(transport.stored()[0]?.value.event_id).to.match(/^[0-9a-f-]{36}$/);
  });

  it('numbers accepted events without gaps over both topics, whatever was refused between them', async () => {
    const transport = new MemoryTransport();
    const publisher = publisherOn(transport, { batchEventsMax: 7 });
    const acks = [];
    for (let index = 0; index < 50; index += 1) {
      acks.push(index % 2 === 0 ? publisher.pending(PENDING) : publisher.completed(COMPLETED));
      void publisher.pending({ ...PENDING, traceId: '{bad}' });
    }
    await Promise.all(acks);
    const seqs = transport.stored().map(({ value }) => value.producer.seq);
    expect(seqs).to.deep.equal(Array.from({ length: 50 }, (_, index) => index));
    expect(Math.max(...transport.batches.map((batch) => batch.length))).to.equal(7);
    expect(transport.mostInFlight).to.equal(1);
  });

  it('refuses at once when the buffer holds its most events, in flight ones included, and accepts again later', async () => {
    const transport = new MemoryTransport();
    transport.hold();
    const publisher = publisherOn(transport, { bufferEventsMax: 3, batchEventsMax: 2 });
    const acks = [publisher.pending(PENDING), publisher.pending(PENDING), publisher.pending(PENDING)];
    const { message } = await failure(publisher.pending(PENDING), 'PUBLISHER_BUFFER_FULL');
    expect(message).to.match(/^3 events and \d+ bytes wait for Kafka, at most 3 events/);
    expect(publisher.stats()).to.include({ buffered: 3, refused: 1 });
    transport.release();
    await Promise.all(acks);
    expect(publisher.stats()).to.include({ published: 3, buffered: 0, bytes: 0 });
    expect((await publisher.pending(PENDING)).seq).to.equal(3);
  });

  it('numbers what it refuses for want of room, and gives the number to the same event published again', async () => {
    const transport = new MemoryTransport();
    transport.hold();
    const publisher = publisherOn(transport, { bufferEventsMax: 1 });
    const first = publisher.pending({ ...PENDING, traceId: 'trace-0' });
    for (const traceId of ['trace-1', 'trace-2', 'trace-1'])
      await failure(publisher.pending({ ...PENDING, traceId }), 'PUBLISHER_BUFFER_FULL');
    transport.release();
    await first;
    const seqOf = async (traceId: string): Promise<number> => (await publisher.pending({ ...PENDING, traceId })).seq;
    expect(await seqOf('trace-3')).to.equal(4);
    expect(await seqOf('trace-1'), 'as it was refused last').to.equal(3);
    expect(await seqOf('trace-2'), 'forgotten: no more are kept than the buffer holds').to.equal(5);
    expect((await publisher.completed(COMPLETED)).seq, 'another event of the trace').to.equal(6);
  });

  it('refuses at once when the buffer holds its most bytes', async () => {
    const publisher = publisherOn(new MemoryTransport(), { bufferBytesMax: 100 });
    const { message } = await failure(publisher.pending(PENDING), 'PUBLISHER_BUFFER_FULL');
    expect(message).to.include('100 bytes may');
  });

  it('rejects every event of a batch that failed, and goes on with the next batch', async () => {
    const transport = new MemoryTransport();
    transport.failNext(new RangeError('broker on fire'));
    const publisher = publisherOn(transport, { batchEventsMax: 2 });
    const lost = [publisher.pending(PENDING), publisher.pending(PENDING)];
    const kept = publisher.pending(PENDING);
    for (const promise of lost) {
      const { message, context } = await failure(promise, 'PUBLISH_FAILED');
      expect(message).to.include('broker on fire');
      expect(context).to.include({ traceId: 'trace-1', instance: 'gateway-1', epoch: 7 });
    }
    expect((await kept).seq).to.equal(2);
    expect(publisher.stats()).to.include({ published: 1, failed: 2, buffered: 0, bytes: 0 });
  });

  it('gives an event that failed its number again when it is published again, once', async () => {
    const transport = new MemoryTransport();
    transport.failNext(new RangeError('broker on fire'));
    const publisher = publisherOn(transport);
    await failure(publisher.completed(COMPLETED), 'PUBLISH_FAILED');
    expect((await publisher.completed({ ...COMPLETED, traceId: 'other' })).seq).to.equal(1);
    expect((await publisher.completed(COMPLETED)).seq).to.equal(0);
    expect((await publisher.completed(COMPLETED)).seq).to.equal(2);
    expect(transport.stored().map(({ value }) => value.producer.seq)).to.deep.equal([1, 0, 2]);
  });

  it('lets a gateway publish and forget: a rejection nobody awaits is no unhandled rejection', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    const transport = new MemoryTransport();
    transport.failNext(new RangeError('lost'));
    const publisher = publisherOn(transport);
    void publisher.pending(PENDING);
    void publisher.pending({ ...PENDING, traceId: '' });
    await publisher.close();
    void publisher.pending(PENDING);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    expect(unhandled).to.deep.equal([]);
    expect(publisher.stats()).to.include({ failed: 1, refused: 2 });
  });

  it('flushes without lingering', async () => {
    const transport = new MemoryTransport();
    const publisher = publisherOn(transport, { lingerMs: 10_000 });
    void publisher.pending(PENDING);
    void publisher.pending(PENDING);
    await publisher.flush();
    expect(transport.stored()).to.have.length(2);
  });

  it('sends what waits when it is closed, disconnects once, and accepts nothing more', async () => {
    const transport = new MemoryTransport();
    const publisher = publisherOn(transport, { lingerMs: 10_000, batchEventsMax: 2 });
    const acks = [publisher.pending(PENDING), publisher.pending(PENDING), publisher.pending(PENDING)];
    await Promise.all([publisher.close(), publisher.close()]);
    expect((await Promise.all(acks)).map(({ seq }) => seq)).to.deep.equal([0, 1, 2]);
    expect(transport.disconnects).to.equal(1);
    await failure(publisher.pending(PENDING), 'PUBLISHER_CLOSED');
  });

  it('rejects all that is left after the first failure while closing', async () => {
    const transport = new MemoryTransport();
    transport.failNext(new RangeError('gone'));
    const publisher = publisherOn(transport, { lingerMs: 10_000, batchEventsMax: 2 });
    transport.hold();
    const acks = Array.from({ length: 5 }, () => publisher.pending(PENDING));
    const closed = publisher.close();
    transport.release();
    await closed;
    for (const ack of acks) await failure(ack, 'PUBLISH_FAILED');
    expect(transport.batches).to.deep.equal([]);
    expect(publisher.stats()).to.include({ failed: 5, buffered: 0, bytes: 0 });
  });
});

describe('the settings of a publisher', () => {
  it('have a name of their own for every process', () => {
    const first = publisherSettings({}, 5);
    expect(first.epoch).to.equal(5);
    expect(first.instance).to.include(`-${process.pid}-`);
    expect(first.instance).to.not.equal(publisherSettings({}, 5).instance);
  });

  it('are refused with all problems at once', () => {
    const tuning = { instance: '{a}', epoch: -1, lingerMs: 0.5, batchEventsMax: 0 };
    expect(() => publisherSettings(tuning, 0))
      .to.throw(/instance: found "\{a\}".*epoch: found -1.*lingerMs: found 0.5.*batchEventsMax: found 0/)
      .with.property('code', 'CONFIG_INVALID');
  });
});
