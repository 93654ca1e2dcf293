/**
 * Owns: the mapping between rows of PostgreSQL and the types of the ledger, both ways, for every table.
 * Invariants: amounts travel as decimal text, offsets and sequence numbers as base-10 text, dates as ISO text;
 * no value passes through a float.
 */
import { invariant, TollbookError } from '../../runtime/errors.js';
import { nameMap } from '../../runtime/name-map.js';
import type { Account, HoldPolicy } from '../account.js';
import type { EntryMeters, EntryStatus, EntryUsage } from '../entry.js';
import type { RecordMark } from '../charged-log.js';
import type { UsageOutcome } from '../events.js';
import type { Cursor, LockedAccount } from '../ledger-store.js';
import { parseAmount } from '../money.js';
import type { ChargeContent, ComparedUsage } from '../trace-content.js';
import type { TraceState } from '../trace.js';

/** The columns of `ledger_entries`: those of the canonical form in their order, then those of the batch. */
export const ENTRY_COLUMNS = [
  ...['tenant_id', 'seq', 'trace_id', 'type', 'status', 'amount', 'balance_before', 'balance_after'],
  ...['held_before', 'held_after', 'currency', 'requests', 'counted_on', 'input_tokens', 'output_tokens'],
  ...['input_price', 'output_price', 'meters', 'price_version', 'provider', 'model', 'api_key_id', 'preset_item_id'],
  ...['stream', 'outcome', 'allow_negative', 'price_class', 'user_id', 'project_id', 'tags'],
  ...['description', 'detail', 'reference_seq', 'actor', 'command_hash'],
  ...['source_topic', 'source_partition', 'source_offset', 'occurred_at', 'recorded_at', 'batch_id', 'entry_hash'],
] as const;

/** A row of `accounts`, selected with ACCOUNT_SELECT. */
export interface AccountRow {
  readonly tenant_id: string;
  readonly currency: string;
  readonly balance: string;
  readonly held: string;
  readonly credit_limit: string;
  readonly daily_quota: string | null;
  readonly daily_used: string;
  readonly daily_date: string;
  readonly monthly_quota: string | null;
  readonly monthly_used: string;
  readonly monthly_month: string;
  readonly past_counts: string;
  readonly hold_policy: HoldPolicy;
  readonly seq: string;
}

/** The select list that makes an AccountRow of `accounts a`. */
export const ACCOUNT_SELECT =
  'a.tenant_id, a.currency, a.balance, a.held, a.credit_limit, a.daily_quota, a.daily_used, a.daily_date::text AS daily_date, ' +
  'a.monthly_quota, a.monthly_used, a.monthly_month, a.past_counts, a.hold_policy, a.seq';

/** A row of `accounts`, selected with LOCKED_ACCOUNT_SELECT. */
export interface LockedAccountRow extends AccountRow {
  readonly recorded_at_ms: string | null;
}

/** The select list that makes a LockedAccountRow of `accounts a`. */
export const LOCKED_ACCOUNT_SELECT = `${ACCOUNT_SELECT},
  (extract(epoch FROM a.last_recorded_at) * 1000)::bigint AS recorded_at_ms`;

/** Reads a locked account from its row; not spread, which would cost more than the rest. */
export function lockedAccountOf(row: LockedAccountRow): LockedAccount {
  return Object.assign(accountOf(row), { recordedAtMs: Number(row.recorded_at_ms ?? 0) });
}

/** Reads an account from its row. */
export function accountOf(row: AccountRow): Account {
  return {
    tenantId: row.tenant_id,
    currency: row.currency,
    balanceNano: parseAmount(row.balance, 'balance'),
    heldNano: parseAmount(row.held, 'held'),
    creditLimitNano: parseAmount(row.credit_limit, 'credit_limit'),
    dailyQuota: countOf(row.daily_quota),
    dailyUsed: safeInteger(row.daily_used),
    dailyDate: row.daily_date,
    monthlyQuota: countOf(row.monthly_quota),
    monthlyUsed: safeInteger(row.monthly_used),
    monthlyMonth: row.monthly_month,
    pastCounts: row.past_counts,
    holdPolicy: row.hold_policy,
    seq: safeInteger(row.seq),
  };
}

/** The columns of `ledger_entries` that tell of the request. */
export interface UsageColumns {
  readonly input_tokens: string | null;
  readonly output_tokens: string | null;
  readonly input_price: string | null;
  readonly output_price: string | null;
  readonly meters: EntryMeters | null;
  readonly price_version: string | null;
  readonly provider: string | null;
  readonly model: string | null;
  readonly api_key_id: string | null;
  readonly preset_item_id: string | null;
  readonly stream: boolean | null;
  readonly outcome: UsageOutcome | null;
  readonly allow_negative: boolean | null;
  readonly price_class: string | null;
  readonly user_id: string | null;
  readonly project_id: string | null;
  readonly tags: Readonly<Record<string, string>> | null;
}

/** Those of them that a second completion is compared with. */
export type ComparedColumns = Pick<
  UsageColumns,
  | 'input_tokens'
  | 'output_tokens'
  | 'input_price'
  | 'output_price'
  | 'meters'
  | 'price_version'
  | 'price_class'
  | 'provider'
  | 'model'
  | 'outcome'
>;

/** A row of `ledger_entries` as far as it tells the state of a trace, selected with TRACE_SELECT. */
export interface TraceRow extends ComparedColumns {
  /** Of the tenant among those asked for, from 1: shorter to send and to read than its name. */
  readonly place: number;
  readonly trace_id: string;
  readonly seq: string;
  readonly status: EntryStatus;
  /** What it holds; zero unless it is pending. */
  readonly held: string;
  readonly counted_on: string | null;
  /** As all that follows from here: null unless the trace is charged. */
  readonly amount: string | null;
  readonly currency: string | null;
}

/** What a second completion is compared with, and nothing else. */
const TRACE_CONTENT = [
  ...['amount', 'currency', 'input_tokens', 'output_tokens', 'input_price', 'output_price', 'meters', 'price_version'],
  ...['price_class', 'provider', 'model', 'outcome'],
];

/** The select list that, after `place`, makes a TraceRow of `ledger_entries e` and TRACE_CONTENT_JOIN. */
export const TRACE_SELECT =
  'e.trace_id, e.seq, e.status, e.held_after - e.held_before AS held, e.counted_on::text AS counted_on, ' +
  TRACE_CONTENT.map((column) => `c.${column}`).join(', ');

/** What was charged is compared with what comes again; of a hold nothing else is sent: most traces are found pending. */
export const TRACE_CONTENT_JOIN = `LEFT JOIN LATERAL
    (SELECT ${TRACE_CONTENT.map((column) => `e.${column}`).join(', ')}
     WHERE e.status IN ('COMMITTED', 'FAILED')) AS c ON true`;

/** The state of a trace, from its last row by seq. */
export function traceStateOf(last: TraceRow): TraceState {
  switch (last.status) {
    case 'PENDING':
      return {
        status: 'PENDING',
        heldNano: parseAmount(last.held, 'held'),
        countedOn: last.counted_on,
      };
    case 'COMMITTED':
    case 'FAILED':
      return { status: last.status, content: contentOf(last) };
    case 'REFUSED':
    case 'VOIDED':
    case 'EXPIRED':
      return { status: last.status };
  }
}

function contentOf(row: TraceRow): ChargeContent {
  const { amount, currency } = row;
  invariant(amount !== null && currency !== null, 'a charged trace has its amount and currency', { seq: row.seq });
  return { usage: comparedUsageOf(row), amountNano: parseAmount(amount), currency };
}

function comparedUsageOf(row: ComparedColumns): ComparedUsage {
  return {
    inputTokens: countOf(row.input_tokens),
    outputTokens: countOf(row.output_tokens),
    inputPrice: row.input_price,
    outputPrice: row.output_price,
    meters: row.meters === null ? null : nameMap(Object.entries(row.meters)),
    priceVersion: row.price_version,
    priceClass: row.price_class,
    provider: row.provider,
    model: row.model,
    outcome: row.outcome,
  };
}

/** Reads what a row tells of the request. */
export function usageOf(row: UsageColumns): EntryUsage {
  return {
    ...comparedUsageOf(row),
    apiKeyId: row.api_key_id,
    presetItemId: row.preset_item_id,
    stream: row.stream,
    allowNegative: row.allow_negative,
    userId: row.user_id,
    projectId: row.project_id,
    tags: row.tags === null ? null : nameMap(Object.entries(row.tags)),
  };
}

/** A row of `stream_cursors`, selected with CURSOR_SELECT. */
export interface CursorRow {
  readonly topic: string;
  readonly partition: number;
  readonly next_offset: string;
  readonly batch_no: string;
  readonly head: Buffer;
  readonly cluster_id: string;
  readonly log_base: string;
  readonly topic_id: string | null;
  readonly last_position: string | null;
  readonly last_digest: Buffer | null;
}

/** The select list that makes a CursorRow of `stream_cursors`. */
export const CURSOR_SELECT =
  'topic, partition, next_offset, batch_no, head, cluster_id, log_base, topic_id, last_position, last_digest';

/** Reads a cursor from its row. */
export function cursorOf(row: CursorRow): Cursor {
  return {
    source: { topic: row.topic, partition: row.partition },
    nextOffset: BigInt(row.next_offset),
    batchNo: safeInteger(row.batch_no),
    head: row.head,
    clusterId: row.cluster_id,
    log: { base: BigInt(row.log_base), topicId: row.topic_id, lastRecord: lastRecordOf(row) },
  };
}

function lastRecordOf({ last_position: position, last_digest: digest }: CursorRow): RecordMark | null {
  return position === null || digest === null ? null : { position: BigInt(position), digest };
}

/** Reads a count that may be missing. */
export function countOf(text: string | null): number | null {
  return text === null ? null : safeInteger(text);
}

/** Reads a count or sequence number. Throws LEDGER_CORRUPT beyond 2^53, which no counter reaches. */
export function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new TollbookError('LEDGER_CORRUPT', `${text} is not a count below 2^53`);
  }
  return value;
}
