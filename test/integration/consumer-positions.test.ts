/**
 * Owns: that a consumer looking for its positions outlives what goes away meanwhile: itself, the database, Kafka; and that
 * it then reads every partition from where the ledger is, without waiting for a message that may not come.
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import type { Admin } from 'kafkajs';
import type pg from 'pg';
import { ChargeProtocol } from '../../src/consumers/charge-protocol.js';
import { LEDGER_ALONE } from '../../src/consumers/quota-gate.js';
import { streamLag } from '../../src/consumers/stream-lag.js';
import { type CursorReader, StreamPositions } from '../../src/consumers/stream-positions.js';
import { UsageConsumer } from '../../src/consumers/usage-consumer.js';
import { defaultTerms } from '../../src/cli/ledger-process.js';
import { PostgresLedgerReader } from '../../src/ledger/postgres/postgres-ledger-reader.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import type { LedgerStore } from '../../src/ledger/ledger-store.js';
import { systemClock } from '../../src/runtime/clock.js';
import { TollbookError } from '../../src/runtime/errors.js';
import { createLogger } from '../../src/runtime/logger.js';
import { moveCommittedOffsets } from '../support/committed-offsets.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { createTestDatabase, openApplicationPool } from '../support/test-database.js';
import { completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';
import { uniqueTopic } from './kafka-topics.js';

/** What a consumer is started with instead of the world's. */
interface ConsumerParts {
  readonly cursors?: CursorReader;
  readonly store?: LedgerStore;
  /** Tells the ends of the logs. */
  readonly admin?: Admin;
  readonly groupId?: string;
  readonly retryPauseMaxMs?: number;
  readonly alarmAfterMs?: number;
}

/** A line of the log that tells of a partition. */
interface PartitionLine {
  readonly level: number;
  readonly msg: string;
  readonly remedy?: string;
  readonly stoodS?: number;
}

const ERROR_LEVEL = 50;

const RESUME_AFTER_MS = 500;

describe('a consumer that looks for its positions', function () {
  this.timeout(30_000);
  let world: LedgerWorld;
  const failures: TollbookError[] = [];
  const lines: string[] = [];

  async function startConsumer(parts: ConsumerParts): Promise<UsageConsumer> {
    const { config, kafka } = world;
    const { cursors = world.reader, store = new PostgresLedgerStore(world.pool), admin = world.admin } = parts;
    const { clusterId } = await world.admin.describeCluster();
    const consumer = new UsageConsumer({
      kafka,
      groupId: parts.groupId ?? uniqueTopic('positions'),
      sessionTimeoutMs: config.sessionTimeoutMs,
      topics: new Map([[config.topicCompleted, 'completed']]),
      protocol: new ChargeProtocol({
        store,
        gate: LEDGER_ALONE,
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
      retryPauseMaxMs: parts.retryPauseMaxMs ?? config.retryPauseMaxMs,
      alarmAfterMs: parts.alarmAfterMs ?? config.alarmAfterMs,
      clock: systemClock,
      logger: createLogger({ level: 'info' }, { write: (line) => lines.push(line) }),
      onFatal: (error) => failures.push(error),
    });
    await consumer.start();
    return consumer;
  }

  before(async () => {
    world = await LedgerWorld.create({ partitions: 1 });
  });

  beforeEach(() => {
    failures.splice(0);
    lines.splice(0);
  });

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
    const consumer = await startConsumer({ cursors: { readCursor } });
    await waitUntil('the cursor is asked for', () => answer !== undefined);
    await consumer.stop();
    answer?.();
    await settled();
    expect(answered).to.equal(true);
    expect(failures).to.deep.equal([]);
  });

  it('has stopped only when its look-ups have ended: one that went on would open a closed connection again', async () => {
    const groupId = uniqueTopic('positions');
    let release: (() => void) | undefined;
    let told: (() => void) | undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const answered = new Promise<string>((resolve) => (told = () => resolve('answered')));
    let isAsked = false;
    const fetchTopicOffsets: Admin['fetchTopicOffsets'] = async (topic) => {
      isAsked = true;
      await released;
      const offsets = await world.admin.fetchTopicOffsets(topic);
      told?.();
      return offsets;
    };
    const consumer = await startConsumer({ admin: { ...world.admin, fetchTopicOffsets }, groupId });
    await waitUntil('the ends of the logs are asked for', () => isAsked);
    const stopped = consumer.stop().then(() => 'stopped');
    const hasLeft = async (): Promise<boolean> =>
      (await world.admin.describeGroups([groupId])).groups.every(({ members }) => members.length === 0);
    await waitUntil('it has left its group', hasLeft);
    release?.();
    expect(await Promise.race([stopped, answered])).to.equal('answered');
    expect(await stopped).to.equal('stopped');
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
    const consumer = await startConsumer({ cursors: { readCursor } });
    await waitUntil('the cursor is asked for', () => refuse !== undefined);
    await consumer.stop();
    refuse?.();
    await settled();
    process.off('unhandledRejection', noteUnhandled);
    expect(failures).to.deep.equal([]);
    expect(unhandled).to.deep.equal([]);
  });

  it('tries again when Kafka does not tell the ends of the logs, and then charges', async () => {
    const consumer = await startConsumer({ admin: firstRefusing() });
    await send(world.kafka, world.config.topicCompleted, completions('acme', 1, { partition: 0 }));
    await waitUntil('the event is charged', async () => (await world.lag()) === 0n);
    await consumer.stop();
    expect(failures).to.deep.equal([]);
    expect(lines.join()).to.include('KAFKA_UNAVAILABLE').and.to.include('the broker restarts');
  });

  it('does not wait for another message where the first look-up fails and Kafka has the end as the position of the group', async () => {
    await send(world.kafka, world.config.topicCompleted, completions('idle', 3, { partition: 0 }));
    const groupId = uniqueTopic('positions');
    await moveCommittedOffsets(world, groupId, 'end');
    const consumer = await startConsumer({ admin: firstRefusing(), groupId });
    await waitUntil('the events are charged', async () => (await world.lag()) === 0n);
    await consumer.stop();
    expect(failures).to.deep.equal([]);
  });

  it('reads a stopped partition again by itself once it is mended, and tells how long it stood', async () => {
    await send(world.kafka, world.config.topicCompleted, completions('mended', 3, { partition: 0 }));
    const stopped = new TollbookError('STREAM_GAP', 'messages were removed');
    let isMended = false;
    const readCursor: CursorReader['readCursor'] = (source) =>
      isMended ? world.reader.readCursor(source) : Promise.reject(stopped);
    const consumer = await startConsumer({ cursors: { readCursor }, retryPauseMaxMs: 150, alarmAfterMs: 400 });
    await waitUntil('it is alarmed', () => logged('partition is still stopped').length > 1);
    expect(logged('an operator must act')).to.have.length(1);
    const [found] = consumer.stopped();
    expect(found).to.deep.include({ source: { topic: world.config.topicCompleted, partition: 0 }, code: 'STREAM_GAP' });
    expect(found!.attempts).to.be.above(2);
    expect(found!.lastTriedAtMs).to.be.above(found!.sinceMs);
    const [alarm] = logged('partition is still stopped');
    expect(alarm).to.include({ level: ERROR_LEVEL, code: 'STREAM_GAP', partition: 0 });
    expect(alarm!.remedy).to.include('tollbook cursors accept-gap');
    isMended = true;
    await waitUntil('the events are charged', async () => (await world.lag()) === 0n);
    await waitUntil('it continues', () => consumer.stopped().length === 0);
    const [continued] = logged('partition continues');
    expect(continued!.stoodS).to.be.above(0.4);
    await consumer.stop();
    expect(failures).to.deep.equal([]);
  });

  it('stops the partition alone, and not the process, where charging throws what nobody foresaw', async () => {
    await send(world.kafka, world.config.topicCompleted, completions('unforeseen', 3, { partition: 0 }));
    const sound = new PostgresLedgerStore(world.pool);
    let isMended = false;
    const transact: LedgerStore['transact'] = (work) =>
      isMended ? sound.transact(work) : Promise.reject(new TypeError('a bug of ours'));
    const consumer = await startConsumer({ store: { transact }, retryPauseMaxMs: 150 });
    const attempts = (): number => consumer.stopped()[0]?.attempts ?? 0;
    await waitUntil('it was tried again', () => attempts() > 2);
    expect(consumer.stopped()[0]).to.include({ code: 'INVARIANT_BROKEN' });
    isMended = true;
    await waitUntil('the events are charged', async () => (await world.lag()) === 0n);
    await waitUntil('it continues', () => attempts() === 0);
    await consumer.stop();
    expect(failures).to.deep.equal([]);
  });

  for (const [name, left] of [
    ['start', 'the cursor of this very start'],
    ['nothing', 'no cursor at all'],
  ] as const) {
    it(`charges all that a restored database has lost before a message that comes first: it has ${left}`, async () => {
      const database = await createTestDatabase();
      const restored = ledgerOn(openApplicationPool(database));
      if (name === 'start') await drained(restored);
      let now = ledgerOn(world.pool);
      const consumer = await startConsumer({
        store: { transact: (work) => now.store.transact(work) },
        cursors: { readCursor: (source) => now.reader.readCursor(source) },
      });
      const topic = world.config.topicCompleted;
      await send(world.kafka, topic, completions(`before-${name}`, 3, { partition: 0 }));
      await waitUntil('the events are charged', async () => (await world.lag()) === 0n);
      now = restored;
      await send(world.kafka, topic, completions(`after-${name}`, 1, { partition: 0 }));
      await waitUntil('the event is charged', async () => (await lagOf(restored)) === 0n);
      await consumer.stop();
      const { rows } = await restored.pool.query(
        `SELECT FROM ledger_entries WHERE type = 'DEDUCT' AND tenant_id = ANY($1)`,
        [[`before-${name}`, `after-${name}`]],
      );
      expect(rows).to.have.length(4);
      expect(failures).to.deep.equal([]);
      await restored.pool.end();
      await database.drop();
    });
  }

  /** The lines that hold a sentence. */
  function logged(sentence: string): PartitionLine[] {
    return lines.map((line) => JSON.parse(line) as PartitionLine).filter(({ msg }) => msg.includes(sentence));
  }

  interface LedgerParts {
    readonly pool: pg.Pool;
    readonly store: LedgerStore;
    readonly reader: PostgresLedgerReader;
  }

  function ledgerOn(pool: pg.Pool): LedgerParts {
    return { pool, store: new PostgresLedgerStore(pool), reader: new PostgresLedgerReader(pool) };
  }

  function lagOf({ reader }: LedgerParts): Promise<bigint> {
    return streamLag(world.admin, reader, [world.config.topicCompleted]);
  }

  /** Charges everything into a ledger. */
  async function drained(ledger: LedgerParts): Promise<void> {
    const consumer = await startConsumer({ store: ledger.store, cursors: ledger.reader });
    await waitUntil('everything is charged', async () => (await lagOf(ledger)) === 0n);
    await consumer.stop();
  }

  /** An admin client that is refused the first time it asks for the ends of the logs. */
  function firstRefusing(): Admin {
    let asked = 0;
    const fetchTopicOffsets: Admin['fetchTopicOffsets'] = (topic) => {
      asked += 1;
      if (asked === 1) return Promise.reject(new kafkajs.KafkaJSConnectionError('the broker restarts'));
      return world.admin.fetchTopicOffsets(topic);
    };
    return { ...world.admin, fetchTopicOffsets };
  }

  /** Waits until all that a late answer sets in motion is over: a round trip to Kafka, and the timer of a paused partition. */
  async function settled(): Promise<void> {
    const startedMs = performance.now();
    await world.admin.fetchTopicOffsets(world.config.topicCompleted);
    await waitUntil('a resume would have come', () => performance.now() - startedMs > RESUME_AFTER_MS + 100);
  }
});
