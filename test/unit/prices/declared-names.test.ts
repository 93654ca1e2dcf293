/** Owns: which names a price list may be given beside its own, how each prices an event, and what is near a name. */
import { expect } from 'chai';
import { modelIn, withoutDate } from '../../../src/ledger/price-book.js';
import { parseDeclaredNames, withDeclaredNames, type NamedPriceMap } from '../../../src/prices/declared-names.js';
import { matchModel, pricedVersion } from '../../../src/prices/match-model.js';
import { nearestNames } from '../../../src/prices/nearest-names.js';
import { parsePriceMap } from '../../../src/prices/price-map-reader.js';
import { errorOf } from '../ledger/error-of.js';

const LIST = parsePriceMap(
  Buffer.from(
    JSON.stringify({
      'gpt-4o': { litellm_provider: 'openai', input_cost_per_token: 1 },
      'gpt-4o-2024-05-13': { litellm_provider: 'openai', input_cost_per_token: 2 },
      'gemini/gemini-pro': { litellm_provider: 'gemini', input_cost_per_token: 3 },
      'claude-x': { litellm_provider: 'anthropic', input_cost_per_token: 4 },
    }),
  ),
);

const named = (document: unknown): NamedPriceMap =>
  withDeclaredNames(LIST, parseDeclaredNames(Buffer.from(JSON.stringify(document))));
const versionOf = ({ prices, datedProviders }: NamedPriceMap): ReturnType<typeof pricedVersion> =>
  pricedVersion({ book: 'list', version: 1, effectiveFrom: '', currency: 'USD', datedProviders }, prices);

describe('the names of a price list', () => {
  it('price by the exact name, then by a declared alias, then without a date, and never for another provider', () => {
    const version = versionOf(
      named({
        openai: { aliases: { 'gpt-latest': 'gpt-4o' }, date_suffix: true },
        gemini: { aliases: { pro: 'gemini-pro' } },
      }),
    );
    const priceOf = (provider: string, model: string): string | undefined =>
      modelIn(version, { provider, model })?.rows[0]?.inputPer1k;
    for (const [provider, model, price] of [
      ['openai', 'gpt-4o', '1000'],
      ['openai', 'gpt-4o-2024-05-13', '2000'],
      ['openai', 'gpt-4o-2024-08-06', '1000'],
      ['openai', 'gpt-4o-20240806', '1000'],
      ['openai', 'gpt-latest', '1000'],
      ['openai', 'gpt-latest-2024-08-06', '1000'],
      ['openai', 'gpt-4o-2024-13-06', undefined],
      ['openai', 'gpt-4o-2024-08-06-2024-08-06', undefined],
      ['openai', 'gpt-4o-mini', undefined],
      ['openai', 'pro', undefined],
      ['gemini', 'pro', '3000'],
      ['gemini', 'gemini-pro-2024-08-06', undefined],
      ['anthropic', 'gpt-4o', undefined],
      ['anthropic', 'claude-x-20240806', undefined],
    ] as const) {
      expect(priceOf(provider, model), `${provider} ${model}`).to.equal(price);
    }
  });

  it('are part of the version: other names are another digest', () => {
    const digests = [LIST, named({}), named({ openai: { date_suffix: true } }), named({ openai: {} })].map(
      ({ digest }) => digest.toString('hex'),
    );
    expect(new Set(digests).size).to.equal(4);
  });

  it('are refused together where one leads nowhere, to another alias, or to a name that is taken', () => {
    const aliases = { a: 'b', b: 'gpt-4o', 'gpt-4o': 'gpt-4o-2024-05-13', lost: 'claude-x' };
    const { code, message } = errorOf(() => named({ openai: { aliases }, nobody: { date_suffix: true } }));
    expect(code).to.equal('USAGE_INVALID');
    for (const part of [
      'openai a: b is an alias itself',
      'openai gpt-4o: the price list has a model of that name',
      'openai lost: the price list has no claude-x',
      'nobody: the price list has no model of that provider',
    ])
      expect(message).to.include(part);
  });

  it('are refused in a file of another form, with the part found and what is allowed', () => {
    for (const [text, found] of [
      ['{', 'not JSON'],
      ['[]', 'the file: found []'],
      ['{"openai":{},"openai":{}}', '"openai" stands twice'],
      ['{"openai":1}', 'openai: found 1'],
      ['{"openai":{"alias":{}}}', 'openai: found alias: {}'],
      ['{"openai":{"aliases":{"a":1}}}', 'openai.aliases: found {"a":1}'],
      ['{"openai":{"date_suffix":"yes"}}', 'openai: found date_suffix: "yes"'],
    ] as const) {
      const { code, message } = errorOf(() => parseDeclaredNames(Buffer.from(text)));
      expect([code, message.includes(found)], text).to.deep.equal(['FILE_UNREADABLE', true]);
    }
  });
});

describe('what a price list says of a model', () => {
  const version = versionOf(named({ openai: { aliases: { 'gpt-latest': 'gpt-4o' }, date_suffix: true } }));
  const ask = (model: string, provider?: string): ReturnType<typeof matchModel> =>
    matchModel(version, { model, provider, contextTokens: 0, occurredAt: '2026-03-01T00:00:00.000Z' });

  it('names the rule by which it was found, and the model whose prices they are', () => {
    for (const [asked, rule, model] of [
      ['gpt-4o', 'exact', 'gpt-4o'],
      ['gpt-latest', 'alias', 'gpt-4o'],
      ['gpt-4o-2024-08-06', 'dateSuffix', 'gpt-4o'],
      ['gemini-pro', 'alias', 'gemini/gemini-pro'],
    ] as const) {
      expect(ask(asked).matches.map((match) => [match.rule, match.model])).to.deep.equal([[rule, model]]);
    }
  });

  it('names what is near where it has nothing, of that provider first', () => {
    expect(ask('gpt-40').nearest[0]).to.deep.equal({ provider: 'openai', model: 'gpt-4o' });
    expect(ask('claude-x', 'openai').matches).to.deep.equal([]);
    expect(ask('something-else-altogether').nearest).to.deep.equal([]);
  });
});

describe('the nearest names', () => {
  it('begin with those that continue the name, then the fewest changes, and leave out what has little in common', () => {
    const names = ['gpt-4o-mini-2024', 'gpt-4.1', 'o1', 'claude-3-5-sonnet', 'vertex/GPT-4O'];
    expect(nearestNames('gpt-4o', names)).to.deep.equal(['vertex/GPT-4O', 'gpt-4.1', 'gpt-4o-mini-2024']);
    expect(nearestNames('', names)).to.deep.equal([]);
  });
});

describe('a date at the end of a name', () => {
  it('is one of the calendar, after a dash or an at sign', () => {
    for (const [model, name] of [
      ['gpt-4o-2024-08-06', 'gpt-4o'],
      ['claude-3-5-sonnet-20241022', 'claude-3-5-sonnet'],
      ['claude-3-5-sonnet@20241022', 'claude-3-5-sonnet'],
      ['gpt-4o-2024-02-30', undefined],
      ['20241022', undefined],
      ['gpt-4o-0613', undefined],
      ['gpt-4o-preview', undefined],
    ] as const)
      expect(withoutDate(model), model).to.equal(name);
  });
});
