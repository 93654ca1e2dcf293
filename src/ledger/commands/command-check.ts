/**
 * Owns: what is allowed in the fields of a command, whatever the ledger holds.
 * Does not own: what the account allows (decide-command.ts).
 * Invariants: pure; the first field that is not allowed is named with the value found and what is allowed.
 */
import { TollbookError, unreachable } from '../../runtime/errors.js';
import type { AccountTerms } from '../account.js';
import { IDENTIFIER, IDENTIFIER_ALLOWED } from '../identifier.js';
import { formatAmount, amountNano as inRange } from '../money.js';
import { PRICE_BOOK_NAME, PRICE_BOOK_NAME_ALLOWED } from '../price-book.js';
import type { LedgerCommand, PriceCommand, RefundCommand } from './command.js';

const TEXT = /^[^\p{Cc}\p{Cs}]{1,500}$/u;
const CURRENCY = /^[A-Z]{3,8}$/;
const PRICE = /^\d{1,18}(?:\.\d{1,30})?$/;
const METER_NAME = /^[a-z][a-z0-9_]{0,62}$/;

/** Fails with USAGE_INVALID or MONEY_OUT_OF_RANGE unless every field of the command is allowed. */
export function assertCommand(command: LedgerCommand): void {
  assertIdentifier('tenant id', command.tenantId);
  assertIdentifier('idempotency key', command.key);
  assertText('actor', command.actor);
  assertText('reason', command.reason);
  assertParameters(command);
  if ('currency' in command) assertCurrencyCode(command.currency);
}

function assertParameters(command: LedgerCommand): void {
  switch (command.kind) {
    case 'open-account':
      return assertTerms(command.terms);
    case 'limits':
      return assertLimits(command.terms);
    case 'credit':
      return assertAmount('amount', command.amountNano, 'more than zero');
    case 'adjust':
      return assertAmount('amount', command.amountNano, 'not zero');
    case 'refund':
      return assertRefund(command);
    case 'collect':
    case 'void':
      return assertIdentifier('trace id', command.traceId);
    case 'price':
      return assertPrices(command);
    default:
      return unreachable(command);
  }
}

function assertRefund({ of, amountNano }: RefundCommand): void {
  if ('traceId' in of) assertIdentifier('trace id', of.traceId);
  else if (!Number.isSafeInteger(of.seq) || of.seq < 1) throw invalid('entry', String(of.seq), 'a whole number from 1');
  if (amountNano !== undefined) assertAmount('amount', amountNano, 'more than zero');
}

function assertPrices({ traceId, prices }: PriceCommand): void {
  assertIdentifier('trace id', traceId);
  if ('book' in prices) {
    if (!PRICE_BOOK_NAME.test(prices.book)) throw invalid('book', prices.book, PRICE_BOOK_NAME_ALLOWED);
    return;
  }
  const { inputPer1k, outputPer1k, meters } = prices;
  const furthers = Object.entries(meters);
  if (inputPer1k === undefined && outputPer1k === undefined && furthers.length === 0) {
    throw invalid('prices', 'none', 'an input price, an output price or that of a meter; or a price book');
  }
  assertPrice('input price', inputPer1k);
  assertPrice('output price', outputPer1k);
  for (const [meter, price] of furthers) {
    if (!METER_NAME.test(meter)) throw invalid('meter', meter, 'a-z 0-9 _, a letter first, at most 63 characters');
    assertPrice(`price of meter ${meter}`, price);
  }
}

function assertPrice(what: string, price: string | undefined): void {
  if (price === undefined || PRICE.test(price)) return;
  throw invalid(what, price, 'a decimal such as 0.003, at most 18 digits before and 30 after the point');
}

function assertLimits(terms: Partial<AccountTerms>): void {
  if (Object.keys(terms).length === 0) {
    throw invalid('limits', 'none', 'at least one of credit limit, daily quota, monthly quota, hold policy');
  }
  assertTerms(terms);
}

function assertTerms({ creditLimitNano, dailyQuota, monthlyQuota }: Partial<AccountTerms>): void {
  if (creditLimitNano !== undefined) assertAmount('credit limit', creditLimitNano, 'zero or more');
  assertQuota('daily quota', dailyQuota);
  assertQuota('monthly quota', monthlyQuota);
}

function assertQuota(what: string, quota: number | null | undefined): void {
  if (quota === undefined || quota === null || (Number.isSafeInteger(quota) && quota >= 0)) return;
  throw invalid(what, String(quota), 'a whole number from 0, or none for unlimited');
}

/** The signs an amount may have, in words. */
type AllowedSign = 'more than zero' | 'zero or more' | 'not zero';

function assertAmount(what: string, nano: bigint, allowed: AllowedSign): void {
  const amount = inRange(nano);
  const fits = allowed === 'not zero' ? amount !== 0n : allowed === 'more than zero' ? amount > 0n : amount >= 0n;
  if (!fits) throw invalid(what, formatAmount(amount), allowed);
}

function assertIdentifier(what: string, found: string): void {
  if (!IDENTIFIER.test(found)) throw invalid(what, found, IDENTIFIER_ALLOWED);
}

function assertText(what: string, found: string): void {
  if (!TEXT.test(found) || found.trim() === '') throw invalid(what, found, '1 to 500 printable characters');
}

function assertCurrencyCode(found: string | undefined): void {
  if (found !== undefined && !CURRENCY.test(found)) throw invalid('currency', found, '3 to 8 capital letters');
}

function invalid(what: string, found: string, allowed: string): TollbookError {
  return new TollbookError('USAGE_INVALID', `${what} is ${JSON.stringify(found.slice(0, 64))}; allowed: ${allowed}`);
}
