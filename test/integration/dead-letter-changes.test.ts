/**
 * Owns: `tollbook dead-letters redrive | discard` as operators use them, beside a running ledger process: selecting,
 * asking back, and telling what became of each letter.
 * Does not own: the redrive itself (redrive.test.ts), wrong input (dead-letter-refusals.test.ts).
 */
import { expect } from 'chai';
import type { LedgerProcess } from '../../src/cli/ledger-process.js';
import { letterName, type LetterSummary } from '../../src/ledger/dead-letter.js';
import type { LetterFilter } from '../../src/ledger/dead-letter-store.js';
import { PostgresDeadLetterReader } from '../../src/ledger/postgres/postgres-dead-letter-reader.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { completion, COMPLETION_COST, messageOf, send, type WireEvent } from '../support/usage-messages.js';

const DAY_MS = 86_400_000;
/** More than the 45 days that are allowed by default. */
const OLD = { occurred_at: new Date(Date.now() - 60 * DAY_MS).toISOString() };
const BY_OPS = ['--actor', 'ops'];
const BECAUSE = ['--reason', 'the gateway was repaired'];
/** With this, the old events are acceptable. */
const LONGER = { TOLLBOOK_EVENT_AGE_MAX_MS: String(90 * DAY_MS) };

interface ChangeDocument {
  readonly dryRun: boolean;
  readonly selected: number;
  readonly results: Readonly<Record<string, number>>;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly letters: readonly Readonly<Record<string, unknown>>[];
  readonly lettersLeftOff: number;
}

describe('changing dead letters from the command line', function () {
  this.timeout(60_000);
  let world: LedgerWorld;
  let reader: PostgresDeadLetterReader;
  let ledger: LedgerProcess;
  let tenants = 0;

  before(async () => {
    world = await LedgerWorld.create({ partitions: 1 });
    reader = new PostgresDeadLetterReader(world.pool);
    ledger = await world.start();
  });

  after(async () => {
    await world.stop(ledger);
    await world.close();
  });

  /** Publishes completions of a new tenant that are too old, and waits until they are dead letters. */
  async function bury(count: number, fields: WireEvent = {}): Promise<{ tenantId: string; dead: LetterSummary[] }> {
    const tenantId = `tenant-${(tenants += 1)}`;
    const events = Array.from({ length: count }, (_, index) =>
      completion(tenantId, `${tenantId}-${index}`, { ...OLD, ...fields }),
    );
    await send(
      world.kafka,
      world.config.topicCompleted,
      events.map((event) => messageOf(event, 0)),
    );
    await world.drain();
    const dead = await letters({ state: 'open', tenantId });
    expect(dead).to.have.length(count);
    return { tenantId, dead };
  }

  function letters(filter: LetterFilter): Promise<LetterSummary[]> {
    return reader.page(filter, { limit: 100 });
  }

  function run(args: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<CliResult> {
    const environment = Object.fromEntries(
      Object.entries(world.environment).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ) as Record<string, string>;
    return runTollbook(['dead-letters', ...args], { ...environment, ...settings });
  }

  async function runJson(
    args: readonly string[],
    { settings = {}, exitCode = 0 }: { settings?: Readonly<Record<string, string>>; exitCode?: number } = {},
  ): Promise<ChangeDocument> {
    const result = await run([...args, '--json'], settings);
    expect(result.exitCode, result.stderr).to.equal(exitCode);
    return JSON.parse(result.stdout) as ChangeDocument;
  }

  /** What would show any write: the counts of everything that a change could add, and the states. */
  async function written(): Promise<object | undefined> {
    const [row] = await world.rows<object>(
      `SELECT (SELECT count(*) FROM ledger_entries) AS entries, (SELECT count(*) FROM ledger_batches) AS batches,
         (SELECT count(*) FROM dead_letter_actions) AS actions,
         (SELECT count(*) FROM dead_letters WHERE redrive_state = 'open') AS open`,
    );
    return row;
  }

  it('redrives named letters, and the running process projects the tenant', async () => {
    const { tenantId, dead } = await bury(2);
    const document = await runJson(['redrive', ...dead.map(letterName), ...BY_OPS, ...BECAUSE], { settings: LONGER });
    expect(document).to.deep.include({
      dryRun: false,
      selected: 2,
      results: { redriven: 2 },
      outcomes: { charged: 2 },
    });
    expect(document.letters[0]).to.deep.equal({
      ...{ position: letterName(dead[0]!), result: 'redriven', outcome: 'charged' },
      entry: { tenantId, seq: 2, status: 'COMMITTED' },
    });
    await world.until('the process has projected the redrive', async () => {
      const [hash] = await world.scripts.readQuota([tenantId]);
      return hash?.version === 3 && (await world.scripts.readInflight([tenantId]))[0]?.length === 0;
    });
    const [account] = (await world.reader.readAccounts([tenantId])).values();
    expect(account?.balanceNano).to.equal(-2n * BigInt(COMPLETION_COST.replace('.', '')));
    await world.assertProven();
  });

  it('tells people the same in words, a second time that it was done before, and ends with exit code 0', async () => {
    const { tenantId, dead } = await bury(1);
    const name = letterName(dead[0]!);
    const first = await run(['redrive', name, ...BY_OPS], LONGER);
    expect(first).to.include({
      exitCode: 0,
      stdout: `${name}  redriven: charged as ${tenantId}#2 COMMITTED\n1 dead letter: 1 charged\n`,
    });
    const before = await written();
    const second = await run(['redrive', name, ...BY_OPS], LONGER);
    expect(second).to.include({
      exitCode: 0,
      stdout: `${name}  was redriven before\n1 dead letter: 1 redriven before\n`,
    });
    expect(await written()).to.deep.equal(before);
  });

  it('ends with exit code 1 when a letter stays open, with the reason found now', async () => {
    const { dead } = await bury(1);
    const before = await written();
    const { letters: told, results } = await runJson(['redrive', letterName(dead[0]!), ...BY_OPS], { exitCode: 1 });
    expect(results).to.deep.equal({ stillOpen: 1 });
    expect(told[0]).to.include({ result: 'stillOpen', reason: 'OCCURRED_AT_TOO_OLD' });
    expect(told[0]?.['detail']).to.match(/^occurred_at is .*; allowed: at least .*\(TOLLBOOK_EVENT_AGE_MAX_MS\)$/);
    expect(await written()).to.deep.equal(before);
  });

  it('by a filter first says how many it finds and wants --yes, then redrives those and no others', async () => {
    const [{ tenantId }, other] = [await bury(3), await bury(1)];
    const before = await written();
    const filter = ['--tenant', tenantId, '--letter-reason', 'OCCURRED_AT_TOO_OLD'];
    const asked = await run(['redrive', ...filter, ...BY_OPS], LONGER);
    expect(asked).to.include({ exitCode: 2, stdout: '' });
    expect(asked.stderr).to.include('3 open dead letters: 3 OCCURRED_AT_TOO_OLD; add --yes if all of these are meant');
    expect(await written()).to.deep.equal(before);
    const done = await runJson(['redrive', ...filter, ...BY_OPS, '--yes'], { settings: LONGER });
    expect(done).to.deep.include({ selected: 3, outcomes: { charged: 3 }, lettersLeftOff: 0 });
    expect((await letters({ state: 'open', tenantId: other.tenantId })).length).to.equal(1);
    const nothing = await run(['redrive', ...filter, ...BY_OPS, '--yes'], LONGER);
    expect(nothing).to.include({ exitCode: 0, stdout: 'no open dead letter matches: nothing to do\n' });
  });

  it('as a dry run needs no --yes, says what each would come to, and writes nothing', async () => {
    const { tenantId } = await bury(2);
    const before = await written();
    const { exitCode, stdout } = await run(['redrive', '--tenant', tenantId, '--dry-run', ...BY_OPS], LONGER);
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/would be redriven: charged as tenant-\d+#2 COMMITTED\n/);
    expect(stdout).to.match(/\n2 dead letters: 2 would be charged; nothing written\n$/);
    expect(await written()).to.deep.equal(before);
    expect(await runJson(['redrive', '--tenant', tenantId, '--dry-run', ...BY_OPS])).to.deep.include({
      ...{ dryRun: true, results: { stillOpen: 2 }, outcomes: {} },
    });
  });

  it('without Redis lets PostgreSQL decide, and says so', async () => {
    const { tenantId } = await bury(1);
    const { exitCode, stdout, stderr } = await run(['redrive', '--tenant', tenantId, '--yes', ...BY_OPS], {
      ...LONGER,
      REDIS_URL: 'redis://127.0.0.1:1',
    });
    expect({ exitCode, stdout }).to.deep.include({ exitCode: 0 });
    expect(stdout).to.include('1 dead letter: 1 charged\n');
    expect(stderr).to.include('Redis does not answer: PostgreSQL decides');
  });

  it('discards letters with a reason, keeps their bytes, and a second time leaves them as they are', async () => {
    const { tenantId, dead } = await bury(2);
    const before = await world.count('dead_letters');
    const names = dead.map(letterName);
    expect(await runJson(['discard', ...names, ...BY_OPS, ...BECAUSE])).to.deep.include({ results: { discarded: 2 } });
    const again = await run(['discard', ...names, '--actor', 'other', '--reason', 'again']);
    expect(again.exitCode).to.equal(0);
    expect(again.stdout).to.match(/\n2 dead letters: 2 discarded before\n$/);
    expect(await world.count('dead_letters')).to.equal(before);
    expect(await letters({ state: 'discarded', tenantId })).to.have.length(2);
    const story = await reader.story(dead[0]!);
    expect(story?.letter.value?.length).to.equal(dead[0]?.valueBytes).and.to.be.greaterThan(0);
    expect(story?.action).to.include({ action: 'discarded', actor: 'ops', reason: 'the gateway was repaired' });
  });

  it('discards what a filter finds, once --yes says so', async () => {
    const { tenantId } = await bury(2);
    const args = ['discard', '--tenant', tenantId, ...BY_OPS, ...BECAUSE];
    expect((await run(args)).stderr).to.include('2 open dead letters: 2 OCCURRED_AT_TOO_OLD; add --yes');
    expect(await letters({ state: 'open', tenantId })).to.have.length(2);
    expect(await runJson([...args, '--yes'])).to.deep.include({ selected: 2, results: { discarded: 2 } });
  });

  it('refuses to discard what was redriven, and to redrive what was discarded, the open letters beside it included', async () => {
    const { dead } = await bury(3);
    const [redriven, discarded, open] = dead.map(letterName);
    await runJson(['redrive', redriven!, ...BY_OPS], { settings: LONGER });
    await runJson(['discard', discarded!, ...BY_OPS, ...BECAUSE]);
    const before = await written();
    const discarding = await run(['discard', open!, redriven!, ...BY_OPS, ...BECAUSE]);
    expect(discarding).to.include({ exitCode: 1, stdout: '' });
    expect(discarding.stderr).to.include(
      `DEAD_LETTER_CLOSED: ${redriven!} was redriven; allowed: dead letters that are open`,
    );
    const redriving = await run(['redrive', open!, discarded!, ...BY_OPS], LONGER);
    expect(redriving).to.include({ exitCode: 1, stdout: '' });
    expect(redriving.stderr).to.include(`DEAD_LETTER_CLOSED: ${discarded!} was discarded; `);
    expect(await written()).to.deep.equal(before);
  });

  it('refuses letters of a topic that is not configured, and names the settings', async () => {
    const { tenantId } = await bury(1);
    const settings = { ...LONGER, TOLLBOOK_TOPIC_COMPLETED: 'usage.completed.elsewhere' };
    const before = await written();
    const { exitCode, stderr } = await run(['redrive', '--tenant', tenantId, '--yes', ...BY_OPS], settings);
    expect(exitCode).to.equal(1);
    expect(stderr).to.include(`TOPIC_UNKNOWN: the topic is ${world.config.topicCompleted}; allowed: `);
    expect(stderr).to.include('set TOLLBOOK_TOPIC_PENDING or TOLLBOOK_TOPIC_COMPLETED');
    expect(await written()).to.deep.equal(before);
  });

  it('leaves a ledger that proves clean', async () => {
    await world.until('every hash equals its account', async () => (await world.prove()).problems.length === 0);
  });
});
