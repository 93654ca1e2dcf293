/** Owns: that every command reaches the journal, whatever happens on the way, and comes back from it once. */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import { createJournalTopic } from '../../src/cli/topics-command.js';
import { recordText } from '../../src/command-journal/journal-record.js';
import type { CreditCommand, LedgerCommand } from '../../src/ledger/commands/command.js';
import { parseAmount } from '../../src/ledger/money.js';
import type { JournalRow } from '../../src/ledger/postgres/journal-rows.js';
import type { StatusDocument } from '../../src/operations/status.js';
import { checkJournalTopic } from '../../src/runtime/topic-settings.js';
import { type ConsumeChild, killConsumers, startTollbook } from '../support/consume-child.js';
import { JournalWorld } from '../support/journal-world.js';
import { createTestDatabase, openOwnerPool, type TestDatabase } from '../support/test-database.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';
import { countMessages, createTopics, deleteTopics, uniqueTopic } from './kafka-topics.js';

const WAIT_MS = 60_000;
const BY = { actor: 'ops', reason: 'by hand' };

function credit(tenantId: string, key: string, amount = '5'): CreditCommand {
  return { kind: 'credit', tenantId, key, amountNano: parseAmount(amount), currency: 'USD', ...BY };
}

describe('the journal of commands', function () {
  this.timeout(180_000);
  let world: JournalWorld;
  let empty: TestDatabase;

  beforeEach(async () => {
    world = await JournalWorld.create();
    empty = await createTestDatabase();
  });

  afterEach(async () => {
    killConsumers();
    await empty.drop();
    await world.close();
  });

  /** What a database has of commands, and of the accounts they are about. */
  async function commandsOf(database: TestDatabase): Promise<object> {
    const pool = openOwnerPool(database);
    const commands = await pool.query('SELECT tenant_id, key, kind, actor, content FROM ledger_commands ORDER BY 1, 2');
    const terms = await pool.query(
      'SELECT tenant_id, currency, credit_limit, daily_quota, monthly_quota, hold_policy FROM accounts ORDER BY 1',
    );
    await pool.end();
    return { commands: commands.rows as unknown[], terms: terms.rows as unknown[] };
  }

  function project(settings: Readonly<Record<string, string>> = {}): ConsumeChild {
    return startTollbook(['project'], { ...world.ledger.environment, ...settings });
  }

  const published = (): Promise<number> => countMessages(world.ledger.kafka, world.topic);

  it('has every command a running process has seen booked, and an empty database takes them back by their keys', async () => {
    const { ledger } = world;
    const commands: LedgerCommand[] = [
      credit('acme', 'c1'),
      {
        ...{ kind: 'open-account', tenantId: 'bolt', key: 'o1', ...BY },
        terms: { creditLimitNano: parseAmount('7'), monthlyQuota: 90, holdPolicy: 'none' },
      },
      { kind: 'limits', tenantId: 'acme', key: 'l1', terms: { dailyQuota: 12 }, ...BY },
      { kind: 'adjust', tenantId: 'acme', key: 'a1', amountNano: parseAmount('-1.25'), ...BY },
      credit('bolt', 'c1', '0.000000001'),
    ];
    for (const command of commands) await world.book(command);
    const running = await ledger.start();
    await ledger.until('all are published', async () => (await published()) === commands.length);
    await ledger.stop(running);
    expect(await world.waiting()).to.equal(0);
    expect(await world.replayInto(empty, { isDryRun: true })).to.include({ would_book: 5, booked: 0 });
    const hourAgo = new Date(Date.now() - 3_600_000).toISOString();
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
    const starts = [{ offset: 3n }, { at: hourAgo }, { at: inAnHour }];
    const found = starts.map(async (from) => (await world.replayInto(empty, { isDryRun: true, from })).would_book);
    expect(await Promise.all(found), 'from an offset, and from two instants').to.deep.equal([2, 5, 0]);
    expect(await world.replayInto(empty)).to.include({ booked: 5, already_booked: 0 });
    expect(await commandsOf(empty)).to.deep.equal(await commandsOf(ledger.database));
    expect(await world.replayInto(empty)).to.include({ booked: 0, already_booked: 5 });
  });

  it('killed between Kafka and its position, a process leaves a second record, and the replay books once', async () => {
    await world.book(credit('acme', 'c1'));
    const killed = project({ TOLLBOOK_FAULTS: 'journal.published=kill' });
    expect(await killed.ended, killed.log()).to.equal('SIGKILL');
    expect([await published(), await world.waiting()]).to.deep.equal([1, 1]);
    await world.publish();
    expect([await published(), await world.waiting()]).to.deep.equal([2, 0]);
    expect(await world.replayInto(empty)).to.include({ booked: 1, already_booked: 1 });
  });

  it('is no condition of booking: with Kafka away commands are booked, the lag is told, and it follows later', async () => {
    const child = project({ KAFKA_BROKERS: '127.0.0.1:1', TOLLBOOK_METRICS_PORT: '0' });
    await world.book(credit('acme', 'c1'));
    const port = (): string | undefined => /metricsPort[^0-9]*(\d+)/.exec(child.log())?.[1];
    await waitUntil('it is told', () => child.log().includes('not published to the journal'), WAIT_MS);
    const metrics = await (await fetch(`http://127.0.0.1:${port() ?? ''}/metrics`)).text();
    expect(metrics).to.match(/tollbook_journal_lag\{topic="[^"]+"\} 1\n/);
    const { stdout } = await runTollbook(['status', '--json'], world.ledger.environment as Record<string, string>);
    expect((JSON.parse(stdout) as StatusDocument).journal).to.include({ topic: world.topic, commands_waiting: 1 });
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    await world.publish();
    expect([await published(), await world.waiting()]).to.deep.equal([1, 0]);
  });

  it('is published by one of many processes, each stream in its order', async () => {
    for (let number = 0; number < 40; number += 1) await world.book(credit(`t${number % 4}`, `c${number}`));
    await Promise.all([world.publish(), world.publish(), world.publish()]);
    await world.publish();
    expect([await published(), await world.waiting()]).to.deep.equal([40, 0]);
    expect(await world.replayInto(empty)).to.include({ booked: 40, already_booked: 0 });
  });

  it('deleted and created again, gets every command from the first on', async () => {
    const { kafka } = world.ledger;
    for (const key of ['c1', 'c2']) await world.book(credit('acme', key));
    await world.publish();
    await deleteTopics(kafka, [world.topic]);
    await createJournalTopic(kafka, world.topic);
    await world.publish();
    await world.publish();
    expect([await published(), await world.waiting()]).to.deep.equal([2, 0]);
    expect(await world.replayInto(empty)).to.include({ booked: 2 });
  });

  it('replayed, names what is not booked: another command under a used key, a refund without its charge, no record', async () => {
    const { ledger } = world;
    await world.book(credit('acme', 'k1'));
    const row: JournalRow = {
      ...{ tenantId: 'acme', key: 'k1', kind: 'credit', actor: 'ops', seq: 2, batchNo: 1, hash: '0'.repeat(64) },
      content: { amount: '6.000000000', currency: 'USD', reason: 'by hand' },
      ...{ bookedAt: new Date().toISOString(), referenceTraceId: null, openedWith: null },
    };
    const refund = { trace: 'req-1', amount: 'all that is left', currency: 'USD', reason: 'by hand' };
    const values = [
      recordText(0, row),
      recordText(0, { ...row, key: 'r1', kind: 'refund', content: refund }),
      recordText(0, { ...row, key: 'x1', content: { ...row.content, amount: '1e3' } }),
      recordText(0, { ...row, key: 'x2', content: { ...row.content, bonus: '1' } }),
      '{"schema_version":2}',
      'no JSON',
    ];
    await send(
      ledger.kafka,
      world.topic,
      values.map((value) => ({ key: 'acme', value })),
    );
    const { items, ...counts } = await world.replay();
    expect(counts).to.include({ exitCode: 1, booked: 0, already_booked: 0, conflict: 1, refused: 1, malformed: 4 });
    const reasons = items.map(({ message }) => message ?? '').sort();
    expect(reasons.join('\n'))
      .to.include('the key is used for the credit of entry 2, which differs in amount')
      .and.to.include('tenant acme has no trace req-1')
      .and.to.include('schema_version')
      .and.to.include('it is not JSON');
  });

  it('must be kept whole: compaction is refused, a limit of time is told', async () => {
    const { admin, kafka } = world.ledger;
    expect(await checkJournalTopic(admin, world.topic)).to.deep.equal([]);
    const topic = uniqueTopic('ledger.commands');
    await createTopics(kafka, [topic], 1);
    const change = async (name: string, value: string): Promise<void> => {
      const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] };
      await admin.alterConfigs({ validateOnly: false, resources: [resource] });
    };
    await change('retention.ms', '86400000');
    const risk = { topic, setting: 'retention.ms', found: '86400000', advised: '-1' };
    expect(await checkJournalTopic(admin, topic)).to.deep.include(risk);
    await change('cleanup.policy', 'compact');
    const refused = await checkJournalTopic(admin, topic).catch((error: unknown) => error);
    expect(refused).to.include({ code: 'TOPIC_MISCONFIGURED' });
    await deleteTopics(kafka, [topic]);
  });

  it('takes back a refund that named an entry by its number, although its charge has another number now', async () => {
    const { ledger } = world;
    await world.book(credit('acme', 'c1'));
    await send(ledger.kafka, ledger.config.topicCompleted, completions('acme', 2, { partition: 0 }));
    const running = await ledger.start();
    await ledger.drain();
    await world.book({ kind: 'refund', tenantId: 'acme', key: 'r1', of: { seq: 4 }, ...BY });
    await ledger.until('all are published', async () => (await published()) === 2);
    await ledger.stop(running);
    const config = { databaseUrl: empty.url, consumerGroup: uniqueTopic('ledger'), redisPrefix: uniqueTopic('other') };
    const restored = await ledger.start({ config: { ...config, commandsTopic: '' } });
    const pool = openOwnerPool(empty);
    const entries = async (): Promise<number> => (await pool.query('SELECT FROM ledger_entries')).rowCount ?? 0;
    await ledger.until('the charges are back', async () => (await entries()) === 3);
    expect(await world.replayInto(empty)).to.include({ booked: 2 });
    await ledger.stop(restored);
    const { rows } = await pool.query<{ seq: string; trace: string }>(
      `SELECT r.reference_seq AS seq, e.trace_id AS trace FROM ledger_entries r
       JOIN ledger_entries e ON e.tenant_id = r.tenant_id AND e.seq = r.reference_seq WHERE r.type = 'REFUND'`,
    );
    await pool.end();
    expect(rows).to.deep.equal([{ seq: '3', trace: 'acme-1' }]);
    expect(await world.replayInto(empty)).to.include({ booked: 0, already_booked: 2 });
  });
});
