/** The command line of parked usage, as someone uses it for the first time, and called the wrong way. */
import { expect } from 'chai';
import { rowCounts } from '../support/command-samples.js';
import { importText, UNIT_PRICES } from '../support/price-lists.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { wireCompleted } from '../support/wire-usage.js';

const WHO = ['--actor', 'ops'];
const WHY = [...WHO, '--reason', 'price found'];

describe('tollbook unpriced', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
    await importText(world.pool, UNIT_PRICES, {
      book: 'list',
      atMs: world.clock.atMs,
      effectiveFrom: '2026-03-01T00:00:00.000Z',
    });
  });
  after(() => world.close());

  const run = (...args: string[]): Promise<CliResult> =>
    runTollbook(['unpriced', ...args], { DATABASE_URL: world.database.url });

  /** A tenant of 10 units with parked traces of one token. */
  async function parked(...traceIds: string[]): Promise<string> {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    const events = traceIds.map((traceId) =>
      wireCompleted({ tenantId, traceId, fields: { pricing: { currency: 'USD' } } }),
    );
    batchOf(await world.protocol().charge(world.stream('completed').chunk(events)));
    return tenantId;
  }

  it('lists what is parked with what is missing, page by page', async () => {
    const tenantId = await parked('a', 'b');
    const first = JSON.parse((await run('list', '--tenant', tenantId, '--limit', '1', '--json')).stdout) as {
      parked: readonly object[];
      next: string;
    };
    expect(first.parked).to.have.length(1);
    expect(first.parked[0]).to.deep.include({
      ...{ tenantId, traceId: 'a', model: 'claude-sonnet-4', missing: ['input_tokens'], currency: 'USD' },
      usage: [
        { meter: 'input_tokens', quantity: 1, pricePer1k: null },
        { meter: 'output_tokens', quantity: 0, pricePer1k: null },
      ],
    });
    const second = await run('list', '--tenant', tenantId, '--after', first.next, '--json');
    expect(JSON.parse(second.stdout)).to.have.nested.property('parked[0].traceId', 'b');
    expect(JSON.parse(second.stdout)).to.have.property('next', null);
    const table = await run('list', '--tenant', tenantId, '--limit', '1');
    expect(table.stdout).to.include('input_tokens').and.include(`more: --after ${first.next}\n`);
    expect((await run('list', '--model', 'gpt-5')).stdout).to.equal('nothing is parked\n');
  });

  it('prices one trace at a given price, and says so again when the command is repeated', async () => {
    const tenantId = await parked('a');
    const command = ['price', tenantId, 'a', '--input-per-1k', '2500', '--key', 'k', ...WHY];
    const first = await run(...command);
    expect(first).to.include({ exitCode: 0 });
    expect(first.stdout).to.equal(
      `charged 2.50 USD for trace a to ${tenantId} as entry 3 (manual:k); balance 7.50 USD\n`,
    );
    expect((await run(...command)).stdout).to.include('key k was booked before, as entry 3');
    const json = JSON.parse((await run(...command, '--json')).stdout) as object;
    expect(json).to.include({ outcome: 'repeated', kind: 'price', status: 'COMMITTED', amount: '2.500000000' });
  });

  it('prices one trace from a price book, and everything that is parked', async () => {
    const tenantId = await parked('a', 'b', 'c');
    const one = await run('price', tenantId, 'a', '--book', 'list', '--key', 'k', ...WHY);
    expect(one.stdout).to.include('charged 1.00 USD for trace a').and.include('(list@1)');
    const asked = await run('price', '--all', '--book', 'list', ...WHY);
    expect(asked.exitCode).to.equal(2);
    expect(asked.stderr).to.match(/USAGE_INVALID: \d+ traces are parked; look at a --dry-run, then add --yes/);
    const dry = await run('price', '--all', '--book', 'list', '--dry-run', ...WHY, '--json');
    const quote = JSON.parse(dry.stdout) as { wouldCharge: number; amounts: { USD: string }; left: number };
    expect(quote).to.deep.include({ dryRun: true, left: 0 });
    expect(quote.amounts.USD).to.equal(`${quote.wouldCharge}.000000000`);
    expect(await world.account(tenantId)).to.include({ balanceNano: 9_000_000_000n });
    const all = await run('price', '--all', '--book', 'list', '--yes', ...WHY);
    expect(all.exitCode).to.equal(0);
    expect(all.stdout).to.match(/^charged \d+ parked traces from price book list\n$/);
    expect(all.stderr).to.match(/pricing: (\d+) of \1 traces/);
    expect(await world.account(tenantId)).to.include({ balanceNano: 7_000_000_000n });
    const rest = await run('price', '--all', '--book', 'list', '--yes', ...WHY, '--json');
    expect(JSON.parse(rest.stdout)).to.deep.equal({ committed: 0, failed: 0, left: {} });
  });

  it('lists the models that wait for a price, how often, and what is near in a book', async () => {
    const tenantId = world.tenant();
    const events = ['claude-sonet-4', 'claude-sonet-4', 'unheard-of'].map((model, index) =>
      wireCompleted({ tenantId, traceId: `m-${index}`, fields: { model, pricing: { currency: 'USD' } } }),
    );
    batchOf(await world.protocol().charge(world.stream('completed').chunk(events)));
    const found = JSON.parse((await run('models', '--book', 'list', '--json')).stdout) as { model: string }[];
    const byModel = (wanted: string): object | undefined => found.find(({ model }) => model === wanted);
    const missing = ['input_tokens'];
    expect(byModel('claude-sonet-4')).to.deep.include({
      ...{ provider: 'anthropic', traces: 2, missing, nearest: ['claude-sonnet-4'] },
    });
    expect(byModel('unheard-of')).to.deep.include({ traces: 1, missing, nearest: [] });
    const table = await run('models', '--book', 'list');
    expect(table.stdout).to.match(/claude-sonet-4 +│ 2 +│ \S+ +│ input_tokens +│ claude-sonnet-4/);
  });

  it('says when the charge was refused for good', async () => {
    const tenantId = await parked('a');
    const { exitCode, stdout } = await run('price', tenantId, 'a', '--input-per-1k', '11000', '--key', 'k', ...WHY);
    expect(exitCode).to.equal(0);
    expect(stdout).to.equal(
      `refused: INSUFFICIENT_BALANCE; trace a of ${tenantId} is FAILED as entry 3, 11.00 USD uncollected\n`,
    );
  });

  const KEY = ['--key', 'new'];
  const REFUSED: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    [
      'no trace',
      ['price', '--input-per-1k', '1', ...KEY, ...WHY],
      2,
      /USAGE_INVALID: name a tenant and a trace, or --all/,
    ],
    [
      'no price',
      ['price', 'TENANT', 'a', ...KEY, ...WHY],
      2,
      /give --input-per-1k, --output-per-1k, --meter or --book/,
    ],
    [
      'a price and a book',
      ['price', 'TENANT', 'a', '--book', 'list', '--input-per-1k', '1', ...KEY, ...WHY],
      2,
      /give prices or --book, not both/,
    ],
    [
      'no key',
      ['price', 'TENANT', 'a', '--input-per-1k', '1', ...WHY],
      2,
      /required option '--key <key>' not specified/,
    ],
    [
      'no reason',
      ['price', 'TENANT', 'a', '--input-per-1k', '1', ...KEY, ...WHO],
      2,
      /required option '--reason <text>'/,
    ],
    [
      'a price with an exponent',
      ['price', 'TENANT', 'a', '--input-per-1k', '1e-3', ...KEY, ...WHY],
      2,
      /'--input-per-1k <decimal>'/,
    ],
    [
      'a meter without a price',
      ['price', 'TENANT', 'a', '--meter', 'requests', ...KEY, ...WHY],
      2,
      /'--meter <name=decimal>'.*allowed: NAME=PRICE/,
    ],
    [
      'a meter given twice',
      ['price', 'TENANT', 'a', '--meter', 'm=1', '--meter', 'm=2', ...KEY, ...WHY],
      2,
      /meter m was given already/,
    ],
    [
      'a meter that was not used',
      ['price', 'TENANT', 'a', '--meter', 'm=1', ...KEY, ...WHY],
      2,
      /meter m was not used by the request/,
    ],
    [
      'a price that is missing',
      ['price', 'TENANT', 'a', '--output-per-1k', '1', ...KEY, ...WHY],
      1,
      /PRICE_MISSING: .*input_tokens \(1 used, price not known\)/,
    ],
    [
      'a trace that is not parked',
      ['price', 'TENANT', 'z', '--input-per-1k', '1', ...KEY, ...WHY],
      1,
      /UNPRICED_UNKNOWN: trace z of/,
    ],
    ['an unknown tenant', ['price', 'nobody', 'a', '--input-per-1k', '1', ...KEY, ...WHY], 1, /ACCOUNT_UNKNOWN/],
    [
      'another currency',
      ['price', 'TENANT', 'a', '--input-per-1k', '1', '--currency', 'EUR', ...KEY, ...WHY],
      1,
      /CURRENCY_MISMATCH/,
    ],
    [
      'a cost beyond 2^63',
      ['price', 'TENANT', 'a', '--input-per-1k', '9223372036855', ...KEY, ...WHY],
      1,
      /MONEY_OUT_OF_RANGE/,
    ],
    [
      'an unknown book',
      ['price', 'TENANT', 'a', '--book', 'nobody', ...KEY, ...WHY],
      1,
      /PRICE_BOOK_UNKNOWN: book is nobody/,
    ],
    [
      'an unknown book for all',
      ['price', '--all', '--book', 'nobody', ...WHY],
      1,
      /PRICE_BOOK_UNKNOWN: book is nobody/,
    ],
    ['all without a book', ['price', '--all', '--input-per-1k', '1', ...WHY], 2, /--all needs --book/],
    [
      'all and a trace',
      ['price', 'TENANT', 'a', '--all', '--book', 'list', ...WHY],
      2,
      /name a trace or --all, not both/,
    ],
    ['all with a key', ['price', '--all', '--book', 'list', ...KEY, ...WHY], 2, /--all takes no --key/],
    ['a page after nonsense', ['list', '--after', 'here'], 2, /'--after <position>'/],
    ['a page of nothing', ['list', '--limit', '0'], 2, /'--limit <n>'.*from 1 to 1000/],
  ];
  describe('called the wrong way', () => {
    let tenantId: string;

    before(async () => {
      tenantId = await parked('a');
    });

    for (const [what, args, code, message] of REFUSED) {
      it(`(${what}) ends with exit code ${code}, says what is allowed, and writes nothing`, async () => {
        const before = await rowCounts(world);
        const { exitCode, stdout, stderr } = await run(...args.map((each) => (each === 'TENANT' ? tenantId : each)));
        expect({ exitCode, stdout }).to.deep.equal({ exitCode: code, stdout: '' });
        expect(stderr).to.match(message);
        expect(await rowCounts(world)).to.deep.equal(before);
      });
    }
  });
});
