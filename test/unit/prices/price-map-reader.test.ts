/** Owns: reading the public model price map: exact prices, names, and what is left out. */
import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { modelKey, type ModelPrices } from '../../../src/ledger/price-book.js';
import { parsePriceMap, per1kOf, type PriceMap, readPriceMap } from '../../../src/prices/price-map-reader.js';
import { exampleFiles } from '../../../src/simulator/simulate.js';
import { shiftedLiteral } from '../../support/shifted-literal.js';
import { errorOf } from '../ledger/error-of.js';

/** The fields that are prices, with the name each is looked up by in what the reader returns. */
const FIELDS: Readonly<Record<string, (prices: ModelPrices) => string | undefined>> = {
  input_cost_per_token: ({ inputPer1k }) => inputPer1k,
  output_cost_per_token: ({ outputPer1k }) => outputPer1k,
  cache_read_input_token_cost: ({ meters }) => meters['cached_input_tokens'],
  cache_creation_input_token_cost: ({ meters }) => meters['cache_creation_input_tokens'],
  output_cost_per_reasoning_token: ({ meters }) => meters['reasoning_tokens'],
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
      expect(FIELDS[field]?.(prices), `${field} of ${name}`).to.equal(shiftedLiteral(literal));
    }
  });

  it('is told apart by the SHA-256 of its bytes, and leaves nothing out', async () => {
    const path = exampleFiles().pricesFile;
    const map = await readPriceMap(path);
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    expect(map.digest.toString('hex')).to.equal(digest);
    expect(map).to.deep.include({ models: 261, skipped: { name: 0, noTokenPrice: 0, allZero: 0 }, unread: {} });
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
    expect(map.prices[1]).to.deep.equal({ provider: 'azure', model: 'a', inputPer1k: '0.009', meters: {} });
  });

  it('may be the name of an entry of another provider', () => {
    const map = mapOf(`{ "azure/gpt-4o": ${entry('azure')}, "gpt-4o": ${entry('openai')} }`);
    expect(namesOf(map)).to.include.members(['azure: gpt-4o', 'openai: gpt-4o']);
  });

  it('keep a prefix that is not the provider', () => {
    expect(namesOf(mapOf(`{ "vertex_ai/a": ${entry('vertex_ai-models')} }`))).to.deep.equal([
      'vertex_ai-models: vertex_ai/a',
    ]);
  });
});

describe('an entry of the map', () => {
  it('is skipped and counted when no event can name it, it prices no tokens, or everything at zero', () => {
    const zero = '"input_cost_per_token": 0.0, "output_cost_per_token": 0';
    const map = mapOf(`{
      "good": ${entry('p')}, "~bad": ${entry('p')}, "spec": ${entry('one of https://example.com/é')}, "none": {},
      "image": ${entry('p', '"output_cost_per_image": 0.04')}, "null": ${entry('p', '"input_cost_per_token": null')},
      "free": ${entry('p', zero)}
    }`);
    expect(map).to.deep.include({ models: 1, skipped: { name: 3, noTokenPrice: 2, allZero: 1 } });
  });

  it('keeps a price of zero beside others, for what it says of that meter', () => {
    const [prices] = mapOf(
      `{ "m": ${entry('p', '"input_cost_per_token": 1e-07, "output_cost_per_token": 0.0')} }`,
    ).prices;
    expect(prices).to.deep.equal({ provider: 'p', model: 'm', inputPer1k: '0.0001', outputPer1k: '0', meters: {} });
  });

  it('tells which of its prices are not imported', () => {
    const tier = '"input_cost_per_token": 1e-06, "input_cost_per_token_above_200k_tokens": 2e-06';
    const map = mapOf(
      `{ "a": ${entry('p', tier)}, "b": ${entry('p', tier)}, "c": ${entry('p', '"output_cost_per_second": 1')} }`,
    );
    expect(map.unread).to.deep.equal({ input_cost_per_token_above_200k_tokens: 2 });
  });

  it('is read by its own fields alone, whatever they are called', () => {
    const map = mapOf(`{ "__proto__": ${entry('p')}, "constructor": ${entry('p')}, "m": ${entry('p')} }`);
    expect(namesOf(map)).to.include.members(['p: constructor', 'p: m']);
  });
});

describe('a file that is no price map', () => {
  const FILES: readonly [what: string, text: string, message: RegExp][] = [
    ['no JSON', '{ "a": ', /not JSON/],
    ['an array', '[]', /expected a JSON object of model → prices/],
    ['a number', '1e-07', /expected a JSON object of model → prices/],
    ['an entry that is a number', '{ "a": 1e-07 }', /entry "a" is no object of prices/],
    ['no entry with a price', '{ "a": {} }', /no entry prices tokens/],
    [
      'a price as text',
      `{ "a": ${entry('p', '"input_cost_per_token": "1e-07"')} }`,
      /input_cost_per_token of a is "1e-07"; allowed: a JSON number/,
    ],
    [
      'a negative price',
      `{ "a": ${entry('p', '"output_cost_per_token": -1e-07')} }`,
      /output_cost_per_token of a: price -1e-07; allowed: a non-negative number/,
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
