/**
 * Owns: what every tenant would have paid at other prices: each charge quoted again, and summed by tenant and by model.
 * Does not own: the prices (price-source.ts), reading (charged-usage.ts), how usage is priced (ledger/pricing.ts).
 * Invariants: writes nothing; sums are exact integers; a charge that the prices do not cover is counted with what was paid
 * for it, and is part of no difference. Refunds and adjustments are not prices: they are left out on both sides.
 */
import type pg from 'pg';
import { costOf, meterPrice } from '../../ledger/pricing.js';
import type { EventPricing } from '../../ledger/events.js';
import { TollbookError } from '../../runtime/errors.js';
import { type ChargedUsage, type EntryPlace, pageUsage, type UsageFilter } from './charged-usage.js';
import type { PriceSource } from './price-source.js';

/** Why a charge has no other price. */
export const NOT_PRICED_REASONS = ['model', 'meter', 'currency', 'outOfRange'] as const;

/** One word of NOT_PRICED_REASONS: the prices do not know the model, lack one of its meters, are in another currency, … */
export type NotPricedReason = (typeof NOT_PRICED_REASONS)[number];

/** Charges, summed; amounts in nano-units of the currency. */
export interface RepricedSum {
  readonly currency: string;
  /** Charges that the prices cover, what was paid for them, and what would have been. */
  entries: number;
  paidNano: bigint;
  wouldNano: bigint;
  /** Charges that they do not cover, and what was paid for them. */
  notPriced: number;
  notPricedPaidNano: bigint;
}

/** The sum of a tenant. */
export type TenantSum = RepricedSum & { readonly tenantId: string };
/** The sum of a model. */
export type ModelSum = RepricedSum & { readonly provider: string; readonly model: string };

/** What a re-pricing came to. */
export interface Repricing {
  readonly tenants: readonly TenantSum[];
  /** The dearest difference first. */
  readonly models: readonly ModelSum[];
  /** One of each currency. */
  readonly totals: readonly RepricedSum[];
  readonly notPriced: Readonly<Record<NotPricedReason, number>>;
}

/** How a re-pricing is watched and stopped. */
export interface RepriceControl {
  readonly signal: AbortSignal;
  /** Hears how many entries have been looked at. */
  readonly onProgress: (entries: number) => void;
}

/** Re-prices every charge that the filter finds. Throws RUN_STOPPED, POSTGRES_*. */
export async function reprice(
  pool: pg.Pool,
  { source, filter }: { readonly source: PriceSource; readonly filter: UsageFilter },
  { signal, onProgress }: RepriceControl,
): Promise<Repricing> {
  const sums = new RepricingSums();
  let entries = 0;
  for (let after: EntryPlace | undefined = startOf(filter); after !== undefined;) {
    if (signal.aborted) throw new TollbookError('RUN_STOPPED', 'stopped before the end; nothing was written');
    const page = await pageUsage(pool, after, filter);
    const quote = await source.quotesFor(page.charges);
    for (const charge of page.charges) sums.add(charge, quote(charge));
    onProgress((entries += page.entries));
    after = page.last;
  }
  return sums.close();
}

function startOf({ tenantId }: UsageFilter): EntryPlace {
  return { tenantId: tenantId ?? '', seq: 0 };
}

/** Sums charges as they come. */
class RepricingSums {
  readonly #tenants = new Map<string, TenantSum>();
  readonly #models = new Map<string, ModelSum>();
  readonly #totals = new Map<string, RepricedSum>();
  readonly #notPriced: Record<NotPricedReason, number> = { model: 0, meter: 0, currency: 0, outOfRange: 0 };

  add(charge: ChargedUsage, quote: EventPricing | undefined): void {
    const would = wouldCost(charge, quote);
    if (typeof would !== 'bigint') this.#notPriced[would] += 1;
    for (const sum of this.#sumsOf(charge)) {
      if (typeof would === 'bigint') {
        sum.entries += 1;
        sum.paidNano += charge.paidNano;
        sum.wouldNano += would;
      } else {
        sum.notPriced += 1;
        sum.notPricedPaidNano += charge.paidNano;
      }
    }
  }

  close(): Repricing {
    const models = [...this.#models.values()].sort((left, right) => {
      const [one, other] = [magnitude(left), magnitude(right)];
      return one === other ? 0 : one > other ? -1 : 1;
    });
    const [tenants, totals] = [[...this.#tenants.values()], [...this.#totals.values()]];
    return { tenants, models, totals, notPriced: this.#notPriced };
  }

  #sumsOf({ tenantId, provider, model, currency }: ChargedUsage): RepricedSum[] {
    return [
      known(this.#tenants, `${tenantId} ${currency}`, () => ({ tenantId, ...nothing(currency) })),
      known(this.#models, JSON.stringify([provider, model, currency]), () => ({
        provider,
        model,
        ...nothing(currency),
      })),
      known(this.#totals, currency, () => nothing(currency)),
    ];
  }
}

function known<S>(sums: Map<string, S>, name: string, fresh: () => S): S {
  const found = sums.get(name);
  if (found !== undefined) return found;
  const sum = fresh();
  sums.set(name, sum);
  return sum;
}

function nothing(currency: string): RepricedSum {
  return { currency, entries: 0, paidNano: 0n, wouldNano: 0n, notPriced: 0, notPricedPaidNano: 0n };
}

function magnitude({ paidNano, wouldNano }: RepricedSum): bigint {
  return wouldNano > paidNano ? wouldNano - paidNano : paidNano - wouldNano;
}

/** What the usage of a charge costs at a quote, by the function that prices every charge; else why it has no price. */
function wouldCost({ quantities, currency }: ChargedUsage, quote: EventPricing | undefined): bigint | NotPricedReason {
  if (quote === undefined) return 'model';
  if (quote.currency !== currency) return 'currency';
  const cost = costOf(quantities.map(([meter, quantity]) => ({ meter, quantity, pricePer1k: priceOf(quote, meter) })));
  if (cost.kind === 'priced') return cost.amountNano;
  return cost.kind === 'unpriced' ? 'meter' : 'outOfRange';
}

function priceOf(quote: EventPricing, meter: string): string | undefined {
  if (meter === 'input_tokens') return quote.inputPer1k;
  return meter === 'output_tokens' ? quote.outputPer1k : meterPrice(quote, meter);
}
