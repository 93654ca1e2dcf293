/** Owns: reading the public model price map: exact prices, names, and what is left out. */
import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { modelKey } from '../../../src/ledger/price-book.js';
import { type PriceRow, rowFor } from '../../../src/ledger/price-row.js';
import { per1kOf } from '../../../src/prices/exact-price.js';
import { parsePriceMap, type PriceMap, readPriceMap } from '../../../src/prices/price-map-reader.js';
import { exampleFiles } from '../../../src/simulator/simulate.js';
import { plainModel } from '../../support/plain-prices.js';
import { shiftedLiteral } from '../../support/shifted-literal.js';
import { errorOf } from '../ledger/error-of.js';

/** The fields that are prices, with the name each is looked up by in what the reader returns. */
const FIELDS: Readonly<Record<string, (row: PriceRow) => string | undefined>> = {
  input_cost_per_token: ({ inputPer1k }) => inputPer1k,
  output_cost_per_token: ({ outputPer1k }) => outputPer1k,
  cache_read_input_token_cost: ({ meters }) => meters.get('cached_input_tokens'),
  cache_creation_input_token_cost: ({ meters }) => meters.get('cache_creation_input_tokens'),
  output_cost_per_reasoning_token: ({ meters }) => meters.get('reasoning_output_tokens'),
};

function mapOf(text: string): PriceMap {
  return parsePriceMap(Buffer.from(text));
}

function entry(provider: string, fields = '"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06'): string {
  return `{ "litellm_provider": "${provider}", ${fields} }`;
}

function namesOf(map: PriceMap): string[] {
  return map.prices.map(({ provider, model }) => `${provider}: ${model}`);
}

describe('the example price map', () => {
  it('has every price of the file with every digit, as moving the decimal point in its text gives it', async () => {
    const path = exampleFiles().pricesFile;
    const text = await readFile(path, 'utf8');
    const byKey = new Map((await readPriceMap(path)).prices.map((prices) => [modelKey(prices), prices]));
    let model = '';
    const literals: [model: string, field: string, literal: string][] = [];
    for (const line of text.split('\n')) {
      model = /^ "(.+)": \{$/.exec(line)?.[1] ?? model;
      const found = /^ {2}"(\w*cost\w*)": ([^,]+),?$/.exec(line);
      if (found !== null) literals.push([model, found[1]!, found[2]!]);
    }
    expect(literals).to.have.length(261 * 2 + 219 + 46 + 19);
    const providers = new Map(Object.entries(JSON.parse(text) as Record<string, { litellm_provider: string }>));
    for (const [name, field, literal] of literals) {
      const prices = byKey.get(modelKey({ provider: providers.get(name)!.litellm_provider, model: name }))!;
      expect(FIELDS[field]?.(prices.rows[0]!), `${field} of ${name}`).to.equal(shiftedLiteral(literal));
    }
  });

  it('is told apart by the SHA-256 of its bytes, and leaves nothing out', async () => {
    const path = exampleFiles().pricesFile;
    const map = await readPriceMap(path);
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    expect(map.digest.toString('hex')).to.equal(digest);
    expect(map).to.deep.include({
      models: 261,
      rows: 261,
      skipped: { name: 0, noPrice: 0, alias: 0 },
      unread: new Map(),
    });
    expect(map.prices).to.have.length(261 + 124 - 9);
  });
});

describe('a price per token', () => {
  const PRICES: readonly [literal: string, per1k: string][] = [
    ['1e-07', '0.0001'],
    ['1.5e-07', '0.00015'],
    ['1.5E-07', '0.00015'],
    ['0.000003', '0.003'],
    ['3e-6', '0.003'],
    ['7.5e-08', '0.000075'],
    ['1.3599999999999998e-06', '0.0013599999999999998'],
    ['0.1234567890123456789012345678901', '123.4567890123456789012345678901'],
    ['1', '1000'],
    ['1e+2', '100000'],
    ['0.0', '0'],
    ['0', '0'],
  ];
  for (const [literal, per1k] of PRICES) {
    it(`${literal} is ${per1k} per 1,000`, () => {
      expect(per1kOf(literal)).to.equal(per1k);
    });
  }

  const REFUSED = ['-1e-07', '1e-99', '1e30', 'NaN', '', '1e', '0x1', ' 1', '1e-40'];
  for (const literal of REFUSED) {
    it(`${JSON.stringify(literal)} is refused, since no event could carry it`, () => {
      const error = errorOf(() => per1kOf(literal));
      expect(error.code).to.equal('FILE_UNREADABLE');
      expect(error.message).to.include(`price ${literal}; allowed: a non-negative number`);
    });
  }
});

describe('the names of a model', () => {
  it('are its own and, where it starts with the provider, the rest of it', () => {
    const map = mapOf(`{ "azure/eu/gpt-4o": ${entry('azure')}, "gpt-4o": ${entry('openai')} }`);
    expect(namesOf(map)).to.deep.equal(['azure: azure/eu/gpt-4o', 'openai: gpt-4o', 'azure: eu/gpt-4o']);
    expect(map.models).to.equal(2);
  });

  it('do not take the name of another entry of the same provider, even one without a price', () => {
    const own = entry('azure', '"input_cost_per_token": 9e-06');
    const map = mapOf(
      `{ "azure/a": ${entry('azure')}, "a": ${own}, "azure/b": ${entry('azure')}, "b": ${entry('azure', '"mode": "chat"')} }`,
    );
    expect(namesOf(map)).to.deep.equal(['azure: azure/a', 'azure: a', 'azure: azure/b']);
    expect(map.prices[1]).to.deep.equal(plainModel({ provider: 'azure', model: 'a' }, { inputPer1k: '0.009' }));
  });

  it('may be the name of an entry of another provider', () => {
    const map = mapOf(`{ "azure/gpt-4o": ${entry('azure')}, "gpt-4o": ${entry('openai')} }`);
    expect(namesOf(map)).to.include.members(['azure: gpt-4o', 'openai: gpt-4o']);
  });

  it('are those that the map declares as aliases too, short ones included; an alias of nothing is counted', () => {
    const map = mapOf(`{
      "azure/gpt-latest": { "alias_of": "azure/gpt-4o" }, "azure/gpt-4o": ${entry('azure')}, "b": { "alias_of": "azure/lost" },
      "c": { "alias_of": "azure/gpt-latest" }
    }`);
    expect(map.prices.map(({ provider, model, aliasOf }) => [provider, model, aliasOf])).to.deep.equal([
      ['azure', 'azure/gpt-4o', undefined],
      ['azure', 'azure/gpt-latest', 'azure/gpt-4o'],
      ['azure', 'gpt-4o', 'azure/gpt-4o'],
      ['azure', 'gpt-latest', 'azure/gpt-4o'],
    ]);
    expect(map).to.deep.include({ models: 1, skipped: { name: 0, noPrice: 0, alias: 2 } });
    expect(map.prices[3]?.rows).to.deep.equal(map.prices[0]?.rows);
  });

  it('keep a prefix that is not the provider', () => {
    expect(namesOf(mapOf(`{ "vertex_ai/a": ${entry('vertex_ai-models')} }`))).to.deep.equal([
      'vertex_ai-models: vertex_ai/a',
    ]);
  });
});

describe('an entry of the map', () => {
  it('is skipped and counted when no event can name it, or it has no price', () => {
    const map = mapOf(`{
      "good": ${entry('p')}, " bad": ${entry('p')}, "spec": ${entry('one of https://example.com/é')}, "none": {},
      "described": ${entry('p', '"max_tokens": 4096')}, "null": ${entry('p', '"input_cost_per_token": null')}
    }`);
    expect(map).to.deep.include({ models: 1, skipped: { name: 3, noPrice: 2, alias: 0 } });
  });

  it('keeps a price of zero, beside others and alone: free is a price', () => {
    const [some, free] = mapOf(`{
      "m": ${entry('p', '"input_cost_per_token": 1e-07, "output_cost_per_token": 0.0')},
      "free": ${entry('p', '"input_cost_per_token": 0.0, "output_cost_per_token": 0')} }`).prices;
    const name = { provider: 'p', model: 'm' };
    expect(some).to.deep.equal(plainModel(name, { inputPer1k: '0.0001', outputPer1k: '0' }));
    expect(free).to.deep.equal(plainModel({ ...name, model: 'free' }, { inputPer1k: '0', outputPer1k: '0' }));
  });

  it('tells which fields look like prices and were not understood', () => {
    const odd = '"input_cost_per_token": 1e-06, "input_cost_per_moon_phase": 2e-06';
    const map = mapOf(`{ "a": ${entry('p', odd)}, "b": ${entry('p', odd)} }`);
    expect(map.unread).to.deep.equal(new Map([['input_cost_per_moon_phase', 2]]));
  });

  it('is read by its own fields alone, whatever they are called', () => {
    const map = mapOf(`{ "__proto__": ${entry('p')}, "constructor": ${entry('p')}, "m": ${entry('p')} }`);
    expect(namesOf(map)).to.include.members(['p: constructor', 'p: m']);
  });
});

describe('the conditions of a model', () => {
  const NOON = '2026-03-16T12:00:00.000Z'; // a Monday

  /** The input and output prices that a request of a model gets, and of one more meter. */
  function pricesAt(
    fields: string,
    asked: { priceClass?: string; contextTokens?: number; occurredAt?: string; meter?: string },
  ): (string | undefined)[] {
    const { meter = '', contextTokens = 1, occurredAt = NOON, ...more } = asked;
    const [model] = mapOf(`{ "m": ${entry('p', fields)} }`).prices;
    const row = rowFor(model?.rows ?? [], { contextTokens, occurredAt, ...more });
    return [row?.inputPer1k, row?.outputPer1k, row?.meters.get(meter)];
  }

  const TIERED = `"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "cache_read_input_token_cost": 1e-07,
    "input_cost_per_token_above_200k_tokens": 3e-06, "output_cost_per_token_above_200k_tokens": 4e-06,
    "input_cost_per_token_priority": 5e-06, "output_cost_per_token_priority": 6e-06,
    "input_cost_per_token_batches": 5e-07, "output_cost_per_token_batches": 1e-06,
    "input_cost_per_token_above_200k_tokens_batches": 1.5e-06, "output_cost_per_token_above_200k_tokens_batches": 2e-06,
    "google_maps_grounding_cost_per_query": 0.014`;

  it('are the length of the input: above the boundary, not at it, the whole request has its price', () => {
    expect(pricesAt(TIERED, { contextTokens: 200_000 })).to.deep.equal(['0.001', '0.002', undefined]);
    expect(pricesAt(TIERED, { contextTokens: 200_001 })).to.deep.equal(['0.003', '0.004', undefined]);
  });

  it('are the class, and one without a price for the length is not priced at another row', () => {
    expect(pricesAt(TIERED, { priceClass: 'priority' })).to.deep.equal(['0.005', '0.006', undefined]);
    expect(pricesAt(TIERED, { priceClass: 'priority', contextTokens: 300_000 })).to.deep.equal([
      undefined,
      undefined,
      undefined,
    ]);
    expect(pricesAt(TIERED, { priceClass: 'batch', contextTokens: 300_000 })).to.deep.equal([
      '0.0015',
      '0.002',
      undefined,
    ]);
    expect(pricesAt(TIERED, { priceClass: 'flex' })).to.deep.equal([undefined, undefined, undefined]);
  });

  it('leave a meter without a price where the row does not have one, but what is counted in pieces costs the same', () => {
    const cached = { meter: 'cached_input_tokens' };
    expect(pricesAt(TIERED, cached)[2]).to.equal('0.0001');
    expect(pricesAt(TIERED, { ...cached, contextTokens: 300_000 })[2]).to.equal(undefined);
    expect(pricesAt(TIERED, { meter: 'maps_grounding_requests', priceClass: 'batch' })[2]).to.equal('14');
  });

  it('are a list of tiers, each up to its end and none beyond the last', () => {
    const list = `"tiered_pricing": [
      { "input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07, "range": [0, 256000.0] },
      { "input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06, "range": [256000.0, 1000000.0] } ]`;
    expect(pricesAt(list, { contextTokens: 0 })[0]).to.equal('0.00005');
    expect(pricesAt(list, { contextTokens: 256_000 })[0]).to.equal('0.00005');
    expect(pricesAt(list, { contextTokens: 256_001 })[0]).to.equal('0.00025');
    expect(pricesAt(list, { contextTokens: 1_000_001 })[0]).to.equal(undefined);
  });

  it('are hours of the week, told in UTC or in a zone with a fixed distance to it', () => {
    const windows =
      '"windows": [{ "hours_utc": ["10:00-00:00"], "weekdays": [1] }, { "hours_utc": "00:00-00:00", "weekdays": [6, 7] }]';
    const fields = (zone = ''): string =>
      `"input_cost_per_token": 2e-06, "off_peak_pricing": { "input_cost_per_token": 1e-06, ${zone} ${windows} }`;
    const at = (occurredAt: string, zone?: string): string | undefined => pricesAt(fields(zone), { occurredAt })[0];
    expect(at('2026-03-16T09:59:59.999Z')).to.equal('0.002');
    expect(at('2026-03-16T10:00:00.000Z')).to.equal('0.001');
    expect(at('2026-03-16T23:59:59.999Z')).to.equal('0.001');
    expect(at('2026-03-17T12:00:00.000Z')).to.equal('0.002');
    expect(at('2026-03-21T03:00:00.000Z')).to.equal('0.001');
    const shanghai = '"weekday_timezone": "Asia/Shanghai",'; // its Monday ends at 16:00 UTC, and begins at 16:00 on Sunday
    expect(at('2026-03-16T12:00:00.000Z', shanghai)).to.equal('0.001');
    expect(at('2026-03-16T17:00:00.000Z', shanghai)).to.equal('0.002');
    expect(at('2026-03-15T17:00:00.000Z', shanghai)).to.equal('0.001');
    const odd = mapOf(`{ "m": ${entry('p', fields('"weekday_timezone": "Europe/Berlin",'))} }`);
    expect([...odd.unread.keys()]).to.deep.equal(['off_peak_pricing']);
  });

  it('are classes at a multiple of the token prices, exactly', () => {
    const fields = `"input_cost_per_token": 5e-06, "output_cost_per_token": 2.5e-05,
      "provider_specific_entry": { "fast": 2, "us": 1.1 }, "input_cost_per_request": 0.01`;
    expect(pricesAt(fields, { priceClass: 'us', meter: 'requests' })).to.deep.equal(['0.0055', '0.0275', '10']);
    expect(pricesAt(fields, { priceClass: 'fast+us' })).to.deep.equal(['0.011', '0.055', undefined]);
  });

  it('are prices of the cache by the time that it is kept', () => {
    const fields = `"cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
      "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05`;
    const hour = { meter: 'cache_creation_1h_input_tokens' };
    expect(pricesAt(fields, hour)[2]).to.equal('0.006');
    expect(pricesAt(fields, { ...hour, contextTokens: 200_001 })[2]).to.equal('0.012');
    expect(pricesAt(fields, { meter: 'cache_creation_input_tokens' })[2]).to.equal('0.00375');
  });

  it('are sizes of what is made, and web searches by the size of their context', () => {
    const fields = `"output_cost_per_image_0.5K": 0.045, "output_cost_per_second_1080p": 0.5,
      "search_context_cost_per_query": { "search_context_size_low": 0.01, "search_context_size_high": 0.02 }`;
    expect(pricesAt(fields, { meter: 'output_images_0_5k' })[2]).to.equal('45');
    expect(pricesAt(fields, { meter: 'output_seconds_1080p' })[2]).to.equal('500');
    expect(pricesAt(fields, { meter: 'web_search_requests_high' })[2]).to.equal('20');
    expect(pricesAt(fields, { meter: 'web_search_requests' })[2]).to.equal(undefined);
  });
});

describe('a file that is no price map', () => {
  const FILES: readonly [what: string, text: string, message: RegExp][] = [
    ['no JSON', '{ "a": ', /not JSON/],
    ['an array', '[]', /expected a JSON object of model → prices/],
    ['a number', '1e-07', /expected a JSON object of model → prices/],
    ['an entry that is a number', '{ "a": 1e-07 }', /entry "a" is no object of prices/],
    ['no entry with a price', '{ "a": {} }', /no entry has a price/],
    [
      'a price as text',
      `{ "a": ${entry('p', '"input_cost_per_token": "1e-07"')} }`,
      /a: input_cost_per_token is "1e-07"; allowed: a JSON number/,
    ],
    [
      'a negative price',
      `{ "a": ${entry('p', '"output_cost_per_token": -1e-07')} }`,
      /a: output_cost_per_token: price -1e-07; allowed: a non-negative number/,
    ],
    [
      'two prices for one thing',
      `{ "a": ${entry('p', '"input_cost_per_token": 1e-07, "input_cost_per_token": 2e-07')} }`,
      /Duplicate key 'input_cost_per_token'/,
    ],
  ];
  for (const [what, text, message] of FILES) {
    it(`(${what}) is refused with its reason`, () => {
      const error = errorOf(() => mapOf(text));
      expect(error.code).to.equal('FILE_UNREADABLE');
      expect(error.message).to.match(message);
    });
  }

  it('is named with its path, and so is one that is missing', async () => {
    const error: unknown = await readPriceMap('/nowhere/prices.json').catch((problem: unknown) => problem);
    expect(error).to.include({ code: 'FILE_UNREADABLE' });
    expect(String(error)).to.include('price map /nowhere/prices.json: ENOENT');
  });
});
