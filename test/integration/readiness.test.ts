/**
 * Owns: what a real `tollbook consume` tells of itself while something keeps it from charging, and that it continues by
 * itself when that has ended: a database that only reads, a locked account, messages that Kafka has lost.
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import pg from 'pg';
import { acceptGap } from '../../src/ledger/postgres/stream-gaps.js';
import { type ConsumeChild, killConsumers, startConsume } from '../support/consume-child.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completion, completions, messageOf, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';
import { uniqueTopic } from './kafka-topics.js';

interface Blocked {
  readonly topic: string;
  readonly partition: number;
  readonly code: string;
  readonly since: string;
  readonly attempts: number;
  readonly remedy: string;
}

interface Readiness {
  readonly status: string;
  readonly phase: string;
  readonly servers: readonly { name: string; ok: boolean; since: string; cause?: { code: string; message: string } }[];
  readonly blocked: readonly Blocked[];
  readonly group: { readonly is_member: boolean; readonly partitions: Record<string, number[]> } | null;
}

interface Status {
  readonly servers: readonly { readonly name: string; readonly ok: boolean; readonly version: string | null }[];
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly lag: number;
    readonly process: string | null;
    readonly blocked: { readonly code: string; readonly since: string } | null;
  }[];
  readonly checks: readonly { readonly kind: string; readonly ageS: number; findings: number; scope: string }[];
  readonly waiting: {
    readonly dead_letters: readonly { readonly reason: string; readonly count: number }[];
    readonly unpriced: { readonly count: number; readonly by_meters: readonly { readonly meters: string[] }[] };
  };
}

const DEADLINE_MS = 100_000;
const TIMING = { TOLLBOOK_RETRY_PAUSE_MAX_MS: '500', TOLLBOOK_ALARM_AFTER_MS: '1000', TOLLBOOK_METRICS_PORT: '0' };

describe('what tollbook consume tells of itself', function () {
  this.timeout(240_000);
  let world: LedgerWorld;
  let child: ConsumeChild;
  let admin: pg.Client;

  before(async () => {
    world = await LedgerWorld.create({ partitions: 2 });
    admin = new pg.Client({ connectionString: world.database.url });
    await admin.connect();
    child = startConsume({ ...world.environment, ...TIMING });
    await send(world.kafka, topic(), [...messages(0, 3), ...messages(1, 3)]);
    await until('it is ready', async () => (await readiness()).status === 'ready' && (await world.lag()) === 0n);
  });

  after(async () => {
    killConsumers();
    await admin.end();
    await world.close();
  });

  const topic = (): string => world.config.topicCompleted;
  const until = (what: string, holds: () => boolean | Promise<boolean>): Promise<void> =>
    waitUntil(what, holds, DEADLINE_MS);
  const messages = (partition: number, count: number, first = 0): ReturnType<typeof completions> =>
    completions(`tenant-${partition}`, count, { partition, first });

  async function get(path: string): Promise<Response> {
    const port = (): string | undefined => /"metricsPort":(\d+)/.exec(child.log())?.[1];
    await until('the child has logged its port', () => port() !== undefined);
    return fetch(`http://127.0.0.1:${port()!}${path}`);
  }

  async function readiness(): Promise<Readiness & { readonly code: number }> {
    const response = await get('/readyz');
    return { ...((await response.json()) as Readiness), code: response.status };
  }

  /** Waits until readiness tells of a stopped partition, and returns what it tells. */
  async function blockedBy(code: RegExp, partition: number): Promise<Blocked> {
    let found: Blocked | undefined;
    await until(`partition ${partition} is told to be stopped by ${code.source}`, async () => {
      const told = await readiness();
      found = told.blocked.find((each) => each.partition === partition && code.test(each.code));
      if (found !== undefined) expect([told.code, told.status]).to.deep.equal([503, 'not_ready']);
      return found !== undefined;
    });
    return found!;
  }

  async function figure(name: string, labels: string): Promise<number | undefined> {
    const text = await (await get('/metrics')).text();
    const line = text.split('\n').find((each) => each.startsWith(`${name}{`) && each.includes(labels));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  }

  /** Fails unless everything is charged, nothing is told of a stop any more, and the same process is still there. */
  async function expectMended(): Promise<void> {
    await until('everything is charged', async () => (await world.lag()) === 0n);
    await until('it is ready again', async () => (await readiness()).status === 'ready');
    expect((await readiness()).blocked).to.deep.equal([]);
    expect(await figure('tollbook_partition_blocked_seconds', 'partition')).to.equal(undefined);
    expect((await get('/livez')).status).to.equal(200);
  }

  async function expectRisingAndAlarmed(partition: number, code: string): Promise<void> {
    const labels = `partition="${partition}",code="${code}"`;
    const first = (await figure('tollbook_partition_blocked_seconds', labels)) ?? 0;
    await until('the figure rises', async () => {
      return ((await figure('tollbook_partition_blocked_seconds', labels)) ?? 0) > first;
    });
    const alarms = (): string[] =>
      child
        .log()
        .split('\n')
        .filter((line) => line.includes('is still stopped') && line.includes(code));
    await until('the log says ERROR', () => alarms().length > 0);
    expect(alarms()[0])
      .to.include('"level":50')
      .and.to.include('"remedy"')
      .and.to.not.match(/\\n +at /);
  }

  it('is alive, ready, a member of its group, and served to this machine alone', async () => {
    const told = await readiness();
    expect(told).to.deep.include({ code: 200, status: 'ready', phase: 'running', blocked: [] });
    expect(told.servers.map(({ name, ok }) => [name, ok])).to.have.deep.members([
      ['kafka', true],
      ['postgres', true],
      ['redis', true],
    ]);
    expect(told.group).to.deep.include({ is_member: true });
    expect(told.group!.partitions[topic()]).to.deep.equal([0, 1]);
    expect(child.log()).to.include('"metricsHost":"127.0.0.1"');
  });

  it('tells of every partition that a database which only reads has stopped, and continues when it writes again', async () => {
    await setReadOnly(true);
    await send(world.kafka, topic(), [...messages(0, 2, 10), ...messages(1, 2, 10)]);
    for (const partition of [0, 1]) await blockedBy(/^POSTGRES_/, partition);
    await until('PostgreSQL is told to be away', async () => {
      const postgres = (await readiness()).servers.find(({ name }) => name === 'postgres');
      return postgres?.ok === false && postgres.cause!.message.includes('read-only');
    });
    await expectRisingAndAlarmed(0, (await blockedBy(/^POSTGRES_/, 0)).code);
    await setReadOnly(false);
    await expectMended();
  });

  it('tells of a partition whose account somebody has locked, while it waits, and continues when the lock is gone', async () => {
    await admin.query('BEGIN');
    await admin.query(`SELECT FROM accounts WHERE tenant_id = 'tenant-0' FOR UPDATE`);
    const lockedAt = new Date(Date.now() - 1).toISOString();
    await send(world.kafka, topic(), messages(0, 2, 20));
    const blocked = await blockedBy(/./, 0);
    expect(blocked.code).to.match(/^(CHARGE_STALLED|POSTGRES_)/);
    expect(blocked.since > lockedAt).to.equal(true);
    await expectRisingAndAlarmed(0, blocked.code);
    await admin.query('ROLLBACK');
    await expectMended();
  });

  it('tells of messages that Kafka has lost, what an operator does, and continues when the loss is accepted', async () => {
    await setReadOnly(true);
    await send(world.kafka, topic(), messages(1, 4, 30));
    await blockedBy(/^POSTGRES_/, 1);
    const end = (await world.admin.fetchTopicOffsets(topic())).find(({ partition }) => partition === 1)!.high;
    const toOffset = BigInt(end) - 2n;
    await world.admin.deleteTopicRecords({ topic: topic(), partitions: [{ partition: 1, offset: String(toOffset) }] });
    await setReadOnly(false);
    const blocked = await blockedBy(/^STREAM_GAP$/, 1);
    expect(blocked.remedy).to.include('tollbook cursors accept-gap');
    await expectRisingAndAlarmed(1, 'STREAM_GAP');
    const stopped = await statusOfPartition(1, 'STREAM_GAP');
    expect(stopped.blocked).to.include({ code: 'STREAM_GAP', since: blocked.since });
    expect(stopped.process).to.match(/:\d+$/);
    expect(stopped.lag).to.be.above(0);
    await acceptGap(world.pool, {
      source: { topic: topic(), partition: 1 },
      toOffset,
      actor: 'ops',
      reason: 'accepted in a test',
    });
    await expectMended();
    expect(child.log()).to.include('partition continues');
  });

  it('counts what an open transaction holds back as not charged, and nothing once its marker ends the log', async () => {
    const { Partitioners } = kafkajs;
    const producer = world.kafka.producer({
      transactionalId: uniqueTopic('gateway'),
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    const transaction = await producer.transaction();
    await transaction.send({ topic: topic(), messages: messages(0, 7, 40) });
    const lag = (): Promise<number | undefined> => figure('tollbook_stream_lag', `topic="${topic()}"`);
    const age = (): Promise<number | undefined> =>
      figure('tollbook_oldest_uncharged_seconds', `topic="${topic()}",partition="0"`);
    await until('the lag counts what waits', async () => (await lag()) === 7);
    await until('its age rises', async () => ((await age()) ?? 0) > 0.5);
    await transaction.commit();
    await producer.disconnect();
    await until('the lag is gone', async () => (await lag()) === 0);
    expect(await age()).to.equal(0);
    expect((await readiness()).status).to.equal('ready');
  });

  it('is what tollbook status shows of all processes: healthy, or which server is away, at once', async () => {
    const { servers, partitions } = await statusEnding(0);
    expect(servers.find(({ name }) => name === 'postgres')!.version).to.match(/^\d+/);
    expect(partitions.map(({ lag, blocked }) => [lag, blocked])).to.deep.equal(
      Array.from({ length: 4 }, () => [0, null]),
    );
    const away = await statusEnding(3, { KAFKA_BROKERS: '127.0.0.1:1' });
    expect(away.servers.find(({ name }) => name === 'kafka')).to.deep.include({ ok: false, version: null });
    expect(away.partitions).to.equal(null);
  });

  it('has in tollbook status how old the latest checks are, and what waits by its reason', async () => {
    const unpriced = completion('tenant-0', 'parked', { pricing: { input_per_1k: '0.003', currency: 'USD' } });
    await send(world.kafka, topic(), [messageOf(unpriced, 0), { key: 'tenant-1', value: 'no JSON', partition: 1 }]);
    await until('both are set aside', async () => (await world.lag()) === 0n);
    for (const command of [['verify'], ['reconcile'], ['audit'], ['verify', '--tenant', 'tenant-0']]) {
      const { exitCode, stderr } = await runTollbook(command, world.environment as Record<string, string>);
      expect(exitCode, stderr).to.equal(0);
    }
    const { checks, waiting } = await statusEnding(0);
    const scopes = checks.map(({ kind, findings, scope }) => [kind, findings, scope]);
    expect(scopes).to.deep.include.members([
      ['verify', 0, 'everything'],
      ['reconcile', 0, 'both topics'],
    ]);
    expect(checks.map(({ kind }) => kind)).to.have.members(['verify', 'reconcile', 'audit']);
    for (const { ageS } of checks) expect(ageS).to.be.within(0, 200);
    expect(waiting.unpriced.by_meters).to.have.lengthOf(1);
    expect(waiting.unpriced.by_meters[0])
      .to.include({ count: 1 })
      .and.to.deep.include({ meters: ['output_tokens'] });
    expect(waiting.dead_letters.map(({ reason, count }) => [reason, count])).to.deep.equal([['INVALID_JSON', 1]]);
  });

  it('has in tollbook status that PostgreSQL answers and only reads, as degraded', async () => {
    await setReadOnly(true);
    const { servers, waiting } = await statusEnding(1);
    const postgres = servers.find(({ name }) => name === 'postgres')!;
    expect(postgres).to.include({ ok: false }).and.to.have.nested.property('cause.message').that.includes('read-only');
    expect(waiting.unpriced.count).to.equal(1);
    await setReadOnly(false);
    await expectMended();
  });

  it('is degraded, and ready, without Redis: PostgreSQL decides meanwhile', async () => {
    const environment = { ...world.environment, ...TIMING, REDIS_URL: 'redis://127.0.0.1:1' };
    const group = { TOLLBOOK_CONSUMER_GROUP: uniqueTopic('group') };
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    child = startConsume({ ...environment, ...group }, ['--no-project']);
    await until('it is degraded', async () => (await readiness()).status === 'degraded');
    const told = await readiness();
    expect(told.code).to.equal(200);
    expect(told.servers.find(({ name }) => name === 'redis')!.cause).to.include({ code: 'REDIS_UNAVAILABLE' });
  });

  /** Runs `tollbook status` until it ends with this code: processes report every few seconds, and machines may be slow. */
  async function statusEnding(exitCode: number, settings: Readonly<Record<string, string>> = {}): Promise<Status> {
    let document: Status | undefined;
    await until(`status ends with ${exitCode}`, async () => {
      const environment = { ...(world.environment as Record<string, string>), ...settings };
      const result = await runTollbook(['status', '--json'], environment);
      document = JSON.parse(result.stdout) as Status;
      return result.exitCode === exitCode;
    });
    return document!;
  }

  /** What status says of a partition once its process has reported that it stopped for this cause. */
  async function statusOfPartition(partition: number, code: string): Promise<Status['partitions'][number]> {
    let found: Status['partitions'][number] | undefined;
    await until(`status names ${code}`, async () => {
      const { partitions } = await statusEnding(1);
      found = partitions.find((each) => each.topic === topic() && each.partition === partition);
      return found?.blocked?.code === code;
    });
    return found!;
  }

  /** What a failover does: sessions end, and new ones may only read. The administrator's own session stays. */
  async function setReadOnly(isReadOnly: boolean): Promise<void> {
    const name = new URL(world.database.url).pathname.slice(1);
    const setting = 'default_transaction_read_only';
    await admin.query(`ALTER DATABASE "${name}" ${isReadOnly ? `SET ${setting} = on` : `RESET ${setting}`}`);
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name IN ('tollbook-consume', 'tollbook-watch')`,
    );
  }
});
