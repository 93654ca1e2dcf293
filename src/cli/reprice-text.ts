/**
 * Owns: how a re-pricing looks: tables for people, CSV, and one JSON document.
 * Invariants: pure; amounts are decimal strings with nine decimals, and the sums of parts are the totals.
 */
import { type AmountNano, formatAmount } from '../ledger/money.js';
import type { UsageFilter } from '../reconciliation/reprice/charged-usage.js';
import type { ModelSum, RepricedSum, Repricing, TenantSum } from '../reconciliation/reprice/reprice.js';
import { csvText } from './entry-documents.js';
import { plainTable } from './plain-table.js';

/** The result as one JSON document. */
export function repriceDocument(
  { tenants, models, totals, notPriced }: Repricing,
  { prices, filter }: { readonly prices: string; readonly filter: UsageFilter },
): object {
  return {
    prices,
    since: filter.since ?? null,
    until: filter.until ?? null,
    totals: totals.map(figuresOf),
    notPriced,
    tenants: tenants.map((sum) => ({ tenantId: sum.tenantId, ...figuresOf(sum) })),
    models: models.map((sum) => ({ provider: sum.provider, model: sum.model, ...figuresOf(sum) })),
  };
}

/** The figures of a sum. */
interface Figures {
  readonly currency: string;
  readonly entries: number;
  readonly paid: string;
  readonly wouldHavePaid: string;
  readonly delta: string;
  readonly notPricedEntries: number;
  readonly notPricedPaid: string;
}

function figuresOf({ currency, entries, paidNano, wouldNano, notPriced, notPricedPaidNano }: RepricedSum): Figures {
  return {
    currency,
    entries,
    paid: sumText(paidNano),
    wouldHavePaid: sumText(wouldNano),
    delta: sumText(wouldNano - paidNano),
    notPricedEntries: notPriced,
    notPricedPaid: sumText(notPricedPaidNano),
  };
}

function cellsOf(sum: RepricedSum): (string | number)[] {
  const { currency, entries, paid, wouldHavePaid, delta, notPricedEntries, notPricedPaid } = figuresOf(sum);
  return [currency, entries, paid, wouldHavePaid, delta, notPricedEntries, notPricedPaid];
}

/** Sums may be larger than any single amount. */
function sumText(nano: bigint): string {
  return formatAmount(nano as AmountNano);
}

const CSV_COLUMNS = [
  ...['sum_of', 'tenant_id', 'provider', 'model', 'currency', 'entries', 'paid', 'would_have_paid', 'delta'],
  ...['not_priced_entries', 'not_priced_paid'],
];

/** The result as CSV (RFC 4180, lines end with CR LF): a row a tenant, a model, and a currency. */
export function repriceCsv({ tenants, models, totals }: Repricing): string {
  const rows: readonly (readonly (string | number | null)[])[] = [
    CSV_COLUMNS,
    ...tenants.map((sum) => ['tenant', sum.tenantId, null, null, ...cellsOf(sum)]),
    ...models.map((sum) => ['model', null, sum.provider, sum.model, ...cellsOf(sum)]),
    ...totals.map((sum) => ['all', null, null, null, ...cellsOf(sum)]),
  ];
  return rows.map((cells) => `${cells.map(csvText).join(',')}\r\n`).join('');
}

/** The result for people. */
export function repriceText(found: Repricing, prices: string): string {
  const { tenants, models, totals, notPriced } = found;
  if (totals.length === 0) return 'nothing was charged for usage there\n';
  const missing = Object.entries(notPriced).filter(([, count]) => count > 0);
  const lines = [
    tableOf('tenant', tenants, ({ tenantId }: TenantSum) => tenantId),
    tableOf('model', models, ({ provider, model }: ModelSum) => `${model} of ${provider}`),
    ...missing.map(
      ([reason, count]) => `${count} charges have no price in ${prices}: ${WHY[reason as keyof typeof WHY]}`,
    ),
    ...totals.map((sum) => totalLine(sum, prices)),
  ];
  return `${lines.join('\n')}\n`;
}

const WHY: Readonly<Record<keyof Repricing['notPriced'], string>> = {
  model: 'it does not have the model at that time',
  meter: 'it lacks the price of a meter that was used',
  currency: 'it is in another currency',
  outOfRange: 'the cost would be 2^63 nano-units or more',
};

function tableOf<S extends RepricedSum>(what: string, sums: readonly S[], nameOf: (sum: S) => string): string {
  const head = [what, 'charges', 'paid', 'would have paid', 'delta', 'not priced', 'paid for those', 'currency'];
  const table = plainTable(head, ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'left']);
  for (const sum of sums) {
    const { entries, paid, wouldHavePaid, delta, notPricedEntries, notPricedPaid, currency } = figuresOf(sum);
    table.push([nameOf(sum), entries, paid, wouldHavePaid, delta, notPricedEntries, notPricedPaid, currency]);
  }
  return table.toString();
}

function totalLine(sum: RepricedSum, prices: string): string {
  const { entries, paid, wouldHavePaid, delta, currency } = figuresOf(sum);
  return `${entries} charges came to ${paid} ${currency} and would have come to ${wouldHavePaid} at ${prices}: ${delta}`;
}
