/**
 * Owns: that the exported books are right, said by somebody else: hledger checks every balance of a journal with all kinds of
 * entries and comes to the balances of the accounts; and that CSV and JSON lines are complete.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { type AmountNano, parseAmount } from '../../src/ledger/money.js';
import { pageEntries } from '../../src/ledger/postgres/proof-rows.js';
import { accountPart } from '../../src/reconciliation/journal-text.js';
import { TenantOfWorld } from '../support/command-samples.js';
import { hledger, hledgerBalances } from '../support/hledger.js';
import { NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { UNIT_PRICING } from '../support/wire-usage.js';

const DAY_MS = 86_400_000;

describe('the exported books', function () {
  this.timeout(180_000);
  let world: ProtocolWorld;
  let folder: string;
  /** When the first half of the history was over. */
  let halfTime: string;

  before(async () => {
    world = await ProtocolWorld.open();
    folder = await mkdtemp(path.join(tmpdir(), 'tollbook-export-'));
    await firstHalf(new TenantOfWorld(world, 'acme'));
    await firstHalf(new TenantOfWorld(world, 'acme:eu'));
    await quietTenant();
    world.clock.atMs += DAY_MS;
    halfTime = new Date(world.clock.atMs).toISOString();
    await secondHalf(new TenantOfWorld(world, 'acme'));
    await secondHalf(new TenantOfWorld(world, 'acme:eu'));
    await euroTenant();
  });
  after(async () => {
    await rm(folder, { recursive: true });
    await world.close();
  });

  async function firstHalf(tenant: TenantOfWorld): Promise<void> {
    await tenant.book({ kind: 'credit', amountNano: parseAmount('20.000000007') });
    await tenant.completed('plain', 4);
    await tenant.completed('priced', 3, { provider: 'google vertex', model: 'gemini: 2.5  pro', stream: true });
    await tenant.pending('held', 2);
    await tenant.completed('held', 1);
    await tenant.pending('voided', 2);
    await tenant.book({ kind: 'void', traceId: 'voided' });
    await tenant.pending('refused', 99);
    await tenant.completed('failed', 50);
    await tenant.completed('cancelled', 0, { outcome: 'cancelled', usage: { input_tokens: 0, output_tokens: 0 } });
  }

  async function secondHalf(tenant: TenantOfWorld): Promise<void> {
    const fields = { occurred_at: new Date(world.clock.atMs).toISOString() };
    await tenant.pending('expired', 2, fields);
    await world.expireHolds();
    await tenant.completed('expired', 2, fields);
    await tenant.pending('open', 1, fields);
    await tenant.book({ kind: 'refund', of: { traceId: 'plain' }, amountNano: parseAmount('1.5') });
    await tenant.book({ kind: 'refund', of: { traceId: 'plain' } });
    await tenant.book({ kind: 'refund', of: { traceId: 'priced' } });
    await tenant.book({ kind: 'adjust', amountNano: parseAmount('-0.000000001') });
    await tenant.book({ kind: 'adjust', amountNano: parseAmount('2.25') });
    await tenant.book({ kind: 'limits', terms: { dailyQuota: 500 } });
    await tenant.book({ kind: 'collect', traceId: 'failed', allowNegative: true });
    await world.command({
      ...{ kind: 'credit', tenantId: tenant.tenantId, key: 'odd', amountNano: parseAmount('1') },
      ...{
        actor: 'ops; date:2001-01-01',
        reason: 'a "quoted" | piped; date:2001-01-01, with [2001-01-01] and = 5 USD',
      },
    });
  }

  /** Nothing happens to it in the second half. */
  async function quietTenant(): Promise<void> {
    const tenant = new TenantOfWorld(world, 'Quiet@x/y-1');
    await tenant.completed('streamed', 7, { stream: true });
  }

  async function euroTenant(): Promise<void> {
    const tenant = new TenantOfWorld(world, 'zürich'.replace('ü', 'ue'));
    await tenant.book({
      kind: 'open-account',
      currency: 'EUR',
      terms: { ...NO_LIMITS, creditLimitNano: 5n as AmountNano },
    });
    await tenant.book({ kind: 'credit', amountNano: parseAmount('3') });
    const pricing = { ...UNIT_PRICING, currency: 'EUR' };
    await tenant.completed('euros', 1, { pricing, occurred_at: new Date(world.clock.atMs).toISOString() });
  }

  function exportTo(file: string, ...options: readonly string[]): Promise<CliResult> {
    const args = ['export', '--out', path.join(folder, file), ...options];
    return runTollbook(args, { DATABASE_URL: world.database.url });
  }

  async function journalOf(file: string, ...options: readonly string[]): Promise<string> {
    const { exitCode, stderr } = await exportTo(file, '--format', 'hledger', ...options);
    expect(exitCode, stderr).to.equal(0);
    return path.join(folder, file);
  }

  /** As hledger reports them: zero without its currency. */
  async function accountBalances(column: 'balance' | 'held', root: string): Promise<Record<string, string>> {
    const rows = await world.rows<{ tenant_id: string; amount: string }>(
      `SELECT tenant_id, CASE WHEN ${column} = 0 THEN '0' ELSE ${column} || ' ' || currency END AS amount FROM accounts`,
    );
    return Object.fromEntries(rows.map(({ tenant_id: id, amount }) => [`${root}:${accountPart(id)}`, amount]));
  }

  async function expectChecked(journal: string): Promise<void> {
    const { exitCode, stderr, stdout } = await hledger(journal, 'check', '--strict');
    expect(exitCode, stderr + stdout).to.equal(0);
  }

  it('tell of every kind of entry there is', async () => {
    const kinds = await world.rows<{ kind: string }>(
      `SELECT DISTINCT type || ' ' || status AS kind FROM ledger_entries ORDER BY kind`,
    );
    expect(kinds.map(({ kind }) => kind)).to.deep.equal([
      ...['ADJUSTMENT COMMITTED', 'CREDIT COMMITTED', 'DEDUCT COMMITTED', 'DEDUCT EXPIRED', 'DEDUCT FAILED'],
      ...['DEDUCT PENDING', 'DEDUCT REFUSED', 'DEDUCT VOIDED', 'LIMITS COMMITTED', 'REFUND COMMITTED'],
    ]);
  });

  it('pass the strict checks of hledger, and their balances are those of the accounts', async () => {
    const journal = await journalOf('all.journal');
    await expectChecked(journal);
    expect(await hledgerBalances(journal, 'tenants')).to.deep.equal(await accountBalances('balance', 'tenants'));
  });

  it('add up to nothing over all accounts of a currency, and show usage by model, less what was refunded', async () => {
    const journal = await journalOf('all.journal');
    const { stdout } = await hledger(journal, 'balance', 'cur:USD', '--depth', '0', '--no-total');
    expect(stdout.trim()).to.match(/^0\b/);
    expect(await hledgerBalances(journal, 'usage')).to.deep.equal({
      'usage:anthropic:claude-sonnet-4': '1.000000000 EUR, 113.000000000 USD',
      'usage:google vertex:gemini%3A%202.5%20%20pro': '0',
    });
    expect(await hledgerBalances(journal, 'funding')).to.deep.equal({
      'funding:credits': '-3.000000000 EUR, -42.000000014 USD',
    });
  });

  it('show what is held as postings of their own when asked', async () => {
    const journal = await journalOf('holds.journal', '--holds');
    await expectChecked(journal);
    const found = await hledgerBalances(journal, 'holds');
    const held = await accountBalances('held', 'holds');
    expect(Object.values(held).filter((amount) => amount !== '0')).to.deep.equal(['1.000000000 USD']);
    for (const [account, amount] of Object.entries(held)) expect(found[account] ?? '0', account).to.equal(amount);
    expect(await hledgerBalances(journal, 'tenants')).to.deep.equal(await accountBalances('balance', 'tenants'));
  });

  it('of a time start from what every tenant had before, and end at the balances of its end', async () => {
    const since = await journalOf('since.journal', '--since', halfTime, '--holds');
    await expectChecked(since);
    expect(await hledgerBalances(since, 'tenants')).to.deep.equal(await accountBalances('balance', 'tenants'));
    const until = await journalOf('until.journal', '--until', halfTime);
    await expectChecked(until);
    const openings = await hledgerBalances(since, 'desc:opening', 'tenants');
    expect(await hledgerBalances(until, 'tenants')).to.deep.equal(openings);
  });

  it('of a past instant are the balances that the accounts had then', async () => {
    const journal = await journalOf('at.journal', '--at', halfTime, '--tenant', 'acme');
    const shown = await runTollbook(['account', 'show', 'acme', '--at', halfTime, '--json'], {
      DATABASE_URL: world.database.url,
    });
    const { balance } = JSON.parse(shown.stdout) as { balance: string };
    expect(await hledgerBalances(journal, 'tenants')).to.deep.equal({ 'tenants:acme': `${balance} USD` });
  });

  it('keep what people wrote on its line, where it is no tag and no date', async () => {
    const journal = await journalOf('all.journal');
    const { stdout } = await hledger(journal, 'print', 'tag:trace=^~odd$', 'tenants:acme$');
    expect(stdout).to.not.match(/^2001/m);
    expect(stdout).to.include(
      String.raw`why "a \"quoted\" | piped; date\u003a2001-01-01, with [2001-01-01] and = 5 USD"`,
    );
    const { stdout: tags } = await hledger(journal, 'tags');
    expect(tags.trim().split('\n').sort()).to.deep.equal(
      ['occurred', 'seq', 'status', 'tenant', 'trace', 'type'].sort(),
    );
  });

  it('are refused by hledger when an amount or a balance was changed in the ledger', async () => {
    for (const change of ['amount = amount + 0.000000001', 'balance_after = balance_after + 1']) {
      const where = `tenant_id = 'acme' AND seq = 3`;
      await world.asOwner(
        'ALTER TABLE ledger_entries DISABLE TRIGGER USER',
        `UPDATE ledger_entries SET ${change} WHERE ${where}`,
      );
      const { exitCode, stderr } = await hledger(await journalOf('forged.journal'), 'check');
      expect(exitCode, change).to.equal(1);
      expect(stderr).to.include('tenants:acme');
      const back = change.replace(' + ', ' - ');
      await world.asOwner(
        `UPDATE ledger_entries SET ${back} WHERE ${where}`,
        'ALTER TABLE ledger_entries ENABLE TRIGGER USER',
      );
    }
    await expectChecked(await journalOf('all.journal'));
  });

  describe('entry by entry', () => {
    it('have every entry with every column as JSON lines, and the same as CSV', async () => {
      await exportTo('all.jsonl', '--format', 'jsonl');
      await exportTo('all.csv', '--format', 'csv');
      const lines = (await readFile(path.join(folder, 'all.jsonl'), 'utf8')).trimEnd().split('\n');
      const documents = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      const stored = await pageEntries(world.pool, { tenantId: '', seq: 0 }, 10_000);
      expect(documents.map(({ tenantId, seq, entryHash }) => [tenantId, seq, entryHash])).to.deep.equal(
        stored.map(({ entry, entryHash }) => [entry.tenantId, entry.seq, entryHash]),
      );
      const columns = await world.rows<{ name: string }>(
        `SELECT column_name AS name FROM information_schema.columns WHERE table_name = 'ledger_entries'`,
      );
      const rows = csvRows(await readFile(path.join(folder, 'all.csv'), 'utf8'));
      // In the order of the hash: a column that came later stands last in the table.
      expect(rows[0]).to.have.members(columns.map(({ name }) => name));
      expect(rows).to.have.length(documents.length + 1);
      for (const [index, document] of documents.entries()) {
        expect(rows[index + 1]).to.deep.equal(Object.values(document).map(cellText));
      }
    });

    it('go to stdout when no file is named, and hold only the tenant and the time asked for', async () => {
      const args = ['export', '--format', 'jsonl', '--tenant', 'acme', '--since', halfTime];
      const { stdout, stderr, exitCode } = await runTollbook(args, { DATABASE_URL: world.database.url });
      expect([exitCode, stderr]).to.deep.equal([0, '']);
      const found = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { tenantId: string; recordedAt: string });
      expect(new Set(found.map(({ tenantId }) => tenantId))).to.deep.equal(new Set(['acme']));
      const [expected] = await world.rows<{ count: string }>(
        `SELECT count(*) FROM ledger_entries WHERE tenant_id = 'acme' AND recorded_at >= $1`,
        [halfTime],
      );
      expect(String(found.length)).to.equal(expected?.count);
    });
  });

  describe('asked for wrongly', () => {
    const CALLS: readonly (readonly [string, number, RegExp, readonly string[]])[] = [
      ['without a format', 2, /required option '--format <format>' not specified/, []],
      [
        'in an unknown format',
        2,
        /argument 'pdf' is invalid. Allowed choices are hledger, csv, jsonl/,
        ['--format', 'pdf'],
      ],
      [
        'for an unknown tenant',
        1,
        /ACCOUNT_UNKNOWN: tenant nobody has no account/,
        ['--format', 'csv', '--tenant', 'nobody'],
      ],
      ['for a time that is none', 2, /allowed: /, ['--format', 'csv', '--since', 'yesterday']],
      [
        'for a time that ends before it starts',
        2,
        /USAGE_INVALID: --until is 2026-01-01T00:00:00.000Z; allowed: a time after --since/,
        ['--format', 'csv', '--since', '2026-02-01T00:00:00Z', '--until', '2026-01-01T00:00:00Z'],
      ],
      [
        'for two ends of a time',
        2,
        /'--until <time>' cannot be used with option '--at <time>'/,
        ['--format', 'csv', '--at', '2026-02-01T00:00:00Z', '--until', '2026-01-01T00:00:00Z'],
      ],
      [
        'with holds in a CSV',
        2,
        /USAGE_INVALID: --holds is given with --format csv; allowed: with hledger only/,
        ['--format', 'csv', '--holds'],
      ],
    ];
    for (const [what, code, message, options] of CALLS) {
      it(`${what}: say so, with exit code ${code}, and leave no file`, async () => {
        const { exitCode, stderr, stdout } = await exportTo('wrong.out', ...options);
        expect(exitCode, stderr).to.equal(code);
        expect(stderr).to.match(message);
        expect(stdout).to.equal('');
        expect((await readdir(folder)).filter((name) => name.startsWith('wrong'))).to.deep.equal([]);
      });
    }

    it('to a place that cannot be written: say so', async () => {
      const { exitCode, stderr } = await exportTo('no/such/folder.csv', '--format', 'csv');
      expect(exitCode).to.equal(1);
      expect(stderr).to.match(/FILE_UNREADABLE: .*no\/such\/folder\.csv cannot be written/);
      const ofFolder = await exportTo('', '--format', 'csv');
      expect([ofFolder.exitCode, ofFolder.stderr]).to.deep.equal([
        1,
        `tollbook: FILE_UNREADABLE: ${path.join(folder, '')} cannot be written: it is a folder\n`,
      ]);
    });

    it('over a file that is there: replace it only when the export is complete', async () => {
      await writeFile(path.join(folder, 'kept.csv'), 'old');
      await exportTo('kept.csv', '--format', 'csv', '--tenant', 'nobody');
      expect(await readFile(path.join(folder, 'kept.csv'), 'utf8')).to.equal('old');
      await exportTo('kept.csv', '--format', 'csv', '--tenant', 'acme');
      expect(await readFile(path.join(folder, 'kept.csv'), 'utf8')).to.match(/^tenant_id,seq,/);
    });
  });
});

/** A CSV as RFC 4180 has it, read without the code under test. */
function csvRows(text: string): string[][] {
  expect(text.endsWith('\r\n')).to.equal(true);
  const rows: string[][] = [];
  const row: string[] = [];
  const cells = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gy;
  for (let match = cells.exec(text); match !== null; match = cells.exec(text)) {
    row.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    if (match[3] === '\r\n') rows.push(row.splice(0));
  }
  expect(rows.flat().join('').length).to.be.greaterThan(0);
  return rows;
}

function cellText(value: unknown): string {
  if (value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
