/** The command line of price books, as someone uses it for the first time. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { exampleFiles } from '../../src/simulator/simulate.js';
import { priceMapText } from '../support/price-lists.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';

const EXAMPLE = exampleFiles().pricesFile;
const WHO = ['--actor', 'ops'];

describe('tollbook prices', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let folder: string;

  before(async () => {
    world = await ProtocolWorld.open();
    folder = await mkdtemp(path.join(tmpdir(), 'tollbook-prices-'));
  });
  after(async () => {
    await world.close();
    await rm(folder, { recursive: true });
  });

  const run = (...args: string[]): Promise<CliResult> =>
    runTollbook(['prices', ...args], { DATABASE_URL: world.database.url });

  async function fileOf(name: string, text: string): Promise<string> {
    const file = path.join(folder, name);
    await writeFile(file, text);
    return file;
  }

  async function versionsNow(): Promise<number> {
    return (await world.rows('SELECT FROM price_book_versions')).length;
  }

  it('imports the example list, finds it again, lists it, and shows a price with every digit', async () => {
    const first = await run('import', EXAMPLE, '--book', 'public', ...WHO, '--effective-from', '2026-01-01T00:00:00Z');
    expect(first).to.include({ exitCode: 0 });
    expect(first.stdout).to.match(
      /^imported 261 models as public@1 \(USD\), in effect from 2026-01-01T00:00:00\.000Z; 261 rows of prices\n/,
    );
    const again = await run('import', EXAMPLE, '--book', 'public', ...WHO, '--json');
    expect(JSON.parse(again.stdout)).to.include({ outcome: 'unchanged', priceVersion: 'public@1' });
    const listed = await run('list', '--json');
    expect(JSON.parse(listed.stdout)).to.have.nested.property('[0].models', 261);
    const shown = await run('show', 'public', '--provider', 'anthropic', '--model', 'claude-haiku-4-5', '--json');
    expect(JSON.parse(shown.stdout))
      .to.have.property('prices')
      .that.deep.equals([
        {
          ...{ provider: 'anthropic', model: 'claude-haiku-4-5' },
          rows: [
            {
              ...{ priceClass: 'standard', contextAbove: 0, contextUpTo: null, hours: null },
              ...{ inputPer1k: '0.001', outputPer1k: '0.005' },
              meters: { cached_input_tokens: '0.0001', cache_creation_input_tokens: '0.00125' },
            },
          ],
        },
      ]);
    expect((await run('show', 'public')).stdout).to.match(/^public@1 \(USD\), in effect from .*, 376 names\n/);
    expect(await versionsNow()).to.equal(1);
  });

  it('declares names beside those of the list, and tells how a model would be priced, or what is near', async () => {
    const list = await fileOf(
      'named.json',
      priceMapText({ 'claude-sonnet-4': { input: '0.000003', output: '0.000015' } }),
    );
    const names = { anthropic: { aliases: { sonnet: 'claude-sonnet-4' }, date_suffix: true } };
    const aliases = await fileOf('aliases.json', JSON.stringify(names));
    const from = ['--effective-from', '2026-01-01T00:00:00Z'];
    const imported = await run('import', list, '--book', 'named', '--aliases', aliases, ...WHO, ...from);
    expect(imported.stdout, imported.stderr).to.include('names with a date are priced without it: anthropic');
    expect((await run('show', 'named')).stdout).to.include('sonnet (alias of claude-sonnet-4)');
    for (const [model, words] of [
      [
        'claude-sonnet-4',
        'anthropic claude-sonnet-4: named@1 has it by its own name\n  → any other request: input 0.003, output 0.015 per 1,000\n',
      ],
      ['sonnet', 'anthropic sonnet: named@1 has it as an alias of claude-sonnet-4\n'],
      ['claude-sonnet-4-20250514', 'has it without its date, as claude-sonnet-4\n'],
    ] as const) {
      const matched = await run('match', model, '--book', 'named');
      expect(matched).to.include({ exitCode: 0 });
      expect(matched.stdout).to.include(words);
    }
    const json = JSON.parse((await run('match', 'sonnet', '--book', 'named', '--json')).stdout) as object;
    expect(json).to.have.nested.property('matches[0].rule', 'alias');
    expect(json).to.have.nested.property('matches[0].priceVersion', 'named@1');
    const unpriced = await run('match', 'sonnet', '--book', 'named', '--price-class', 'batch');
    expect(unpriced).to.include({ exitCode: 1 });
    expect(unpriced.stdout).to.include('no row is for such a request: its usage waits for a price');
    const unknown = await run('match', 'claude-sonet-4', '--book', 'named');
    expect(unknown).to.include({ exitCode: 1 });
    expect(unknown.stdout)
      .to.include('named@1 does not price claude-sonet-4')
      .and.include('  anthropic claude-sonnet-4\n');
    const wrong = await fileOf('wrong.json', JSON.stringify({ anthropic: { aliases: { sonnet: 'opus' } } }));
    const refused = await run('import', list, '--book', 'named', '--aliases', wrong, ...WHO);
    expect(refused).to.include({ exitCode: 2 });
    expect(refused.stderr).to.include('anthropic sonnet: the price list has no opus');
  });

  it('tells with --dry-run what it would import, and what it leaves out, and writes nothing', async () => {
    const before = await versionsNow();
    const bare = '"bare": { "litellm_provider": "p", "max_tokens": 4096 }';
    const tier =
      '"m": { "litellm_provider": "p", "input_cost_per_token": 1e-06, "input_cost_per_token_above_200k_tokens": 2e-06,' +
      ' "input_cost_per_moon_phase": 1 }';
    const file = await fileOf('mixed.json', `{ ${bare}, ${tier} }`);
    const { exitCode, stdout } = await run('import', file, '--book', 'mixed', ...WHO, '--dry-run');
    expect(exitCode).to.equal(0);
    expect(stdout).to.include('would import 1 models as mixed@1');
    expect(stdout).to.include('2 rows of prices').and.to.include('skipped: 1 without a price\n');
    expect(stdout).to.include('not understood: input_cost_per_moon_phase (1 models)\n');
    expect(await versionsNow()).to.equal(before);
  });

  const REFUSED: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    ['an import without a book', ['import', EXAMPLE, ...WHO], 2, /required option '--book <name>' not specified/],
    ['an import without an actor', ['import', EXAMPLE, '--book', 'b'], 2, /required option '--actor <who>'/],
    [
      'a book in capitals',
      ['import', EXAMPLE, '--book', 'B', ...WHO],
      2,
      /'--book <name>' argument 'B' is invalid.*1 to 63 of a-z/,
    ],
    [
      'a day without a time',
      ['import', EXAMPLE, '--book', 'b', ...WHO, '--effective-from', '2026-01-01'],
      2,
      /'--effective-from <time>'.*RFC 3339/,
    ],
    [
      'a file that is missing',
      ['import', 'nowhere.json', '--book', 'b', ...WHO],
      1,
      /FILE_UNREADABLE: price map nowhere\.json: ENOENT/,
    ],
    [
      'a file that is no price map',
      ['import', 'package.json', '--book', 'b', ...WHO],
      1,
      /FILE_UNREADABLE: price map package\.json: entry "name" is no object/,
    ],
    [
      'a book that is unknown',
      ['show', 'nobody'],
      1,
      /PRICE_BOOK_UNKNOWN: book is nobody, .*tollbook prices import FILE --book nobody/,
    ],
  ];
  for (const [what, args, code, message] of REFUSED) {
    it(`refuses ${what} with exit code ${code}, saying what is allowed, and writes nothing`, async () => {
      const before = await versionsNow();
      const { exitCode, stdout, stderr } = await run(...args);
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: code, stdout: '' });
      expect(stderr).to.match(message);
      expect(await versionsNow()).to.equal(before);
    });
  }

  it('refuses a version that would change the past, and a time before the first version', async () => {
    const [one, two] = ['1', '2'].map((input) => priceMapText({ m: { input, output: input } }));
    const first = await fileOf('one.json', one!);
    expect(
      (await run('import', first, '--book', 'past', ...WHO, '--effective-from', '2026-02-01T00:00:00Z')).exitCode,
    ).to.equal(0);
    const second = await fileOf('two.json', two!);
    const refused = await run('import', second, '--book', 'past', ...WHO, '--effective-from', '2026-02-02T00:00:00Z');
    expect(refused.exitCode).to.equal(1);
    expect(refused.stderr).to.match(/PRICES_RETROACTIVE: effective-from is 2026-02-02T00:00:00\.000Z; allowed: /);
    const early = await run('show', 'past', '--at', '2026-01-31T23:59:59Z');
    expect(early.exitCode).to.equal(2);
    expect(early.stderr).to.include('past@1 takes effect at 2026-02-01T00:00:00.000Z');
  });
});
