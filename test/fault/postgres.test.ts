/**
 * Owns: what PostgreSQL can do to the ledger while it is charged: stop, cut connections, fall back to an older backup, run
 * out of disk. Each test names its row of docs/failure-windows.md.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import {
  asSuperuser,
  cutConnections,
  dataFolderOf,
  isRunning,
  reviveServer,
  signalServer,
  useFaultStack,
} from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { backUpPostgres, ownLike, restorePostgres } from '../support/postgres-backup.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completion, COMPLETION_COST, messageOf, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const DAY_MS = 86_400_000;

describe('charging while PostgreSQL', function () {
  this.timeout(180_000);
  let world: FaultWorld;

  useFaultStack();

  beforeEach(async () => {
    world = await FaultWorld.create();
  });

  afterEach(async () => {
    await reviveServer('postgres');
    await world.close();
  });

  /** Redrives all letters, and fails unless so many are charged. */
  async function redrive(letters: number): Promise<void> {
    const settings = {
      ...(world.ledger.environment as Record<string, string>),
      TOLLBOOK_EVENT_AGE_MAX_MS: String(90 * DAY_MS),
    };
    const which = ['--letter-reason', 'OCCURRED_AT_TOO_OLD', '--yes', '--actor', 'ops'];
    const { exitCode, stderr } = await runTollbook(['dead-letters', 'redrive', ...which], settings);
    expect(exitCode, stderr).to.equal(0);
    const charges = await world.ledger.rows(`SELECT FROM ledger_entries WHERE tenant_id = 'old' AND type = 'DEDUCT'`);
    expect(charges).to.have.length(letters);
  }

  function databaseName(): string {
    return new URL(world.ledger.database.url).pathname.slice(1);
  }

  it('connection cut, server stopped: immediate stop in mid-transaction, and a restart', async () => {
    await world.publish(80);
    const child = world.start({ faults: 'database.before-commit=delay:2000@4' });
    await world.reached(child, 'database.before-commit');
    const brokenAtMs = performance.now();
    signalServer('postgres', 'SIGQUIT');
    await waitUntil('PostgreSQL is gone', () => !isRunning('postgres'));
    await reviveServer('postgres');
    await world.recover('PostgreSQL stopped in mid-transaction', brokenAtMs, [child]);
  });

  it('connection cut, server stopped: every connection is cut in mid-transaction, three times', async () => {
    await world.publish(80);
    const child = world.start({ faults: 'database.before-commit=delay:25' });
    for (let time = 1; time <= 3; time += 1) {
      await world.batches(3);
      await cutConnections(world.ledger.database.url);
    }
    await world.recover('PostgreSQL connections cut', performance.now(), [child]);
  });

  it('restored from an older backup: consumers re-read from the restored cursors, and hashes ahead of the ledger are corrected', async () => {
    const [first, second] = [await world.plan(40), await world.plan(40)];
    await world.ledger.publish(first);
    const child = world.start();
    await charged();
    await backUpPostgres();
    await world.ledger.publish(second);
    await charged();
    const entries = await world.ledger.count('ledger_entries');
    const brokenAtMs = await restorePostgres();
    expect(await world.ledger.count('ledger_entries')).to.be.below(entries);
    await world.recover('PostgreSQL restored from an older backup', brokenAtMs, [child]);
    expect(child.log()).to.include('quota hash is ahead of its ledger');
  });

  it('database restored from before a redrive: the letters are open again, and redriven again each is charged once', async () => {
    const { kafka, config } = world.ledger;
    const occurred_at = new Date(Date.now() - 60 * DAY_MS).toISOString();
    const old = [1, 2, 3].map((number) => messageOf(completion('old', `old-${number}`, { occurred_at }), 0));
    await send(kafka, config.topicCompleted, old);
    const child = world.start();
    await charged();
    await backUpPostgres();
    await redrive(old.length);
    const brokenAtMs = await restorePostgres();
    expect(await world.ledger.count('dead_letters')).to.equal(old.length);
    await redrive(old.length);
    world.besides.push(...old.map(() => COMPLETION_COST));
    await world.recover('PostgreSQL restored from before a redrive', brokenAtMs, [child]);
  });

  it('disk full: charging waits, and goes on by itself once there is room', async function () {
    const folder = mkdtempSync(path.join(path.dirname(dataFolderOf('postgres')), 'small-disk-'));
    if (!mount(folder, '400k')) {
      rmSync(folder, { recursive: true });
      this.skip(); // a small file system takes the right to mount one
    }
    try {
      ownLike(dataFolderOf('postgres'), folder);
      await asSuperuser(`CREATE TABLESPACE small_disk LOCATION '${folder}'`);
      await asSuperuser('ALTER TABLE ledger_entries SET TABLESPACE small_disk', databaseName());
      await world.publish(1_200, { tenants: 4 });
      const child = world.start({ settings: { TOLLBOOK_CHUNK_MESSAGES_MAX: '200' } });
      await waitUntil('the disk is full', () => child.log().includes('No space left on device'), 60_000);
      const brokenAtMs = performance.now();
      expect(mount(folder, '64m', 'remount,')).to.equal(true);
      await world.recover('PostgreSQL out of disk', brokenAtMs, [child]);
      await asSuperuser('ALTER TABLE ledger_entries SET TABLESPACE pg_default', databaseName());
      await asSuperuser('DROP TABLESPACE small_disk');
    } finally {
      spawnSync('umount', ['-l', folder]);
      rmSync(folder, { recursive: true, force: true });
    }
  });

  async function charged(): Promise<void> {
    await waitUntil('everything published is charged', async () => (await world.ledger.lag()) === 0n, 60_000);
  }
});

function mount(folder: string, size: string, how = ''): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `${how}size=${size}`, 'tmpfs', folder]).status === 0;
}
