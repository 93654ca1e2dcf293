/** Owns: that a consumer looking for its positions outlives what goes away meanwhile: itself, the database, Kafka. */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import type { Admin } from 'kafkajs';
import { ChargeProtocol } from '../../src/consumers/charge-protocol.js';
import { type CursorReader, StreamPositions } from '../../src/consumers/stream-positions.js';
import { UsageConsumer } from '../../src/consumers/usage-consumer.js';
import { defaultTerms } from '../../src/cli/ledger-process.js';
import { PostgresLedgerReader } from '../../src/ledger/postgres/postgres-ledger-reader.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import { systemClock } from '../../src/runtime/clock.js';
import { TollbookError } from '../../src/runtime/errors.js';
import { createLogger } from '../../src/runtime/logger.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const RESUME_AFTER_MS = 500;

describe('a consumer that looks for its positions', function () {
  this.timeout(30_000);
  let world: LedgerWorld;
  const failures: TollbookError[] = [];
  const warnings: string[] = [];

  /** A consumer whose cursors are read by `cursors`, and the ends of its logs by `admin`. */
  async function startConsumer(cursors: CursorReader, admin: Admin = world.admin): Promise<UsageConsumer> {
    const { config, kafka } = world;
    const { clusterId } = await world.admin.describeCluster();
    const consumer = new UsageConsumer({
      kafka,
      groupId: config.consumerGroup,
      sessionTimeoutMs: config.sessionTimeoutMs,
      topics: new Map([[config.topicCompleted, 'completed']]),
      protocol: new ChargeProtocol({
        store: new PostgresLedgerStore(world.pool),
        gate: { refusals: () => Promise.resolve(new Map()) },
        clock: systemClock,
        limits: config,
        defaults: { currency: config.defaultCurrency, terms: defaultTerms(config) },
        holdTtlMs: { estimate: config.holdTtlMs, none: config.holdTtlNoneMs },
        estimates: { outputTokensDefault: config.estimateOutputTokensDefault, outputTokensMax: null },
        clusterId,
        wakeProjector: () => undefined,
      }),
      positions: new StreamPositions({ admin, cursors, clusterId }),
      cursors: new PostgresLedgerReader(world.pool),
      chunkMessagesMax: config.chunkMessagesMax,
      partitionsConcurrent: config.partitionsConcurrent,
      clock: systemClock,
      logger: createLogger({ level: 'warn' }, { write: (line) => warnings.push(line) }),
      onFatal: (error) => failures.push(error),
    });
    await consumer.start();
    return consumer;
  }

  before(async () => {
    world = await LedgerWorld.create({ partitions: 1 });
  });

  beforeEach(() => void failures.splice(0));

  after(() => world.close());

  it('takes no notice of an answer that comes after it was stopped', async () => {
    let answer: (() => void) | undefined;
    let answered = false;
    const readCursor = (): Promise<undefined> =>
      new Promise((resolve) => {
        answer = () => {
          resolve(undefined);
          answered = true;
        };
      });
    const consumer = await startConsumer({ readCursor });
    await waitUntil('the cursor is asked for', () => answer !== undefined);
    await consumer.stop();
    answer?.();
    await settled();
    expect(answered).to.equal(true);
    expect(failures).to.deep.equal([]);
  });

  it('takes no notice of an error that comes after it was stopped', async () => {
    let refuse: (() => void) | undefined;
    const readCursor = (): Promise<undefined> =>
      new Promise((_resolve, reject) => {
        refuse = () => reject(new TollbookError('POSTGRES_UNAVAILABLE', 'the pool is closed'));
      });
    const unhandled: unknown[] = [];
    const noteUnhandled = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', noteUnhandled);
    const consumer = await startConsumer({ readCursor });
    await waitUntil('the cursor is asked for', () => refuse !== undefined);
    await consumer.stop();
    refuse?.();
    await settled();
    process.off('unhandledRejection', noteUnhandled);
    expect(failures).to.deep.equal([]);
    expect(unhandled).to.deep.equal([]);
  });

  it('tries again when Kafka does not tell the ends of the logs, and then charges', async () => {
    let asked = 0;
    const fetchTopicOffsets: Admin['fetchTopicOffsets'] = (topic) => {
      asked += 1;
      if (asked === 1) return Promise.reject(new kafkajs.KafkaJSConnectionError('the broker restarts'));
      return world.admin.fetchTopicOffsets(topic);
    };
    const consumer = await startConsumer(world.reader, { ...world.admin, fetchTopicOffsets });
    await send(world.kafka, world.config.topicCompleted, completions('acme', 1, { partition: 0 }));
    await waitUntil('the event is charged', async () => (await world.lag()) === 0n);
    await consumer.stop();
    expect(failures).to.deep.equal([]);
    expect(warnings.join()).to.include('KAFKA_UNAVAILABLE').and.to.include('the broker restarts');
  });

  /** Waits until all that a late answer sets in motion is over: a round trip to Kafka, and the timer of a paused partition. */
  async function settled(): Promise<void> {
    const startedMs = performance.now();
    await world.admin.fetchTopicOffsets(world.config.topicCompleted);
    await waitUntil('a resume would have come', () => performance.now() - startedMs > RESUME_AFTER_MS + 100);
  }
});
