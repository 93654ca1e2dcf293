/** Owns: that prices leave the price map exactly as they were written into it. */
import { expect } from 'chai';
import { isTollbookError } from '../../../src/runtime/errors.js';
import { parsePriceMap, per1kFromLiteral, readPriceMap } from '../../../src/simulator/price-map.js';
import { exampleFiles } from '../../../src/simulator/simulate.js';

describe('price map', () => {
  it('moves the point of a literal by three places and keeps every digit', () => {
    const literals = [
      '1.25e-06',
      '1e-07',
      '3.75e-08',
      '0.000015',
      '2.9999900000000002e-06',
      '1.5625e-05',
      '0.0',
      '5E-6',
    ];
    const prices = ['0.00125', '0.0001', '0.0000375', '0.015', '0.0029999900000000002', '0.015625', '0', '0.005'];
    expect(literals.map(per1kFromLiteral)).to.deep.equal(prices);
  });

  it('keeps more digits than a double could', () => {
    expect(per1kFromLiteral('0.123456789012345678901234567890')).to.equal('123.45678901234567890123456789');
  });

  it('reads known models of the example file as checked by hand', async () => {
    const { models } = await readPriceMap(exampleFiles().pricesFile);
    const known = new Map(
      models.map(({ model, inputPer1k, outputPer1k, cachedInputPer1k }) => [
        model,
        [inputPer1k, outputPer1k, cachedInputPer1k],
      ]),
    );
    expect(known.get('claude-haiku-4-5')).to.deep.equal(['0.001', '0.005', '0.0001']);
    expect(known.get('gpt-5')?.slice(0, 2)).to.deep.equal(['0.00125', '0.01']);
    expect(known.get('command-r7b-12-2024')?.slice(0, 2)).to.deep.equal(['0.0000375', '0.00015']);
    expect(known.get('deepseek/deepseek-r1')?.slice(0, 2)).to.deep.equal(['0.00055', '0.00219']);
    for (const { inputPer1k, outputPer1k } of models) {
      expect(inputPer1k).to.match(/^\d+(\.\d+)?$/);
      expect(outputPer1k).to.match(/^\d+(\.\d+)?$/);
    }
  });

  it('reads the prices of cache writes and of reasoning where a model has them', async () => {
    const { models } = await readPriceMap(exampleFiles().pricesFile);
    const found = (name: string): (string | undefined)[] => {
      const model = models.find((each) => each.model === name);
      return [model?.cachedInputPer1k, model?.cacheCreationPer1k, model?.reasoningPer1k];
    };
    expect(found('claude-haiku-4-5')).to.deep.equal(['0.0001', '0.00125', undefined]);
    expect(found('gemini/gemini-2.5-flash-lite')).to.deep.equal(['0.00001', undefined, '0.0004']);
    expect(found('command-r7b-12-2024')).to.deep.equal([undefined, undefined, undefined]);
  });

  it('does not touch numbers inside strings', () => {
    const text =
      '{"m 1.5e-3 \\" 2": {"mode":"chat","litellm_provider":"a","input_cost_per_token":1e-6,"output_cost_per_token":2e-6}}';
    expect(parsePriceMap(text, 'p.json').models.map(({ model }) => model)).to.deep.equal(['m 1.5e-3 " 2']);
  });

  it('leaves out models without a price above zero for input and output', () => {
    const text = `{"free":{"mode":"chat","litellm_provider":"a","input_cost_per_token":0.0,"output_cost_per_token":1e-6},
      "half":{"mode":"chat","litellm_provider":"a","input_cost_per_token":1e-6},
      "good":{"mode":"chat","litellm_provider":"a","input_cost_per_token":1e-6,"output_cost_per_token":1e-6}}`;
    expect(parsePriceMap(text, 'p.json').models.map(({ model }) => model)).to.deep.equal(['good']);
  });

  it('names the file when it is no JSON, has another form, or holds no price', () => {
    for (const text of ['{', '[1]', '{"m":1}', '{}']) {
      const problem = thrownBy(() => parsePriceMap(text, 'p.json'));
      expect(isTollbookError(problem, 'FILE_UNREADABLE'), text).to.equal(true);
      expect(String(problem)).to.contain('p.json');
    }
  });

  it('names the model of a negative price', () => {
    const text =
      '{"m":{"mode":"chat","litellm_provider":"a","input_cost_per_token":-1e-6,"output_cost_per_token":1e-6}}';
    expect(String(thrownBy(() => parsePriceMap(text, 'p.json')))).to.contain('input_cost_per_token of m is -1e-6');
  });
});

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}
