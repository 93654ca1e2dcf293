/**
 * Owns: the command that charges a completion which was parked for want of a price: at given prices, or at those of a
 * price book.
 * Does not own: what a charge does to a trace (trace.ts) nor whether it is granted (quota-rule.ts): the rules are those of
 * a completion that carries these prices, so it may be late, and it may be refused for good (FAILED).
 * Invariants: pure; the entry stands under the trace's own id and pins where its prices come from; never booked as zero.
 */
import { invariant, TollbookError } from '../../runtime/errors.js';
import type { Account } from '../account.js';
import { bookIntent } from '../charge.js';
import type { EventPricing, UsageCompleted } from '../events.js';
import { type MeteredUsage, meteredUsage, unpricedMeters } from '../pricing.js';
import { refusalOf } from '../quota-rule.js';
import { decideCompleted, type EntryIntent } from '../trace.js';
import { bookingOf, type CommandBooking, type CommandOrigin } from './command-entry.js';
import type { CommandFacts, ParkedFacts } from './command-facts.js';
import type { GivenPrices, PriceCommand } from './command.js';

/** Books the charge of a parked completion. Throws UNPRICED_UNKNOWN, PRICE_NOT_ALLOWED, PRICE_MISSING, MONEY_OUT_OF_RANGE. */
export function bookPrice(
  account: Account,
  command: PriceCommand,
  { origin, facts }: { origin: CommandOrigin; facts: CommandFacts },
): CommandBooking {
  const { event, state, quote } = parkedOf(command, facts);
  if (state.status === 'COMMITTED' || state.status === 'FAILED') throw alreadyCharged(command, facts);
  const pricing =
    'book' in command.prices ? quoted(command, event, { quote, account }) : given(command, event, account);
  assertEveryMeter(command, meteredUsage(event.usage, pricing));
  const allowed = { ...event, allowNegative: event.allowNegative || command.allowNegative };
  const decision = decideCompleted(state, allowed, pricing);
  if (decision.kind === 'outOfRange') throw outOfRange(command, 'the cost');
  invariant(decision.kind === 'entry', 'a parked completion with prices is an entry', { kind: decision.kind });
  return bookAs(account, { command, event, intent: decision.intent }, origin);
}

function bookAs(
  account: Account,
  { command, event, intent }: { command: PriceCommand; event: UsageCompleted; intent: EntryIntent },
  { source }: CommandOrigin,
): CommandBooking {
  const { traceId, occurredAt } = event;
  const refusal = intent.refusedAs === null ? undefined : refusalOf(account, intent.delta);
  const booked = bookIntent(account, { traceId, occurredAt, source }, { intent, refusal });
  if (booked === undefined) throw outOfRange(command, 'the balance after it');
  const entry = {
    ...booked.entry,
    actor: command.actor,
    description: booked.entry.description ?? command.reason,
  };
  const { tenantId } = account;
  const holdsClosed = intent.settlesHold ? [{ tenantId, traceId }] : [];
  return { ...bookingOf({ entry, account: booked.account }), holdsClosed };
}

function parkedOf(command: PriceCommand, { parked }: CommandFacts): ParkedFacts {
  if (parked !== undefined) return parked;
  throw new TollbookError('UNPRICED_UNKNOWN', `${nameOf(command)} is not parked as unpriced`, {
    context: { tenantId: command.tenantId, traceId: command.traceId },
  });
}

function alreadyCharged(command: PriceCommand, { trace }: CommandFacts): TollbookError {
  const last = trace[trace.length - 1];
  return new TollbookError(
    'PRICE_NOT_ALLOWED',
    `${nameOf(command)} is ${last?.status} (entry ${last?.seq}); allowed: a trace that is parked and not charged`,
    { context: { tenantId: command.tenantId, traceId: command.traceId, seq: last?.seq ?? null } },
  );
}

/** The prices of the book, all of them, so that the entry is what the version it pins says. */
function quoted(
  { prices }: PriceCommand,
  { provider, model, occurredAt }: UsageCompleted,
  { quote, account }: { quote: EventPricing | undefined; account: Account },
): EventPricing {
  const name = 'book' in prices ? prices.book : '';
  if (quote === undefined) {
    throw new TollbookError(
      'PRICE_MISSING',
      `price book ${name} has no prices for ${model} of ${provider} at ${occurredAt}`,
      { context: { book: name, provider, model, occurredAt } },
    );
  }
  if (quote.currency === account.currency) return quote;
  throw new TollbookError(
    'CURRENCY_MISMATCH',
    `price book ${name} is in ${quote.currency}; allowed: ${account.currency}, the currency of account ${account.tenantId}`,
    { context: { tenantId: account.tenantId, found: quote.currency, expected: account.currency } },
  );
}

/** The prices that were given, before those that the event itself carries. */
function given({ prices, key }: PriceCommand, event: UsageCompleted, { currency }: Account): EventPricing {
  const { inputPer1k, outputPer1k, meters } = prices as GivenPrices;
  assertMetersUsed(event, Object.keys(meters));
  const own = event.pricing ?? { currency };
  return {
    ...own,
    ...(inputPer1k === undefined ? {} : { inputPer1k }),
    ...(outputPer1k === undefined ? {} : { outputPer1k }),
    meters: { ...own.meters, ...meters },
    priceVersion: `manual:${key}`,
    currency,
  };
}

/** A price for a meter that was not used is a slip of the pen for one that was. */
function assertMetersUsed({ usage }: UsageCompleted, names: readonly string[]): void {
  const used = Object.keys(usage.meters ?? {});
  const unused = names.find((name) => !used.includes(name));
  if (unused === undefined) return;
  const allowed = used.length === 0 ? 'none, it used no further meter' : used.join(', ');
  throw new TollbookError('USAGE_INVALID', `meter ${unused} was not used by the request; allowed: ${allowed}`);
}

function assertEveryMeter(command: PriceCommand, usage: readonly MeteredUsage[]): void {
  const missing = unpricedMeters(usage);
  if (missing.length === 0) return;
  const named = usage
    .filter(({ meter }) => missing.includes(meter))
    .map(({ meter, quantity, pricePer1k }) => `${meter} (${quantity} used, price ${pricePer1k ?? 'not known'})`);
  throw new TollbookError('PRICE_MISSING', `${nameOf(command)} needs a price for ${named.join(', ')}`, {
    context: { tenantId: command.tenantId, traceId: command.traceId, meters: missing },
  });
}

function outOfRange(command: PriceCommand, what: string): TollbookError {
  return new TollbookError(
    'MONEY_OUT_OF_RANGE',
    `${what} of ${nameOf(command)} would be 2^63 nano-units or more; allowed: below 9223372036.854775808`,
    { context: { tenantId: command.tenantId, traceId: command.traceId } },
  );
}

function nameOf({ tenantId, traceId }: PriceCommand): string {
  return `trace ${traceId} of ${tenantId}`;
}
