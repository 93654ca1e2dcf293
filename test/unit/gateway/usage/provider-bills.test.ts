/**
 * Owns: that what a response is charged is what its provider asks for it, to the nano-unit, and that docs/usage.md has the
 * table of it. TOLLBOOK_WRITE_DOCS=1 writes the table anew.
 */
import { expect } from 'chai';
import { Decimal } from 'decimal.js';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { EventPricing } from '../../../../src/ledger/events.js';
import { displayAmount } from '../../../../src/ledger/money.js';
import { modelKey, type ModelPrices, quoteFrom } from '../../../../src/ledger/price-book.js';
import { contextTokensOf } from '../../../../src/ledger/price-row.js';
import { usageCost } from '../../../../src/ledger/pricing.js';
import { readPriceMap } from '../../../../src/prices/price-map-reader.js';
import { PROVIDER_BILLS, type ProviderBill } from '../../../support/provider-bills.js';

const PRICES_FILE = path.resolve('examples', 'data', 'provider-prices.json');
const DOCUMENT = path.resolve('docs', 'usage.md');
const [TABLE_BEGINS, TABLE_ENDS] = ['<!-- table: provider bills -->\n', '<!-- end of table -->'];
const AT = '2026-03-31T09:30:00.000Z';

describe('what a response is charged', () => {
  let prices: ReadonlyMap<string, ModelPrices>;

  before(async () => {
    prices = new Map((await readPriceMap(PRICES_FILE)).prices.map((model) => [modelKey(model), model]));
  });

  /** What the ledger charges, by the row of the price book that holds for the request. */
  function charge({ provider, model, read, body }: ProviderBill): { amountNano: bigint; pricing: EventPricing } {
    const { usage, complete, priceClass, problems } = read(body);
    expect({ complete, problems }).to.deep.equal({ complete: true, problems: [] });
    const { inputTokens, outputTokens, meters = {} } = usage!;
    const contextTokens = inputTokens + contextTokensOf(Object.entries(meters));
    const version = { book: 'list', version: 1, effectiveFrom: AT, currency: 'USD', prices };
    const question = { provider, model, occurredAt: AT, contextTokens, ...(priceClass ? { priceClass } : {}) };
    const pricing = quoteFrom([version], question);
    expect(pricing, `a row for ${provider} ${model}`).to.not.equal(undefined);
    const cost = usageCost({ inputTokens, outputTokens, meters }, pricing!);
    if (cost.kind !== 'priced') expect.fail(`is ${JSON.stringify(cost)}`);
    return { amountNano: cost.amountNano, pricing: pricing! };
  }

  for (const bill of PROVIDER_BILLS) {
    it(`is what the provider asks: ${bill.title}`, () => {
      const asked = bill.lines.reduce(
        (sum, { quantity, dollars, per }) => sum.plus(new Decimal(dollars).times(quantity).div(per)),
        new Decimal(0),
      );
      expect(charge(bill).amountNano.toString()).to.equal(asked.times(1e9).toDecimalPlaces(0).toFixed(0));
    });
  }

  it('stands in docs/usage.md, line by line', () => {
    const rows = PROVIDER_BILLS.map((bill) => {
      const { amountNano, pricing } = charge(bill);
      const lines = bill.lines.map(
        ({ what, quantity, dollars, per }) =>
          `${quantity.toLocaleString('en-US')} ${what} × ${dollars}${per === 1_000 ? ' per thousand' : ''}`,
      );
      const amount = displayAmount(amountNano as Parameters<typeof displayAmount>[0]);
      const row = pricing.priceVersion!.replace(/^list@1\/?/, '') || 'ordinary';
      return `| ${bill.title} | \`${bill.model}\` | ${row} | ${lines.join('<br>')} | ${amount} |`;
    });
    const head = "| response | model | row | the provider's arithmetic, dollars per million | charge |";
    const table = ['', head, '| --- | --- | --- | --- | --- |', ...rows, '', ''].join('\n');
    const document = readFileSync(DOCUMENT, 'utf8');
    const [begins, ends] = [document.indexOf(TABLE_BEGINS) + TABLE_BEGINS.length, document.indexOf(TABLE_ENDS)];
    const wanted = document.slice(0, begins) + table + document.slice(ends);
    if (process.env['TOLLBOOK_WRITE_DOCS'] === '1') writeFileSync(DOCUMENT, wanted);
    expect(normal(readFileSync(DOCUMENT, 'utf8'))).to.equal(normal(wanted));
  });
});

/** Prettier pads the cells of a table. */
function normal(text: string): string {
  return text.replaceAll(/ {2,}/g, ' ').replaceAll(/-{3,}/g, '---');
}
