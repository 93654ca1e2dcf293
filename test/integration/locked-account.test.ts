/** Owns: the proof that an account which somebody keeps locked delays only its own partition, and that the log names who it is. */
import { expect } from 'chai';
import pg from 'pg';
import { LedgerWorld } from '../support/ledger-world.js';
import { completions, send } from '../support/usage-messages.js';

const MESSAGES = 20;

describe('an account row that an administrator keeps locked', function () {
  this.timeout(180_000);
  let world: LedgerWorld;
  let administrator: pg.Client;

  before(async () => {
    world = await LedgerWorld.create({ partitions: 3 });
    administrator = new pg.Client({ connectionString: world.database.url, application_name: 'somebody-at-psql' });
    await administrator.connect();
  });

  after(async () => {
    await administrator.end();
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

  it('delays its own tenant until it is free, nobody else, and is told with the session in the way', async () => {
    const ledger = await world.start();
    await publish(0);
    await world.drain();
    await administrator.query('BEGIN');
    await administrator.query(`SELECT FROM accounts WHERE tenant_id = 'locked' FOR UPDATE`);
    await publish(MESSAGES);
    await world.until('the others are charged', async () => {
      const counts = [await charged('free-1'), await charged('free-2')];
      return counts.every((count) => count === 2 * MESSAGES);
    });
    const isNamed = (text: string): boolean => /blocked by pid \d+, user \w+, application somebody-at-psql/.test(text);
    await world.until('the session in the way is named', () =>
      world.log.some(({ err }) => err?.code === 'POSTGRES_LOCKED' && isNamed(err.message ?? '')),
    );
    expect(await charged('locked')).to.equal(MESSAGES);
    await administrator.query('ROLLBACK');
    await world.drain();
    expect(await charged('locked')).to.equal(2 * MESSAGES);
    await world.stop(ledger);
    await world.assertProven();
  });
});
