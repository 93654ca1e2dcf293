/**
 * Owns: the canonical content of a command, and how a command sent again is compared with the one its key was used for.
 * Invariants: pure; every value is text, amounts in decimal with nine digits; what was left out is absent, but for the
 * currency, which is always that of the account: leaving it out and naming it mean the same.
 */
import { TollbookError, unreachable } from '../../runtime/errors.js';
import { ownValue } from '../../runtime/name-map.js';
import type { AccountTerms } from '../account.js';
import type { LedgerEntry } from '../entry.js';
import { formatAmount } from '../money.js';
import { canonicalPrice } from '../pricing.js';
import type { CommandKind, LedgerCommand, PriceCommand } from './command.js';

/** The parameters and the reason of a command, as text by name. */
export type CommandContent = Readonly<Record<string, string>>;

/** A command as the ledger keeps it beside its entry. */
export interface CommandRecord {
  readonly tenantId: string;
  readonly key: string;
  readonly kind: CommandKind;
  readonly content: CommandContent;
  /** The entry it became. */
  readonly seq: number;
  readonly actor: string;
}

/** A command found by its key, and the entry it became. */
export interface RecordedCommand {
  readonly kind: CommandKind;
  readonly content: CommandContent;
  readonly actor: string;
  readonly entry: LedgerEntry;
}

/** The canonical content of a command on an account in `currency`, for a command that does not name one. */
export function contentOf(command: LedgerCommand, currency: string): CommandContent {
  return { ...parametersOf(command, currency), reason: command.reason };
}

function parametersOf(command: LedgerCommand, accountCurrency: string): CommandContent {
  switch (command.kind) {
    case 'open-account':
    case 'limits':
      return { ...termsContent(command.terms), currency: command.currency ?? accountCurrency };
    case 'credit':
    case 'adjust':
      return { amount: formatAmount(command.amountNano), currency: command.currency ?? accountCurrency };
    case 'refund':
      return {
        ...('seq' in command.of ? { entry: String(command.of.seq) } : { trace: command.of.traceId }),
        amount: command.amountNano === undefined ? 'all that is left' : formatAmount(command.amountNano),
        currency: command.currency ?? accountCurrency,
      };
    case 'collect':
      return { trace: command.traceId, allow_negative: String(command.allowNegative) };
    case 'void':
      return { trace: command.traceId };
    case 'price':
      return {
        ...{ trace: command.traceId, allow_negative: String(command.allowNegative) },
        ...pricesContent(command),
        currency: command.currency ?? accountCurrency,
      };
    default:
      return unreachable(command);
  }
}

function pricesContent({ prices }: PriceCommand): CommandContent {
  if ('book' in prices) return { book: prices.book };
  const { inputPer1k, outputPer1k, meters } = prices;
  const furthers = Object.entries(meters).map(([meter, price]) => [`meter ${meter}`, canonicalPrice(price)] as const);
  return {
    ...(inputPer1k === undefined ? {} : { input_per_1k: canonicalPrice(inputPer1k) }),
    ...(outputPer1k === undefined ? {} : { output_per_1k: canonicalPrice(outputPer1k) }),
    ...Object.fromEntries(furthers),
  };
}

function termsContent({
  creditLimitNano,
  dailyQuota,
  monthlyQuota,
  holdPolicy,
}: Partial<AccountTerms>): CommandContent {
  return {
    ...(creditLimitNano === undefined ? {} : { credit_limit: formatAmount(creditLimitNano) }),
    ...(dailyQuota === undefined ? {} : { daily_quota: quotaText(dailyQuota) }),
    ...(monthlyQuota === undefined ? {} : { monthly_quota: quotaText(monthlyQuota) }),
    ...(holdPolicy === undefined ? {} : { hold_policy: holdPolicy }),
  };
}

function quotaText(quota: number | null): string {
  return quota === null ? 'unlimited' : String(quota);
}

/** Fails with IDEMPOTENCY_KEY_REUSED, naming each field that differs, unless the command is the recorded one. */
export function assertSameCommand(command: LedgerCommand, recorded: RecordedCommand): void {
  const { entry } = recorded;
  const first: CommandContent = { kind: recorded.kind, actor: recorded.actor, ...recorded.content };
  const second: CommandContent = {
    kind: command.kind,
    actor: command.actor,
    ...contentOf(command, entry.currency),
  };
  const fields = [...new Set([...Object.keys(first), ...Object.keys(second)])].filter(
    (field) => ownValue(first, field) !== ownValue(second, field),
  );
  if (fields.length === 0) return;
  const differences = fields.map(
    (field) => `${field} was ${shown(ownValue(first, field))}, now ${shown(ownValue(second, field))}`,
  );
  throw new TollbookError(
    'IDEMPOTENCY_KEY_REUSED',
    `key ${command.key} of tenant ${command.tenantId} was used for the ${recorded.kind} of entry ${entry.seq}: ` +
      differences.join('; '),
    { context: { tenantId: command.tenantId, key: command.key, seq: entry.seq, fields } },
  );
}

function shown(value: string | undefined): string {
  return value === undefined ? 'not given' : JSON.stringify(value);
}
