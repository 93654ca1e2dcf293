/** Owns: the publisher's promises on a real Kafka (KAFKA_BROKERS). */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { decodeCompleted, decodePending } from '../../src/contract/event-gate.js';
import { createUsagePublisher } from '../../src/gateway/index.js';
import type { CompletedInput, PendingInput, UsagePublisher, UsagePublisherOptions } from '../../src/gateway/index.js';
import type { ErrorCode, TollbookError } from '../../src/runtime/errors.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import {
  countMessages,
  createTopics,
  deleteTopics,
  readTopic,
  testBrokers,
  testKafka,
  uniqueTopic,
} from './kafka-topics.js';
import { severableKafka } from './severable-kafka.js';

const LIMITS = { eventBytesMax: 65_536 };
const PARTITIONS = 3;

const REQUEST = {
  occurredAt: '2026-03-31T09:30:00.250Z',
  provider: 'openai',
  model: 'gpt-4o',
  stream: false,
  pricing: { inputPer1k: '0.003', outputPer1k: '0.015', currency: 'USD' },
} as const;

function pending(index: number): PendingInput {
  return { ...REQUEST, traceId: `trace-${index}`, tenantId: `tenant-${index % 7}`, estimate: {} };
}

function completed(index: number): CompletedInput {
  const usage = { inputTokens: index, outputTokens: 1 };
  return { ...REQUEST, traceId: `trace-${index}`, tenantId: `tenant-${index % 7}`, outcome: 'succeeded', usage };
}

async function failure(promise: Promise<unknown>, code: ErrorCode): Promise<TollbookError> {
  const outcome: unknown = await promise.then(
    () => 'resolved',
    (error: unknown) => error,
  );
  if (!isTollbookError(outcome, code)) expect.fail(`expected ${code}, got ${String(outcome)}`);
  return outcome;
}

/** A port on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Numbered {
  readonly key: string;
  readonly seq: number;
}

describe('the usage publisher on Kafka', function () {
  this.timeout(60_000);
  let topics: { pending: string; completed: string };
  const open: UsagePublisher[] = [];

  async function publisher(options: UsagePublisherOptions = {}): Promise<UsagePublisher> {
    const source = options.kafka === undefined ? { brokers: testBrokers() } : {};
    const made = await createUsagePublisher({ ...source, topics, instance: 'gateway-1', epoch: 1, ...options });
    open.push(made);
    return made;
  }

  async function stored(): Promise<{ pending: Numbered[]; completed: Numbered[] }> {
    const read = async (topic: string, decode: typeof decodePending | typeof decodeCompleted): Promise<Numbered[]> => {
      const messages = await readTopic(testKafka(), topic);
      return messages.map(({ key, value }) => {
        const result = decode(Buffer.from(value), LIMITS);
        if (!result.ok) expect.fail(result.detail);
        return { key, seq: result.event.producer?.seq ?? -1 };
      });
    };
    return {
      pending: await read(topics.pending, decodePending),
      completed: await read(topics.completed, decodeCompleted),
    };
  }

  beforeEach(async () => {
    topics = { pending: uniqueTopic('usage.pending'), completed: uniqueTopic('usage.completed') };
    await createTopics(testKafka(), Object.values(topics), PARTITIONS);
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((made) => made.close()));
    await deleteTopics(testKafka(), Object.values(topics));
  });

  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    it(`stores every acknowledged event once, in order per tenant, with gapless numbers (compression ${compression})`, async () => {
      const made = await publisher({ batchEventsMax: 50, compression });
      const acks = Array.from({ length: 500 }, (_, index) => [
        made.pending(pending(index)),
        made.completed(completed(index)),
      ]);
      const seqs = (await Promise.all(acks.flat())).map(({ seq }) => seq);
      expect(seqs).to.deep.equal(Array.from({ length: 1000 }, (_, seq) => seq));

      const found = await stored();
      const all = [...found.pending, ...found.completed].map(({ seq }) => seq).sort((a, b) => a - b);
      expect(all).to.deep.equal(seqs);
      for (const messages of [found.pending, found.completed]) {
        for (let tenant = 0; tenant < 7; tenant += 1) {
          const own = messages.filter(({ key }) => key === `tenant-${tenant}`).map(({ seq }) => seq);
          expect(own).to.have.length.above(70);
          expect(own).to.deep.equal([...own].sort((a, b) => a - b));
        }
      }
      expect(made.stats()).to.deep.equal({ published: 1000, failed: 0, refused: 0, buffered: 0, bytes: 0 });
    });
  }

  it('sends nothing of an invalid event', async () => {
    const made = await publisher();
    await failure(made.completed({ ...completed(1), usage: { inputTokens: -1, outputTokens: 0 } }), 'EVENT_INVALID');
    await made.flush();
    expect(await countMessages(testKafka(), topics.completed)).to.equal(0);
  });

  it('refuses events beyond its buffer and stores the accepted ones', async () => {
    const made = await publisher({ bufferEventsMax: 10 });
    const results = await Promise.allSettled(Array.from({ length: 15 }, (_, index) => made.pending(pending(index))));
    const refused = results.filter(({ status }) => status === 'rejected');
    expect(refused).to.have.length(5);
    for (const result of refused) {
      if (result.status === 'rejected') expect(result.reason).to.have.property('code', 'PUBLISHER_BUFFER_FULL');
    }
    expect(await countMessages(testKafka(), topics.pending)).to.equal(10);
  });

  it('stores what waits when it is closed, and accepts nothing afterwards', async () => {
    const made = await publisher({ lingerMs: 10_000 });
    const acks = Array.from({ length: 20 }, (_, index) => made.pending(pending(index)));
    await made.close();
    expect(await Promise.all(acks)).to.have.length(20);
    expect(await countMessages(testKafka(), topics.pending)).to.equal(20);
    await failure(made.pending(pending(21)), 'PUBLISHER_CLOSED');
  });

  it('loses no acknowledged event after a batch whose answer was lost', async () => {
    const network = severableKafka(testBrokers());
    const made = await publisher({ kafka: network.kafka, retries: 1, lingerMs: 0 });
    await made.pending(pending(0));
    network.sever();
    await failure(made.pending(pending(7)), 'PUBLISH_FAILED');
    network.mend();
    const { seq } = await made.pending(pending(14));
    expect(seq).to.equal(2);
    const found = await stored();
    expect(found.pending.map((message) => message.seq)).to.include.members([0, 2]);
    expect((await made.pending(pending(7))).seq, 'the number that the event had').to.equal(1);
  });

  it('names the brokers that do not answer', async () => {
    const port = await closedPort();
    const { message } = await failure(publisher({ brokers: [`127.0.0.1:${port}`], retries: 1 }), 'KAFKA_UNAVAILABLE');
    expect(message).to.include(`127.0.0.1:${port}`);
  });

  it('names a topic that does not exist', async () => {
    const missing = uniqueTopic('missing');
    const options = { topics: { pending: missing, completed: topics.completed } };
    expect((await failure(publisher(options), 'TOPIC_MISSING')).message).to.include(missing);
  });

  it('refuses options that name no broker, or both brokers and a client', async () => {
    await failure(createUsagePublisher({}), 'CONFIG_INVALID');
    await failure(createUsagePublisher({ brokers: testBrokers(), kafka: testKafka() }), 'CONFIG_INVALID');
  });
});
