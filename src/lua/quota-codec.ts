/**
 * Owns: how quota hashes, items in flight and their sums are written as Redis strings, and read back.
 * Does not own: key names (quota-keys.ts), replies of scripts (quota-replies.ts).
 * Invariants: amounts are base-10 int64 strings of nano-units and never pass through a JavaScript number;
 * what cannot be read is REDIS_FAILED, since only our scripts write these keys.
 */
import { amountNano } from '../ledger/money.js';
import type { QuotaDelta, QuotaPosition } from '../ledger/quota-rule.js';
import { monthOf } from '../ledger/request-windows.js';
import type { Phase } from '../ledger/trace.js';
import { TollbookError } from '../runtime/errors.js';

/** The quota hash of a tenant: exactly the ledger at seq = `version`, without anything in flight. */
export interface QuotaHash extends QuotaPosition {
  /** The ledger's seq of the tenant that the other fields were folded up to. */
  readonly version: number;
}

/** One change that Redis has granted and the ledger has not been projected with. */
export interface InflightItem {
  readonly traceId: string;
  readonly phase: Phase;
  /** Signed change of the available amount in nano-units. */
  readonly availableNano: bigint;
  readonly requests: -1 | 0 | 1;
  /** The UTC day whose windows the request counts in, as YYYY-MM-DD. */
  readonly day: string;
  /** When the item was first granted, in milliseconds since the Unix epoch, by the clock of the caller. */
  readonly createdAtMs: number;
}

/** The running sums of a tenant's items in flight; windows whose sum is zero are absent. */
export interface InflightSums {
  readonly availableNano: bigint;
  readonly requestsByDay: ReadonlyMap<string, number>;
  readonly requestsByMonth: ReadonlyMap<string, number>;
}

/** The fields of a quota hash, in the order in which quota-project.lua takes their values. */
export const QUOTA_FIELDS = [
  'balance',
  'credit_limit',
  'daily_quota',
  'daily_used',
  'daily_date',
  'monthly_quota',
  'monthly_used',
  'monthly_month',
  'version',
  'held',
  'past_counts',
] as const;

const UNLIMITED = 'unlimited';
/** The field of the sum of amounts. */
export const SUM_AVAILABLE = '~available';
const SUM_DAY = '~day:';
const SUM_MONTH = '~month:';
/** The field of an item: a trace id, printable and no tilde first, a colon, and the phase. */
export const ITEM_FIELD = /^([!-}].*):([pcvx])$/s;
const ITEM_VALUE = /^(-?\d+)\|(-1|0|1)\|(\d{4}-\d{2}-\d{2})\|(\d+)$/;

/** Names the field of an item: `TRACE:PHASE`. The trace id may hold colons; the last one separates. */
export function itemField(traceId: string, phase: Phase): string {
  return `${traceId}:${phase}`;
}

/**
 * Writes one item as quota-deduct.lua takes it: `TRACE:PHASE`, the amount, `CHECKS|REQUESTS|DAY`, each ended by a zero byte,
 * so that all items of a tenant are one argument. Throws MONEY_OUT_OF_RANGE at a magnitude of 2^63.
 */
export function encodeItem(field: string, delta: QuotaDelta): string {
  return `${field}\0${amountNano(delta.availableNano)}${termsOf(delta)}`;
}

const DAYS_MAX = 1_000;
const termsByDay = new Map<string, string[]>();

/** What an item says besides its field and its amount, between zero bytes: a chunk has a handful of such texts, so they are kept. */
function termsOf(delta: QuotaDelta): string {
  let ofDay = termsByDay.get(delta.day);
  if (ofDay === undefined) {
    if (termsByDay.size >= DAYS_MAX) termsByDay.clear();
    termsByDay.set(delta.day, (ofDay = []));
  }
  const which = (delta.requests + 1) * 4 + (delta.checkBalance ? 2 : 0) + (delta.checkQuota ? 1 : 0);
  return (ofDay[which] ??= `\0${checks(delta)}|${delta.requests}|${delta.day}\0`);
}

/** Writes which checks a change asks for, as two 0/1 flags: of the balance, then of the quotas. */
export function checks({ checkBalance, checkQuota }: Pick<QuotaDelta, 'checkBalance' | 'checkQuota'>): string {
  return (checkBalance ? '1' : '0') + (checkQuota ? '1' : '0');
}

/** Writes the values of a quota hash in the order of QUOTA_FIELDS. Throws MONEY_OUT_OF_RANGE at a magnitude of 2^63. */
export function encodeQuotaHash(hash: QuotaHash): string[] {
  return [
    amountNano(hash.balanceNano).toString(),
    amountNano(hash.creditLimitNano).toString(),
    hash.dailyQuota === null ? UNLIMITED : String(hash.dailyQuota),
    String(hash.dailyUsed),
    hash.dailyDate,
    hash.monthlyQuota === null ? UNLIMITED : String(hash.monthlyQuota),
    String(hash.monthlyUsed),
    hash.monthlyMonth,
    String(hash.version),
    amountNano(hash.heldNano).toString(),
    hash.pastCounts,
  ];
}

/** Reads the values of a quota hash in the order of QUOTA_FIELDS; null when it has no version, so is missing. */
export function decodeQuotaHash(key: string, values: readonly (string | null)[]): QuotaHash | null {
  const text = (name: (typeof QUOTA_FIELDS)[number]): string => values[QUOTA_FIELDS.indexOf(name)] ?? '';
  if (text('version') === '') return null;
  return {
    balanceNano: readInteger(key, text('balance')),
    creditLimitNano: readInteger(key, text('credit_limit')),
    dailyQuota: text('daily_quota') === UNLIMITED ? null : readCount(key, text('daily_quota')),
    dailyUsed: readCount(key, text('daily_used')),
    dailyDate: text('daily_date'),
    monthlyQuota: text('monthly_quota') === UNLIMITED ? null : readCount(key, text('monthly_quota')),
    monthlyUsed: readCount(key, text('monthly_used')),
    monthlyMonth: text('monthly_month'),
    version: readCount(key, text('version')),
    heldNano: readInteger(key, text('held')),
    pastCounts: readPastCounts(key, text('past_counts')),
  };
}

/** Reads the items of an in-flight hash and leaves its sums out. */
export function decodeItems(key: string, hash: Readonly<Record<string, string>>): InflightItem[] {
  return Object.entries(hash).flatMap(([field, value]) =>
    field.startsWith('~') ? [] : [decodeItem(key, field, value)],
  );
}

function decodeItem(key: string, field: string, value: string): InflightItem {
  const [, traceId, phase] = ITEM_FIELD.exec(field) ?? [];
  const [, available, requests, day, createdAtMs] = ITEM_VALUE.exec(value) ?? [];
  if (traceId === undefined || available === undefined || day === undefined)
    throw malformed(key, `${field} = ${value}`);
  return {
    traceId,
    phase: phase as Phase,
    availableNano: BigInt(available),
    requests: Number(requests) as -1 | 0 | 1,
    day,
    createdAtMs: Number(createdAtMs),
  };
}

/** Reads the running sums of an in-flight hash; all zero when it is missing. */
export function decodeSums(key: string, hash: Readonly<Record<string, string>>): InflightSums {
  return {
    availableNano: readInteger(key, hash[SUM_AVAILABLE] ?? '0'),
    requestsByDay: windowSums(key, hash, SUM_DAY),
    requestsByMonth: windowSums(key, hash, SUM_MONTH),
  };
}

function windowSums(key: string, hash: Readonly<Record<string, string>>, kind: string): Map<string, number> {
  const ofKind = Object.entries(hash).filter(([field]) => field.startsWith(kind));
  return new Map(ofKind.map(([field, value]) => [field.slice(kind.length), Number(readInteger(key, value))]));
}

/** Adds up items as the running sums must have them: what a drift audit compares `decodeSums` with. */
export function sumItems(items: readonly InflightItem[]): InflightSums {
  const requestsByDay = new Map<string, number>();
  const requestsByMonth = new Map<string, number>();
  for (const { day, requests } of items) {
    addTo(requestsByDay, day, requests);
    addTo(requestsByMonth, monthOf(day), requests);
  }
  return { availableNano: items.reduce((sum, item) => sum + item.availableNano, 0n), requestsByDay, requestsByMonth };
}

/** The fields of running sums as the scripts write them, for an overlay of so many items: none without an item. */
export function sumFields(
  { availableNano, requestsByDay, requestsByMonth }: InflightSums,
  itemCount: number,
): Map<string, string> {
  const fields = new Map<string, string>(itemCount === 0 ? [] : [[SUM_AVAILABLE, availableNano.toString()]]);
  for (const [day, requests] of requestsByDay) fields.set(`${SUM_DAY}${day}`, String(requests));
  for (const [month, requests] of requestsByMonth) fields.set(`${SUM_MONTH}${month}`, String(requests));
  return fields;
}

function addTo(sums: Map<string, number>, window: string, requests: number): void {
  const sum = (sums.get(window) ?? 0) + requests;
  if (sum === 0) sums.delete(window);
  else sums.set(window, sum);
}

function readInteger(key: string, text: string): bigint {
  if (!/^-?\d{1,24}$/.test(text)) throw malformed(key, text);
  return BigInt(text);
}

/** Reads a count of requests or a version. Throws REDIS_FAILED. */
export function readCount(key: string, text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count)) throw malformed(key, text);
  return count;
}

function readPastCounts(key: string, text: string): string {
  if (!/^(\d+(,\d+)*)?\|(\d+(,\d+)*)?$/.test(text)) throw malformed(key, text);
  return text;
}

function malformed(key: string, found: string): TollbookError {
  return new TollbookError(
    'REDIS_FAILED',
    `${key} holds ${JSON.stringify(found)}, which no script of Tollbook writes`,
    {
      context: { key, found },
    },
  );
}
