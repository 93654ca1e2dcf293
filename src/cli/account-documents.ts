/**
 * Owns: an account and what Redis has of it, as a JSON document and as text for people.
 * Does not own: reading either (account-show-command.ts).
 * Invariants: pure; amounts are decimal strings; every key of a document is always there, null where nothing is to say.
 */
import type { Account } from '../ledger/account.js';
import type { AccountView, OpenHolds } from '../ledger/ledger-queries.js';
import { type AmountNano, displayAmount, formatAmount } from '../ledger/money.js';
import { availableNano, type QuotaPosition } from '../ledger/quota-rule.js';
import { monthOf, usedInMonth, usedOnDay } from '../ledger/request-windows.js';
import { sumItems } from '../lua/quota-codec.js';
import type { InflightItem, QuotaHash } from '../lua/quota-scripts.js';
import { type ProjectionState, projectionStateOf } from '../projections/projection-state.js';
import { unreachable } from '../runtime/errors.js';
import { plainTable } from './plain-table.js';
import type { QuotaGlance } from './quota-glance.js';

/** What `account show` prints; `glance` is absent at a past instant, which Redis knows nothing about. */
export interface AccountReport {
  readonly view: AccountView;
  /** The instant asked for; null is now. */
  readonly at: string | null;
  readonly glance: QuotaGlance | null;
  /** The UTC day (YYYY-MM-DD) of that instant. */
  readonly today: string;
}

/** The account as one JSON document. */
export function accountReportDocument({ view, at, glance, today }: AccountReport): object {
  const { account, recordedAt, openHolds } = view;
  return {
    ...accountDocument(account, today),
    at,
    recordedAt,
    openHolds,
    redis: glance === null ? null : glanceDocument(account, glance, today),
  };
}

/** An account as a JSON object; `today` is the UTC day (YYYY-MM-DD) beyond which no window is shown. */
export function accountDocument(account: Account, today: string): object {
  const { tenantId, currency, holdPolicy, seq } = account;
  return { tenantId, currency, ...positionDocument(account, today), holdPolicy, seq };
}

/** What an account and a quota hash have in common. */
function positionDocument(position: QuotaPosition, today: string): object {
  const { daily, monthly } = shownWindows(position, today);
  return {
    balance: amountText(position.balanceNano),
    held: amountText(position.heldNano),
    creditLimit: amountText(position.creditLimitNano),
    available: amountText(availableNano(position)),
    daily: { quota: quotaOf(position.dailyQuota), ...daily },
    monthly: { quota: quotaOf(position.monthlyQuota), ...monthly },
  };
}

interface ShownWindow {
  readonly used: number;
  readonly window: string;
}

/** The newest day and month that were counted, but none that is still to come: a clock of a gateway may be fast. */
function shownWindows(position: QuotaPosition, today: string): { daily: ShownWindow; monthly: ShownWindow } {
  const day = position.dailyDate > today ? today : position.dailyDate;
  const month = monthOf(day);
  return {
    daily: { used: usedOnDay(position, day) ?? 0, window: day },
    monthly: { used: usedInMonth(position, month) ?? 0, window: month },
  };
}

function quotaOf(quota: number | null): number | 'unlimited' {
  return quota ?? 'unlimited';
}

/** Sums of balances can leave the range of an amount; they are only shown. */
function amountText(nano: bigint): string {
  return formatAmount(nano as AmountNano);
}

function glanceDocument(account: Account, glance: QuotaGlance, today: string): object {
  if (glance.kind !== 'read') {
    const unknown = { version: null, behindBy: null, differing: [], quota: null, inFlight: null, available: null };
    return { state: glance.kind, ...unknown, reason: glance.reason };
  }
  const { hash, items } = glance;
  const state = projectionStateOf(account, hash);
  return {
    state: state.kind,
    version: hash?.version ?? null,
    behindBy: behindBy(state),
    differing: state.kind === 'differs' ? state.fields : [],
    quota: hash === null ? null : positionDocument(hash, today),
    inFlight: inFlightDocument(items),
    available: hash === null ? null : amountText(availableInRedis(hash, items)),
    reason: null,
  };
}

/** By how many entries a hash is behind its ledger, negative when it is ahead; null when there is none. */
function behindBy(state: ProjectionState): number | null {
  switch (state.kind) {
    case 'behind':
      return state.by;
    case 'ahead':
      return -state.by;
    case 'equal':
    case 'differs':
      return 0;
    case 'missing':
      return null;
    default:
      return unreachable(state);
  }
}

function inFlightDocument(items: readonly InflightItem[]): object {
  return {
    items: items.length,
    available: amountText(sumItems(items).availableNano),
    oldestAt: items.length === 0 ? null : new Date(Math.min(...items.map((item) => item.createdAtMs))).toISOString(),
  };
}

/** What Redis lets a gateway have: the hash and everything in flight. */
function availableInRedis(hash: QuotaHash, items: readonly InflightItem[]): bigint {
  return availableNano(hash) + sumItems(items).availableNano;
}

/** The account as text for people. */
export function accountReportText({ view, at, glance, today }: AccountReport): string {
  const { account, recordedAt, openHolds } = view;
  const { daily, monthly } = shownWindows(account, today);
  const when = at === null ? '' : `, as of ${at}`;
  const table = plainTable([`${account.tenantId} (${account.currency})${when}`, '']);
  table.push(
    ['balance', displayAmount(account.balanceNano)],
    ['held', `${displayAmount(account.heldNano)}${holdsText(openHolds)}`],
    ['credit limit', displayAmount(account.creditLimitNano)],
    ['available', displayed(availableNano(account))],
    ['requests a day', windowText(account.dailyQuota, daily)],
    ['requests a month', windowText(account.monthlyQuota, monthly)],
    ['hold policy', account.holdPolicy],
    ['entries', `${account.seq}, the last one recorded at ${recordedAt}`],
  );
  if (glance !== null) table.push(['redis', glanceText(account, glance)]);
  return `${table.toString()}\n`;
}

function holdsText(holds: OpenHolds | null): string {
  if (holds === null || holds.oldestExpiresAt === null) return '';
  return `, by ${holds.count} open hold(s), the oldest until ${holds.oldestExpiresAt}`;
}

function windowText(quota: number | null, { used, window }: ShownWindow): string {
  return quota === null ? `${used} in ${window} (UTC), unlimited` : `${used} of ${quota} in ${window} (UTC)`;
}

function displayed(nano: bigint): string {
  return displayAmount(nano as AmountNano);
}

function glanceText(account: Account, glance: QuotaGlance): string {
  if (glance.kind !== 'read') return `${glance.kind}: ${glance.reason}`;
  const { hash, items } = glance;
  const state = stateText(projectionStateOf(account, hash), hash);
  const available = hash === null ? '' : `; available to gateways ${displayed(availableInRedis(hash, items))}`;
  return `${state}; ${items.length} item(s) in flight${available}`;
}

function stateText(state: ProjectionState, hash: QuotaHash | null): string {
  const version = `version ${hash?.version ?? 'none'}`;
  switch (state.kind) {
    case 'equal':
      return `equal to the ledger at ${version}`;
    case 'missing':
      return 'missing: the next projection writes it';
    case 'behind':
      return `behind by ${state.by}, at ${version}`;
    case 'ahead':
      return `AHEAD of the ledger by ${state.by}, at ${version} (was the database restored?)`;
    case 'differs':
      return `DIFFERS from the ledger at ${version} in ${state.fields.join(', ')}`;
    default:
      return unreachable(state);
  }
}

/** A page of accounts as a table. */
export function accountTable(accounts: readonly Account[]): string {
  const table = plainTable(
    ['tenant', 'currency', 'balance', 'held', 'credit limit', 'available', 'entries'],
    ['left', 'left', 'right', 'right', 'right', 'right', 'right'],
  );
  for (const account of accounts) {
    const { balanceNano, heldNano, creditLimitNano } = account;
    const amounts = [balanceNano, heldNano, creditLimitNano, availableNano(account)].map(displayed);
    table.push([account.tenantId, account.currency, ...amounts, account.seq]);
  }
  return `${table.toString()}\n`;
}
