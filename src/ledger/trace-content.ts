/**
 * Owns: what an event tells of its request, as entries record it, and how a second completion is compared with the first.
 * Does not own: what the event wants (trace.ts).
 * Invariants: pure; identity and time do not count in a comparison, money and what it is for do. Whose usage it was (API key,
 * preset, user, project, tags) is identity: the first word stays, and a delivery that says it otherwise is a duplicate.
 */
import { nameMap, ownValue } from '../runtime/name-map.js';
import type { EntryMeters, EntryUsage } from './entry.js';
import type { EventPricing, UsageCompleted, UsageEvent } from './events.js';
import { type AmountNano, ZERO } from './money.js';
import { STANDARD_CLASS } from './price-row.js';
import { canonicalPrice, meterPrice, samePrice } from './pricing.js';

/** What a charge tells of its request and a second completion must tell alike: money, and what it is for. */
export type ComparedUsage = Pick<
  EntryUsage,
  | 'inputTokens'
  | 'outputTokens'
  | 'inputPrice'
  | 'outputPrice'
  | 'meters'
  | 'priceVersion'
  | 'priceClass'
  | 'provider'
  | 'model'
  | 'outcome'
>;

/** The facts of a charge that a second completion of the trace is compared with. */
export interface ChargeContent {
  readonly usage: ComparedUsage;
  readonly amountNano: AmountNano;
  readonly currency: string;
}

/** Tells whether a request used nothing at all. */
export function isWithoutUsage(event: UsageCompleted): boolean {
  const { inputTokens, outputTokens, meters } = event.usage;
  return inputTokens === 0 && outputTokens === 0 && Object.values(meters ?? {}).every((quantity) => quantity === 0);
}

/** A usage or an estimate, as far as its further meters go. */
type Metered = Pick<UsageCompleted['usage'], 'meters'>;

/** What an event tells of its request; `tokens` are used or, for a pending event, estimated. */
export function usageOf(
  event: UsageEvent,
  pricing: EventPricing,
  tokens: { inputTokens: number; outputTokens: number },
): EntryUsage {
  return {
    inputTokens: tokens.inputTokens,
    outputTokens: tokens.outputTokens,
    inputPrice: pricing.inputPer1k === undefined ? null : canonicalPrice(pricing.inputPer1k),
    outputPrice: pricing.outputPer1k === undefined ? null : canonicalPrice(pricing.outputPer1k),
    meters: metersOf(event.kind === 'completed' ? event.usage : event.estimate, pricing),
    priceVersion: pricing.priceVersion ?? null,
    provider: event.provider,
    model: event.model,
    apiKeyId: event.apiKeyId ?? null,
    presetItemId: event.presetItemId ?? null,
    stream: event.stream,
    outcome: event.kind === 'completed' ? event.outcome : null,
    allowNegative: event.kind === 'completed' ? event.allowNegative : null,
    priceClass: event.priceClass ?? null,
    userId: event.userId ?? null,
    projectId: event.projectId ?? null,
    tags: event.tags === undefined || Object.keys(event.tags).length === 0 ? null : event.tags,
  };
}

function metersOf({ meters: quantities }: Metered, pricing: EventPricing): EntryMeters | null {
  if (quantities === undefined) return null;
  const meters: [string, { quantity: number; price: string }][] = [];
  for (const [meter, quantity] of Object.entries(quantities)) {
    if (quantity === 0) continue;
    meters.push([meter, { quantity, price: canonicalPrice(meterPrice(pricing, meter) ?? '0') }]);
  }
  return meters.length === 0 ? null : nameMap(meters);
}

/** Names, in wire terms, the fields in which a second completion differs from the charge; identity and time do not count. */
export function differingFields(
  charged: ChargeContent,
  again: { readonly usage: ComparedUsage; readonly amountNano: AmountNano | null; readonly currency: string },
): string[] {
  const [first, second] = [charged.usage, again.usage];
  const comparisons: [string, boolean][] = [
    ['usage.input_tokens', first.inputTokens === second.inputTokens],
    ['usage.output_tokens', first.outputTokens === second.outputTokens],
    ['usage.meters', sameMeters(first.meters, second.meters, sameQuantity)],
    ['pricing.meters', sameMeters(first.meters, second.meters, sameMeterPrice)],
    ['pricing.input_per_1k', samePrice(first.inputPrice, second.inputPrice)],
    ['pricing.output_per_1k', samePrice(first.outputPrice, second.outputPrice)],
    ['pricing.currency', charged.currency === again.currency],
    ['pricing.price_version', first.priceVersion === second.priceVersion],
    ['price_class', (first.priceClass ?? STANDARD_CLASS) === (second.priceClass ?? STANDARD_CLASS)],
    ['provider', first.provider === second.provider],
    ['model', first.model === second.model],
    ['outcome', first.outcome === second.outcome],
    ['cost', again.amountNano === null || charged.amountNano === again.amountNano],
  ];
  return comparisons.filter(([, same]) => !same).map(([field]) => field);
}

/**
 * Names the fields in which a second completion differs from the one that is parked without a price; both as they were sent, so
 * that a price book which has changed meanwhile makes no difference.
 */
export function differingFromParked(parked: UsageCompleted, again: UsageCompleted, accountCurrency: string): string[] {
  const [first, second] = [parked, again].map((event) => {
    const pricing = event.pricing ?? { currency: accountCurrency };
    return { usage: usageOf(event, pricing, event.usage), amountNano: ZERO, currency: pricing.currency };
  });
  return first === undefined || second === undefined ? [] : differingFields(first, second);
}

type Meter = EntryMeters[string];

/** Compares two sets of meters name by name; a meter that is missing on one side is undefined there. */
function sameMeters(
  first: EntryMeters | null,
  second: EntryMeters | null,
  same: (one: Meter | undefined, other: Meter | undefined) => boolean,
): boolean {
  const [ones, others] = [first ?? {}, second ?? {}];
  return [...new Set([...Object.keys(ones), ...Object.keys(others)])].every((name) =>
    same(ownValue(ones, name), ownValue(others, name)),
  );
}

function sameQuantity(one: Meter | undefined, other: Meter | undefined): boolean {
  return one?.quantity === other?.quantity;
}

/** A meter used on one side only differs in usage; its price is no difference of its own. */
function sameMeterPrice(one: Meter | undefined, other: Meter | undefined): boolean {
  return one === undefined || other === undefined || samePrice(one.price, other.price);
}
