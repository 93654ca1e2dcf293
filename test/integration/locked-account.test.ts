/** Owns: the proof that an account which somebody keeps locked delays only its own partition, and that the log names who it is. */
import { expect } from 'chai';
import pg from 'pg';
import { LedgerWorld } from '../support/ledger-world.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completions, send } from '../support/usage-messages.js';

const MESSAGES = 20;
/** Many times as long as one attempt at the lock takes. */
const LOCKED_MS = 12_000;

describe('an account row that an administrator keeps locked', function () {
  this.timeout(180_000);
  let world: LedgerWorld;
  let administrator: pg.Client;
  let observer: pg.Client;
  const attempts = new Set<string>();

  before(async () => {
    world = await LedgerWorld.create({ partitions: 3 });
    administrator = new pg.Client({ connectionString: world.database.url, application_name: 'somebody-at-psql' });
    await administrator.connect();
    observer = new pg.Client({ connectionString: world.database.url });
    await observer.connect();
  });

  after(async () => {
    await administrator.end();
    await observer.end();
    await world.close();
  });

  async function publish(first: number): Promise<void> {
    const messages = ['locked', 'free-1', 'free-2'].flatMap((tenantId, partition) =>
      completions(tenantId, MESSAGES, { partition, first }),
    );
    await send(world.kafka, world.config.topicCompleted, messages);
  }

  async function charged(tenantId: string): Promise<number> {
    const condition = `tenant_id = $1 AND type = 'DEDUCT'`;
    return (await world.rows(`SELECT FROM ledger_entries WHERE ${condition}`, [tenantId])).length;
  }

  function lockAccount(): Promise<unknown> {
    return administrator.query(`BEGIN; SELECT FROM accounts WHERE tenant_id = 'locked' FOR UPDATE`);
  }

  it('delays its own tenant until it is free, nobody else, and is told with the session in the way', async () => {
    const ledger = await world.start();
    await publish(0);
    await world.drain();
    await lockAccount();
    const endsAtMs = Date.now() + LOCKED_MS;
    let rounds = 1;
    for (; Date.now() < endsAtMs; rounds += 1) {
      await publish(rounds * MESSAGES);
      await world.until('the others are charged', async () => {
        const counts = [await charged('free-1'), await charged('free-2')];
        return counts.every((count) => count === (rounds + 1) * MESSAGES);
      });
    }
    const isNamed = (text: string): boolean => /blocked by pid \d+, user \w+, application somebody-at-psql/.test(text);
    await world.until('the session in the way is named', () =>
      world.log.some(({ err }) => err?.code === 'POSTGRES_LOCKED' && isNamed(err.message ?? '')),
    );
    expect(await charged('locked')).to.equal(MESSAGES);
    expect(world.log.filter(({ msg }) => msg.startsWith('partition stopped'))).to.have.length(1);
    await administrator.query('ROLLBACK');
    await world.drain();
    expect(await charged('locked')).to.equal(rounds * MESSAGES);
    await world.stop(ledger);
    await world.assertProven();
  });

  it('lets a command wait until it is free', async () => {
    await lockAccount();
    const identity = ['--key', 'while-locked', '--actor', 'test', '--reason', 'a test'];
    const credit = runTollbook(
      ['credit', 'locked', '--amount', '5', ...identity],
      world.environment as Record<string, string>,
    );
    await world.until('a second attempt waits for the account', () => waitsAgain());
    await administrator.query('ROLLBACK');
    expect(await credit).to.include({ exitCode: 0, stderr: '' });
    await world.assertProven();
  });

  /** Whether somebody waits for a lock, whose first attempt has ended. */
  async function waitsAgain(): Promise<boolean> {
    const { rows } = await observer.query<{ since: string }>(
      `SELECT xact_start::text AS since FROM pg_stat_activity
       WHERE wait_event_type = 'Lock' AND application_name = 'tollbook-credit' AND datname = current_database()`,
    );
    for (const { since } of rows) attempts.add(since);
    return attempts.size >= 2;
  }
});
