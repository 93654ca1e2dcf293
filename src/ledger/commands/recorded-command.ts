/**
 * Owns: reading a command back from its record: the inverse of `contentOf` (command-content.ts).
 * Invariants: pure; the command returned has the content it was read from, so that booking it again is the same command.
 */
import type { HoldPolicy } from '../account.js';
import type { CommandContent } from './command-content.js';
import type { CommandIdentity, CommandKind, GivenPrices, LedgerCommand } from './command.js';
import { type AmountNano, parseAmount } from '../money.js';
import { TollbookError } from '../../runtime/errors.js';
import { ownValue } from '../../runtime/name-map.js';

/** A command as the ledger has recorded it. */
export interface CommandRow {
  readonly tenantId: string;
  readonly key: string;
  readonly kind: CommandKind;
  readonly actor: string;
  readonly content: CommandContent;
}

const METER_PREFIX = 'meter ';
const ALL_THAT_IS_LEFT = 'all that is left';

/** The command that a record tells of. Throws LEDGER_CORRUPT when it tells of none. */
export function commandOfRecord({ tenantId, key, kind, actor, content }: CommandRow): LedgerCommand {
  const identity: CommandIdentity = { tenantId, key, actor, reason: content['reason'] ?? '' };
  const currency = content['currency'] === undefined ? {} : { currency: content['currency'] };
  switch (kind) {
    case 'open-account':
    case 'limits':
      return { ...identity, kind, terms: termsOf(content), ...currency };
    case 'credit':
    case 'adjust':
      return { ...identity, kind, amountNano: amountOf(content, 'amount'), ...currency };
    case 'refund':
      return { ...identity, kind, of: refundedOf(content), ...refundAmount(content), ...currency };
    case 'collect':
      return { ...identity, kind, traceId: textOf(content, 'trace'), allowNegative: isTrue(content) };
    case 'void':
      return { ...identity, kind, traceId: textOf(content, 'trace') };
    case 'price':
      return {
        ...{ ...identity, kind, traceId: textOf(content, 'trace'), allowNegative: isTrue(content) },
        ...{ prices: pricesOf(content), ...currency },
      };
  }
}

function termsOf(content: CommandContent): (LedgerCommand & { kind: 'limits' })['terms'] {
  const { daily_quota: daily, monthly_quota: monthly, hold_policy: policy } = content;
  return {
    ...(content['credit_limit'] === undefined ? {} : { creditLimitNano: amountOf(content, 'credit_limit') }),
    ...(daily === undefined ? {} : { dailyQuota: quotaOf(daily) }),
    ...(monthly === undefined ? {} : { monthlyQuota: quotaOf(monthly) }),
    ...(policy === undefined ? {} : { holdPolicy: policy as HoldPolicy }),
  };
}

function quotaOf(text: string): number | null {
  return text === 'unlimited' ? null : Number(text);
}

function refundedOf(content: CommandContent): { traceId: string } | { seq: number } {
  return content['entry'] === undefined ? { traceId: textOf(content, 'trace') } : { seq: Number(content['entry']) };
}

function refundAmount(content: CommandContent): { amountNano?: AmountNano } {
  return content['amount'] === ALL_THAT_IS_LEFT ? {} : { amountNano: amountOf(content, 'amount') };
}

function pricesOf(content: CommandContent): GivenPrices | { book: string } {
  const { book, input_per_1k: inputPer1k, output_per_1k: outputPer1k } = content;
  if (book !== undefined) return { book };
  const meters = Object.entries(content)
    .filter(([name]) => name.startsWith(METER_PREFIX))
    .map(([name, price]) => [name.slice(METER_PREFIX.length), price] as const);
  return {
    ...(inputPer1k === undefined ? {} : { inputPer1k }),
    ...(outputPer1k === undefined ? {} : { outputPer1k }),
    meters: Object.fromEntries(meters),
  };
}

function isTrue(content: CommandContent): boolean {
  return content['allow_negative'] === 'true';
}

function amountOf(content: CommandContent, name: string): AmountNano {
  return parseAmount(textOf(content, name), name);
}

function textOf(content: CommandContent, name: string): string {
  const text = ownValue(content, name);
  if (text !== undefined) return text;
  throw new TollbookError('LEDGER_CORRUPT', `a command without ${name} is recorded: ${JSON.stringify(content)}`);
}
