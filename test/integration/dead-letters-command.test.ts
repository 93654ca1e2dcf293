/** Owns: looking at dead letters with `tollbook dead-letters list | show`: filters, pages and bytes. */
import { expect } from 'chai';
import type pg from 'pg';
import { insertRow, type RowValues } from '../support/ledger-rows.js';
import { createTestDatabase, openApplicationPool, type TestDatabase } from '../support/test-database.js';
import { runTollbook, tollbookBytes } from '../support/tollbook-cli.js';

/** Every byte there is, so no UTF-8. */
const BINARY = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
const ESCAPING = '{"model":"\u001b[31mred\u009b0m","note":"zwölf"}';
const HEADERS = {
  source: [Buffer.from('gateway-1').toString('base64')],
  odd: [Buffer.from([0xff]).toString('base64')],
};

/** The letters of the tests, oldest first; the third and fourth were recorded at one instant. */
const LETTERS: readonly (RowValues & { readonly kafka_offset: number })[] = [
  { partition: 0, kafka_offset: 7, reason: 'INVALID_JSON', message_value: BINARY, recorded_at: '2026-03-01T10:00:00Z' },
  {
    ...{ partition: 0, kafka_offset: 9, reason: 'CURRENCY_MISMATCH', tenant_id: 'acme', trace_id: 't-1' },
    ...{ message_value: Buffer.from(ESCAPING), message_key: Buffer.from('acme'), headers: JSON.stringify(HEADERS) },
    ...{ detail: 'pricing.currency is EUR\u001b[0m; allowed: USD', recorded_at: '2026-03-01T11:00:00Z' },
  },
  {
    ...{ partition: 1, kafka_offset: 10, reason: 'INVALID_EVENT', tenant_id: 'globex', trace_id: 't-3' },
    ...{ recorded_at: '2026-03-02T00:00:00.250Z' },
  },
  {
    ...{ topic: 'usage.pending', partition: 1, kafka_offset: 2, reason: 'OCCURRED_AT_TOO_OLD', tenant_id: 'acme' },
    ...{ trace_id: 't-2', recorded_at: '2026-03-02T00:00:00.250Z' },
  },
  { partition: 2, kafka_offset: 1, reason: 'EMPTY_MESSAGE', message_value: null, recorded_at: '2026-03-03T00:00:00Z' },
  { partition: 2, kafka_offset: 2, reason: 'INVALID_JSON', recorded_at: '2026-03-04T00:00:00Z' },
  { partition: 2, kafka_offset: 3, reason: 'INVALID_JSON', recorded_at: '2026-03-05T00:00:00Z' },
];
const NAMES = LETTERS.map(
  ({ topic = 'usage.completed', partition, kafka_offset }) => `${String(topic)}/${String(partition)}/${kafka_offset}`,
);
const OPEN = NAMES.slice(0, 5);
const [REDRIVEN, DISCARDED] = NAMES.slice(5);

interface ListDocument {
  readonly letters: readonly { readonly position: string }[];
  readonly total: number;
  readonly byReason: Readonly<Record<string, number>>;
  readonly next: string | null;
}

describe('tollbook dead-letters', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let pool: pg.Pool;

  before(async () => {
    database = await createTestDatabase();
    pool = openApplicationPool(database);
    for (const letter of LETTERS) await insertRow(pool, 'dead_letters', letter);
    await close(5, 'redriven', {});
    await close(6, 'discarded', {
      ...{ reason: 'a test', outcome: null, source_topic: null, source_partition: null, source_offset: null },
      batch_id: null,
    });
    // The entry that the redriven letter became.
    await insertRow(pool, 'ledger_entries', { source_topic: '~redrive', source_offset: 0, batch_id: 2 });
  });

  after(async () => {
    await pool.end();
    await database.drop();
  });

  async function close(index: number, state: 'redriven' | 'discarded', values: RowValues): Promise<void> {
    const { partition, kafka_offset } = LETTERS[index]!;
    await insertRow(pool, 'dead_letter_actions', { partition, kafka_offset, action: state, ...values });
    await pool.query('UPDATE dead_letters SET redrive_state = $1 WHERE partition = $2 AND kafka_offset = $3', [
      state,
      partition,
      kafka_offset,
    ]);
  }

  function run(...args: string[]): ReturnType<typeof runTollbook> {
    return runTollbook(['dead-letters', ...args], { DATABASE_URL: database.url });
  }

  async function list(...args: string[]): Promise<ListDocument> {
    const { exitCode, stdout, stderr } = await run('list', ...args, '--json');
    expect(exitCode, stderr).to.equal(0);
    return JSON.parse(stdout) as ListDocument;
  }

  const FILTERS: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['nothing: what is open', [], OPEN],
    ['its reason', ['--reason', 'CURRENCY_MISMATCH'], [NAMES[1]!]],
    ['its reason by the name that all commands know', ['--letter-reason', 'CURRENCY_MISMATCH'], [NAMES[1]!]],
    ['its topic', ['--topic', 'usage.pending'], [NAMES[3]!]],
    ['its tenant', ['--tenant', 'acme'], [NAMES[1]!, NAMES[3]!]],
    ['its trace', ['--trace', 't-3'], [NAMES[2]!]],
    ['the earliest time, that one included', ['--since', '2026-03-02T00:00:00.250Z'], NAMES.slice(2, 5)],
    ['the latest time, that one not included', ['--until', '2026-03-02T00:00:00.250Z'], NAMES.slice(0, 2)],
    ['the state redriven', ['--state', 'redriven'], [REDRIVEN!]],
    ['the state discarded', ['--state', 'discarded'], [DISCARDED!]],
    ['any state', ['--state', 'all'], NAMES],
    ['several at once', ['--tenant', 'acme', '--topic', 'usage.completed', '--state', 'all'], [NAMES[1]!]],
    ['what no letter has', ['--tenant', 'nobody'], []],
  ];
  for (const [name, args, expected] of FILTERS) {
    it(`lists, oldest first, by ${name}`, async () => {
      const { letters, total, next } = await list(...args);
      expect(letters.map(({ position }) => position)).to.deep.equal(expected);
      expect({ total, next }).to.deep.equal({ total: expected.length, next: null });
    });
  }

  it('counts everything that the filter finds by reason, however few of it are shown', async () => {
    const { letters, total, byReason } = await list('--state', 'all', '--limit', '1');
    expect(letters).to.have.length(1);
    expect(total).to.equal(LETTERS.length);
    expect(Object.entries(byReason)[0]).to.deep.equal(['INVALID_JSON', 3]);
    expect(Object.values(byReason).reduce((sum, count) => sum + count)).to.equal(LETTERS.length);
  });

  it('goes through all of them page by page, none twice and none left out, also within one instant', async () => {
    const found: string[] = [];
    let after: string[] = [];
    for (let page = 0; page < 3; page += 1) {
      const { letters, next } = await list('--limit', '3', '--state', 'all', ...after);
      found.push(...letters.map(({ position }) => position));
      expect(next).to.equal(page < 2 ? letters[letters.length - 1]?.position : null);
      after = ['--after', next ?? ''];
    }
    expect(found).to.deep.equal(NAMES);
  });

  it('lists as a table for people, with the counts below and how to go on', async () => {
    const { exitCode, stdout } = await run('list', '--limit', '2');
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/position\W+recorded at\W+reason\W+tenant\W+trace\W+bytes\W+state\W+detail/);
    expect(stdout).to.include('5 open dead letters: 1 CURRENCY_MISMATCH, ');
    expect(stdout).to.match(new RegExp(`\nmore: --after ${NAMES[1]!}\n$`));
    expect(stdout).to.not.include('\u001b[0m');
    expect((await run('list', '--tenant', 'nobody')).stdout).to.equal('no open dead letter\n');
  });

  it('shows key, value and headers as text where they are UTF-8, and as base64 where they are not', async () => {
    const text = JSON.parse((await run('show', NAMES[1]!, '--json')).stdout) as Record<string, unknown>;
    expect(text).to.deep.include({
      ...{ position: NAMES[1], state: 'open', reason: 'CURRENCY_MISMATCH', tenantId: 'acme', traceId: 't-1' },
      key: { encoding: 'utf-8', text: 'acme' },
      value: { encoding: 'utf-8', text: ESCAPING },
      valueBytes: Buffer.byteLength(ESCAPING),
      headers: {
        source: [{ encoding: 'utf-8', text: 'gateway-1' }],
        odd: [{ encoding: 'base64', text: '/w==' }],
      },
      entries: [],
    });
    const binary = JSON.parse((await run('show', NAMES[0]!, '--json')).stdout) as Record<string, unknown>;
    expect(binary).to.deep.include({
      key: null,
      value: { encoding: 'base64', text: BINARY.toString('base64') },
      valueBytes: 256,
    });
  });

  it('lets no control character of a message reach the terminal', async () => {
    const { exitCode, stdout } = await run('show', NAMES[1]!);
    expect(exitCode).to.equal(0);
    expect(stdout).to.include('\\u001b[31mred\\u009b0m","note":"zwölf"');
    expect(stdout).to.include('CURRENCY_MISMATCH: pricing.currency is EUR\\u001b[0m; allowed: USD');
    // eslint-disable-next-line no-control-regex
    expect(stdout).to.not.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  it('shows what became of a redriven letter, with the entry', async () => {
    const { history, entries } = JSON.parse((await run('show', REDRIVEN!, '--json')).stdout) as {
      history: readonly Record<string, unknown>[];
      entries: unknown;
    };
    expect(history.map(({ event }) => event)).to.deep.equal(['recorded', 'redriven']);
    expect(history[1]).to.include({
      actor: 'ops',
      reason: null,
      outcome: 'charged',
      source: '~redrive/0/0',
      batchId: 2,
    });
    expect(entries).to.deep.equal([
      {
        ...{ tenantId: 'acme', seq: 1, type: 'DEDUCT', status: 'COMMITTED', amount: '1.500000000', currency: 'USD' },
        source: '~redrive/0/0',
      },
    ]);
    const { stdout } = await run('show', REDRIVEN!);
    expect(stdout).to.match(/redriven by ops: charged, as message ~redrive\/0\/0 in batch 2\n/);
    expect(stdout).to.include('acme#1  DEDUCT COMMITTED 1.50 USD  from ~redrive/0/0');
  });

  it('shows who discarded a letter, and why', async () => {
    expect((await run('show', DISCARDED!)).stdout).to.match(/discarded by ops \(a test\)\n/);
  });

  it('writes the very bytes of a message with --raw, and nothing for one without a value', async () => {
    const rawOf = (name: string): Promise<Buffer> =>
      tollbookBytes(['dead-letters', 'show', name, '--raw'], { DATABASE_URL: database.url });
    expect((await rawOf(NAMES[0]!)).equals(BINARY)).to.equal(true);
    expect((await rawOf(NAMES[1]!)).equals(Buffer.from(ESCAPING))).to.equal(true);
    expect((await rawOf(NAMES[4]!)).length).to.equal(0);
  });
});
