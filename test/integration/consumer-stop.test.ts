/** Owns: that a consumer which is stopped while it looks for its positions neither reports a failure nor throws later. */
import { expect } from 'chai';
import { ChargeProtocol } from '../../src/consumers/charge-protocol.js';
import { type CursorReader, StreamPositions } from '../../src/consumers/stream-positions.js';
import { UsageConsumer } from '../../src/consumers/usage-consumer.js';
import { defaultTerms } from '../../src/cli/ledger-process.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import { systemClock } from '../../src/runtime/clock.js';
import { TollbookError } from '../../src/runtime/errors.js';
import { createLogger } from '../../src/runtime/logger.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { waitUntil } from '../support/wait-until.js';

const RESUME_AFTER_MS = 500;

describe('a consumer that is stopped while it looks for its positions', function () {
  this.timeout(30_000);
  let world: LedgerWorld;
  const failures: TollbookError[] = [];

  /** A consumer whose cursors are read by `cursors`. */
  async function startConsumer(cursors: CursorReader): Promise<UsageConsumer> {
    const { config, kafka, admin } = world;
    const { clusterId } = await admin.describeCluster();
    const consumer = new UsageConsumer({
      kafka,
      groupId: config.consumerGroup,
      topics: new Map([[config.topicCompleted, 'completed']]),
      protocol: new ChargeProtocol({
        store: new PostgresLedgerStore(world.pool),
        gate: { refusals: () => Promise.resolve(new Map()) },
        clock: systemClock,
        limits: config,
        defaults: { currency: config.defaultCurrency, terms: defaultTerms(config) },
        holdTtlMs: config.holdTtlMs,
        clusterId,
        wakeProjector: () => undefined,
      }),
      positions: new StreamPositions({ admin, cursors, clusterId }),
      chunkMessagesMax: config.chunkMessagesMax,
      partitionsConcurrent: config.partitionsConcurrent,
      clock: systemClock,
      logger: createLogger({ level: 'silent' }),
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

  it('takes no notice of an answer that comes after it has stopped', async () => {
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

  it('takes no notice of an error that comes after it has stopped', async () => {
    let refuse: (() => void) | undefined;
    const readCursor = (): Promise<undefined> =>
      new Promise((_resolve, reject) => {
        refuse = () => reject(new TollbookError('POSTGRES_UNAVAILABLE', 'the pool is closed'));
      });
    const consumer = await startConsumer({ readCursor });
    await waitUntil('the cursor is asked for', () => refuse !== undefined);
    await consumer.stop();
    refuse?.();
    await settled();
    expect(failures).to.deep.equal([]);
  });

  /** Waits until all that a late answer sets in motion is over: a round trip to Kafka, and the timer of a paused partition. */
  async function settled(): Promise<void> {
    const startedMs = performance.now();
    await world.admin.fetchTopicOffsets(world.config.topicCompleted);
    await waitUntil('a resume would have come', () => performance.now() - startedMs > RESUME_AFTER_MS + 100);
  }
});
