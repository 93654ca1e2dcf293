/**
 * Owns: operators' commands and redrives whose process is killed: sent again they write what is missing and nothing twice.
 * Each test names its row of docs/failure-windows.md.
 */
import { expect } from 'chai';
import type { FaultPoint } from '../../src/runtime/fault-points.js';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { completion, COMPLETION_COST, messageOf, send } from '../support/usage-messages.js';

const DAY_MS = 86_400_000;
const LETTERS = 5;

describe('a command', function () {
  this.timeout(180_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create();
  });

  after(() => world.close());

  function tollbook(args: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<CliResult> {
    return runTollbook(args, { ...(world.ledger.environment as Record<string, string>), ...settings });
  }

  function credit(tenantId: string, faults = ''): Promise<CliResult> {
    const why = ['--key', 'top-up', '--actor', 'ops', '--reason', 'a test'];
    return tollbook(['credit', tenantId, '--amount', '5', ...why], { TOLLBOOK_FAULTS: faults });
  }

  async function balanceOf(tenantId: string): Promise<string | undefined> {
    const rows = await world.ledger.rows<{ balance: string }>('SELECT balance FROM accounts WHERE tenant_id = $1', [
      tenantId,
    ]);
    return rows[0]?.balance;
  }

  for (const point of ['ledger.cursor-locked', 'ledger.accounts-locked', 'database.before-commit'] as const) {
    it(`crash before the commit: killed at ${point} it leaves nothing, and sent again it is booked`, async () => {
      const tenantId = `before-${point}`;
      expect((await credit(tenantId, `${point}=kill`)).stderr).to.include(`fault point ${point}: kill`);
      const brokenAtMs = performance.now();
      expect(await balanceOf(tenantId)).to.equal(undefined);
      expect((await credit(tenantId)).stdout).to.not.include('was booked before');
      expect(await balanceOf(tenantId)).to.equal('5.000000000');
      await world.recover(`a command killed at ${point}`, brokenAtMs);
    });
  }

  for (const point of ['database.committed', 'command.booked'] as const) {
    it(`crash after the commit, before the answer: killed at ${point} it is booked, and sent again it says so`, async () => {
      const tenantId = `after-${point}`;
      expect((await credit(tenantId, `${point}=kill`)).stderr).to.include(`fault point ${point}: kill`);
      const brokenAtMs = performance.now();
      expect(await balanceOf(tenantId)).to.equal('5.000000000');
      expect((await world.ledger.scripts.versions([tenantId]))[0]).to.equal(null);
      await world.recover(`a command killed at ${point}`, brokenAtMs);
      expect((await credit(tenantId)).stdout).to.include('was booked before');
      expect(await balanceOf(tenantId)).to.equal('5.000000000');
    });
  }

  it('committed, not projected yet: a process that is running projects it', async () => {
    const child = world.start();
    expect((await credit('followed', 'command.booked=kill')).exitCode).to.equal(null);
    await world.recover('a command killed beside a running process', performance.now(), [child]);
  });

  const redrives: readonly [window: string, point: FaultPoint, redriven: number][] = [
    ['crash before the commit', 'charge.asked', 0],
    ["the commit's answer is lost", 'database.committed', LETTERS],
    ['crash after the commit', 'database.committed', LETTERS],
  ];
  for (const [window, point, redriven] of redrives) {
    it(`redrive, ${window}: killed at ${point}, and redriven again, each letter is charged once`, async () => {
      const tenantId = await bury();
      const killed = await redrive(`${point}=kill`);
      expect(killed.stderr).to.include(`fault point ${point}: kill`);
      const brokenAtMs = performance.now();
      expect(await chargedOf(tenantId)).to.equal(redriven);
      if (window !== 'crash after the commit') await redriveAll();
      expectLettersCharged();
      await world.recover(`a redrive: ${window}`, brokenAtMs);
      expect(await chargedOf(tenantId)).to.equal(LETTERS);
    });
  }

  it('two redrives of one letter: each letter is charged once', async () => {
    const tenantId = await bury();
    const brokenAtMs = performance.now();
    await Promise.all([redrive(), redrive()]);
    expectLettersCharged();
    await world.recover('two redrives at once', brokenAtMs);
    expect(await chargedOf(tenantId)).to.equal(LETTERS);
  });

  let buried = 0;

  /** Lets completions that are too old become dead letters; returns their tenant. */
  async function bury(): Promise<string> {
    const tenantId = `old-${(buried += 1)}`;
    const occurred_at = new Date(Date.now() - 60 * DAY_MS).toISOString();
    const events = Array.from({ length: LETTERS }, (_, index) =>
      completion(tenantId, `${tenantId}-${index}`, { occurred_at }),
    );
    await send(
      world.ledger.kafka,
      world.ledger.config.topicCompleted,
      events.map((event) => messageOf(event, 0)),
    );
    const charging = await world.ledger.start();
    await world.ledger.drain();
    await world.ledger.stop(charging);
    return tenantId;
  }

  function redrive(faults = ''): Promise<CliResult> {
    const which = ['--letter-reason', 'OCCURRED_AT_TOO_OLD', '--yes', '--actor', 'ops'];
    const settings = { TOLLBOOK_EVENT_AGE_MAX_MS: String(90 * DAY_MS), TOLLBOOK_FAULTS: faults };
    return tollbook(['dead-letters', 'redrive', ...which], settings);
  }

  async function redriveAll(): Promise<void> {
    const { exitCode, stderr } = await redrive();
    expect(exitCode, stderr).to.equal(0);
  }

  /** From now on the letters buried last count among what must be charged. */
  function expectLettersCharged(): void {
    world.besides.push(...Array.from({ length: LETTERS }, () => COMPLETION_COST));
  }

  async function chargedOf(tenantId: string): Promise<number> {
    const sql = `SELECT FROM ledger_entries WHERE tenant_id = $1 AND status = 'COMMITTED' AND type = 'DEDUCT'`;
    return (await world.ledger.rows(sql, [tenantId])).length;
  }
});
