/**
 * Owns: a PostgreSQL that is put back to an earlier state: who is told, and how everything comes back. The test names its row
 * of docs/failure-windows.md.
 */
import { expect } from 'chai';
import type { CreditCommand } from '../../src/ledger/commands/command.js';
import { commandSource } from '../../src/ledger/commands/command-stream.js';
import { parseAmount } from '../../src/ledger/money.js';
import type { StatusDocument } from '../../src/operations/status.js';
import type { ReadinessDocument } from '../../src/process/readiness.js';
import type { ConsumeChild } from '../support/consume-child.js';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { journalSettings, JournalWorld } from '../support/journal-world.js';
import { sumOf } from '../support/planned-tenants.js';
import { backUpPostgres, restorePostgres } from '../support/postgres-backup.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { COMPLETION_COST, completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const WAIT_MS = 60_000;
const TENANT = 'acme';
const BY = { actor: 'ops', reason: 'by hand' };

describe('commands in a journal', function () {
  this.timeout(240_000);
  let world: FaultWorld;
  let journal: JournalWorld;

  useFaultStack();

  beforeEach(async () => {
    world = await FaultWorld.create(journalSettings(), 1);
    journal = new JournalWorld(world.ledger);
  });

  afterEach(() => world.close());

  it('PostgreSQL put back to an earlier state, processes running: somebody is told what is gone, and all of it comes back', async () => {
    const { ledger } = world;
    const child = world.start({ settings: { TOLLBOOK_METRICS_PORT: '0' } });
    await journal.book(credit('kept', '10'));
    await charge(0, 2);
    await backUpPostgres();
    await charge(2, 2);
    for (const key of ['lost-1', 'lost-2']) await journal.book(credit(key, '3'));
    await journal.book({ kind: 'refund', tenantId: TENANT, key: 'lost-3', of: { traceId: `${TENANT}-2` }, ...BY });
    const before = await balance();
    await waitUntil('all commands are in the journal', async () => (await journal.waiting()) === 0, WAIT_MS);
    await restorePostgres();

    await told(child);
    await waitUntil('the charges are back', async () => (await ledger.lag()) === 0n, WAIT_MS);
    expect(await journal.replayInto(ledger.database, { isDryRun: true })).to.include({
      would_book: 3,
      booked: 0,
      refused: 0,
    });
    expect(await journal.replay()).to.include({ exitCode: 0, booked: 3, already_booked: 1 });
    expect(await balance()).to.equal(before);
    expect(await journal.replayInto(ledger.database)).to.include({ booked: 0, refused: 0, conflict: 0 });
    await waitUntil('it is mended', () => child.log().includes('every command that was lost is booked again'), WAIT_MS);

    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    expect(await ledger.assertProven()).to.equal(sumOf(Array.from({ length: 4 }, () => COMPLETION_COST)));
    for (const check of [['reconcile'], ['verify', '--full']]) {
      const { exitCode, stdout, stderr } = await runTollbook(check, ledger.environment as Record<string, string>);
      expect(exitCode, `${check.join(' ')}: ${stdout}${stderr}`).to.equal(0);
    }
  });

  function credit(key: string, amount: string): CreditCommand {
    return { kind: 'credit', tenantId: TENANT, key, amountNano: parseAmount(amount), currency: 'USD', ...BY };
  }

  /** Publishes completions, and waits until they are charged. */
  async function charge(first: number, count: number): Promise<void> {
    const { kafka, config } = world.ledger;
    await send(kafka, config.topicCompleted, completions(TENANT, count, { partition: 0, first }));
    await waitUntil('they are charged', async () => (await world.ledger.lag()) === 0n, WAIT_MS);
  }

  async function balance(): Promise<string | undefined> {
    const sql = 'SELECT balance::text FROM accounts WHERE tenant_id = $1';
    return (await world.ledger.rows<{ balance: string }>(sql, [TENANT]))[0]?.balance;
  }

  async function status(): Promise<StatusDocument> {
    const { stdout } = await runTollbook(['status', '--json'], world.ledger.environment as Record<string, string>);
    return JSON.parse(stdout) as StatusDocument;
  }

  /** Waits until the log, /readyz, the metrics and `tollbook status` tell which batches are gone. */
  async function told(child: ConsumeChild): Promise<void> {
    const { topic, partition } = commandSource(TENANT);
    const gone = `batches 2 to 4 of ${topic}/${partition} are gone`;
    await waitUntil('the log tells', () => child.log().includes(gone), WAIT_MS).catch(() => expect.fail(child.log()));
    expect(child.log()).to.include('HISTORY_WENT_BACK').and.to.include('run \\"tollbook commands replay\\"');
    const url = `http://127.0.0.1:${/"metricsPort":(\d+)/.exec(child.log())?.[1] ?? ''}`;
    const range = { topic, partition, from_batch: 2, to_batch: 4 };
    const ready = (await (await fetch(`${url}/readyz`)).json()) as ReadinessDocument;
    expect(ready.lost_history[0]).to.include({ code: 'HISTORY_WENT_BACK', ...range });
    expect(ready.status).to.not.equal('ready');
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).to.include(`tollbook_history_lost_batches{topic="${topic}",partition="${partition}"} 3`);
    await waitUntil('status tells', async () => isDegraded(await status(), range), WAIT_MS);
  }
});

function isDegraded({ status, lost_history: lost }: StatusDocument, range: object): boolean {
  const isTold = lost?.some((each) =>
    Object.entries(range).every(([name, value]) => Reflect.get(each, name) === value),
  );
  return status === 'degraded' && isTold === true;
}
