/**
 * Owns: the ledger port on PostgreSQL: one database transaction per sealed batch, hand-written SQL for the hot path.
 * Does not own: any decision; the schema (migrations/).
 * Invariants: locks are taken in one statement and read in it or a later one (READ COMMITTED reads with the snapshot of
 * the statement's start); accounts are locked in ascending tenant order; a lost race is an error, never a partial write.
 */
import type pg from 'pg';
import { invariant } from '../../runtime/errors.js';
import { faultPoint } from '../../runtime/fault-points.js';
import type { StreamSource } from '../batch.js';
import type { RecordedCommand } from '../commands/command-content.js';
import type { LedgerEntry } from '../entry.js';
import type { UsageCompleted } from '../events.js';
import type {
  AccountOpening,
  CommandKey,
  Cursor,
  EntryKey,
  LedgerAppend,
  LedgerStore,
  LedgerTransaction,
  LockedAccount,
  StampedEntries,
  TraceKey,
} from '../ledger-store.js';
import { traceKey } from '../ledger-store.js';
import { type AmountNano, formatAmount } from '../money.js';
import type { PricedVersion, PriceSpan } from '../price-book.js';
import type { TraceState } from '../trace.js';
import {
  arrayLiteral,
  type ColumnOf,
  columnArrays,
  TRACE_IDS,
  TRACE_KEY_COLUMNS,
  tracesByTenant,
} from './array-literal.js';
import { copyEntries, writeAppend } from './append-writes.js';
import { lockOpenings } from './opening-locks.js';
import { inLedgerTransaction, queryInIndexOrder } from './database-transaction.js';
import { selectCommand, selectEntry, selectRefunded, selectTraceEntries } from './command-rows.js';
import { namingBlockers } from './lock-watch.js';
import { selectParked } from './parked-usage.js';
import { readPricedVersions } from './price-books.js';
import {
  CURSOR_SELECT,
  type CursorRow,
  cursorOf,
  LOCKED_ACCOUNT_SELECT,
  type LockedAccountRow,
  lockedAccountOf,
  safeInteger,
  TRACE_CONTENT_JOIN,
  TRACE_SELECT,
  type TraceRow,
  traceStateOf,
} from './rows.js';

const OPENING_COLUMNS: readonly ColumnOf<AccountOpening>[] = [
  (opening) => opening.tenantId,
  (opening) => opening.currency,
  (opening) => formatAmount(opening.terms.creditLimitNano),
  (opening) => opening.terms.dailyQuota,
  (opening) => opening.terms.monthlyQuota,
  (opening) => opening.day,
  (opening) => opening.terms.holdPolicy,
];

const SOURCE_COLUMNS: readonly ColumnOf<StreamSource>[] = [({ topic }) => topic, ({ partition }) => partition];

const LOCK_ACCOUNTS = `SELECT ${LOCKED_ACCOUNT_SELECT} FROM accounts a WHERE a.tenant_id = ANY($1) ORDER BY a.tenant_id FOR UPDATE`;

/** No row at all where an account is missing. No account is ever deleted, so those that are counted are there to lock. */
const LOCK_OPEN_ACCOUNTS = `
  SELECT ${LOCKED_ACCOUNT_SELECT} FROM accounts a WHERE a.tenant_id = ANY($1)
    AND (SELECT count(*) FROM accounts o WHERE o.tenant_id = ANY($1)) = cardinality($1::text[])
  ORDER BY a.tenant_id FOR UPDATE OF a`;

/** In the order of the index on (tenant, trace, status), so that it is the one that is used: see `queryInIndexOrder`. */
export const READ_TRACES = `
  SELECT wanted.place::int AS place, ${TRACE_SELECT}
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted(tenant_id, traces, place)
  CROSS JOIN LATERAL (
    SELECT * FROM ledger_entries WHERE tenant_id = wanted.tenant_id COLLATE "C" AND trace_id = ANY (${TRACE_IDS})
    ORDER BY tenant_id, trace_id) AS e
  ${TRACE_CONTENT_JOIN}`;

/** The ledger on a pool of PostgreSQL connections. */
export class PostgresLedgerStore implements LedgerStore {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** {@inheritDoc LedgerStore.transact} Throws POSTGRES_UNAVAILABLE, POSTGRES_CONFLICT, POSTGRES_FAILED, FENCED. */
  transact<T>(work: (transaction: LedgerTransaction) => Promise<T>): Promise<T> {
    return inLedgerTransaction(this.#pool, (client) => work(new PostgresLedgerTransaction(client, this.#pool)));
  }
}

/** The ledger inside the database transaction that is open on a client. */
export class PostgresLedgerTransaction implements LedgerTransaction {
  readonly #client: pg.PoolClient;
  readonly #pool: pg.Pool;

  /** The pool is that of the client: it has a connection to ask who is in the way. */
  constructor(client: pg.PoolClient, pool: pg.Pool) {
    this.#client = client;
    this.#pool = pool;
  }

  async lockCursors(sources: readonly StreamSource[]): Promise<Cursor[]> {
    const statement = {
      name: 'lock-cursors',
      text: `SELECT ${CURSOR_SELECT} FROM stream_cursors
       WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[] COLLATE "C", $2::int[]))
       ORDER BY topic, partition FOR UPDATE OF stream_cursors`,
      values: columnArrays(sources, SOURCE_COLUMNS),
    };
    const { rows } = await namingBlockers(this.#pool, () => this.#client.query<CursorRow>(statement));
    await faultPoint('ledger.cursor-locked');
    return rows.map(cursorOf);
  }

  async createCursor(cursor: Cursor): Promise<Cursor> {
    const { nextOffset, batchNo, head, clusterId, log } = cursor;
    const { topic, partition } = cursor.source;
    await this.#client.query(
      `INSERT INTO stream_cursors (topic, partition, next_offset, batch_no, head, cluster_id, topic_id)
       VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
      [topic, partition, nextOffset, batchNo, head, clusterId, log?.topicId],
    );
    const [existing] = await this.lockCursors([cursor.source]);
    invariant(existing !== undefined, 'a cursor just created is missing', { topic });
    return existing;
  }

  async ensureAccounts(
    openings: readonly AccountOpening[],
    unopened: readonly string[] = [],
  ): Promise<ReadonlySet<string>> {
    await lockOpenings(this.#client, openings, unopened);
    if (openings.length === 0) return new Set();
    const { rows } = await this.#client.query<{ tenant_id: string }>(
      `INSERT INTO accounts (tenant_id, currency, balance, held, credit_limit, daily_quota, daily_used, daily_date,
         monthly_quota, monthly_used, monthly_month, hold_policy, seq)
       SELECT o.tenant_id, o.currency, 0, 0, o.credit_limit, o.daily_quota, 0, o.day, o.monthly_quota, 0,
         to_char(o.day, 'YYYY-MM'), o.hold_policy, 0
       FROM unnest($1::text[], $2::text[], $3::numeric[], $4::bigint[], $5::bigint[], $6::date[], $7::hold_policy[])
         AS o(tenant_id, currency, credit_limit, daily_quota, monthly_quota, day, hold_policy)
       WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.tenant_id = o.tenant_id COLLATE "C")
       ORDER BY o.tenant_id COLLATE "C"
       ON CONFLICT DO NOTHING RETURNING tenant_id`,
      columnArrays(openings, OPENING_COLUMNS),
    );
    return new Set(rows.map((row) => row.tenant_id));
  }

  lockAccounts(tenantIds: readonly string[]): Promise<Map<string, LockedAccount>> {
    return this.#lockAccounts({ name: 'lock-accounts', text: LOCK_ACCOUNTS, values: [arrayLiteral(tenantIds)] });
  }

  async lockOpenAccounts(tenantIds: readonly string[]): Promise<Map<string, LockedAccount> | undefined> {
    const values = [arrayLiteral(tenantIds)];
    const accounts = await this.#lockAccounts({ name: 'lock-open-accounts', text: LOCK_OPEN_ACCOUNTS, values });
    return accounts.size === tenantIds.length ? accounts : undefined;
  }

  async #lockAccounts(statement: pg.QueryConfig): Promise<Map<string, LockedAccount>> {
    const { rows } = await namingBlockers(this.#pool, () => this.#client.query<LockedAccountRow>(statement));
    await faultPoint('ledger.accounts-locked');
    const accounts = new Map<string, LockedAccount>();
    for (const row of rows) accounts.set(row.tenant_id, lockedAccountOf(row));
    return accounts;
  }

  async readTraces(traces: readonly TraceKey[]): Promise<Map<string, TraceState>> {
    const { tenantIds, values } = tracesByTenant(traces);
    const statement = { name: 'read-traces', text: READ_TRACES, values: [...values] };
    const { rows } = await queryInIndexOrder<TraceRow>(this.#client, statement);
    return statesOf(tenantIds, rows);
  }

  async readUnpriced(traces: readonly TraceKey[]): Promise<ReadonlyMap<string, UsageCompleted>> {
    if (traces.length === 0) return new Map();
    const { rows } = await this.#client.query<{ tenant_id: string; trace_id: string; event: UsageCompleted }>({
      name: 'read-unpriced',
      text: `SELECT u.tenant_id, u.trace_id, u.event FROM unnest($1::text[], $2::text[]) AS wanted(tenant_id, trace_id)
       JOIN unpriced_usage u ON u.tenant_id = wanted.tenant_id COLLATE "C" AND u.trace_id = wanted.trace_id COLLATE "C"`,
      values: columnArrays(traces, TRACE_KEY_COLUMNS),
    });
    return new Map(rows.map((row) => [keyOfRow(row), row.event]));
  }

  readParked(trace: TraceKey): Promise<UsageCompleted | undefined> {
    return selectParked(this.#client, trace);
  }

  readPricedVersions(book: string, span: PriceSpan): Promise<PricedVersion[]> {
    return readPricedVersions(this.#client, book, span);
  }

  readCommand(key: CommandKey): Promise<RecordedCommand | undefined> {
    return selectCommand(this.#client, key);
  }

  readEntry(key: EntryKey): Promise<LedgerEntry | undefined> {
    return selectEntry(this.#client, key);
  }

  readTraceEntries(trace: TraceKey): Promise<LedgerEntry[]> {
    return selectTraceEntries(this.#client, trace);
  }

  readRefunded(key: EntryKey): Promise<AmountNano> {
    return selectRefunded(this.#client, key);
  }

  async drawBatchIds(count: number): Promise<number[]> {
    const { rows } = await this.#client.query<{ id: string }>({
      name: 'draw-batch-ids',
      text: `SELECT nextval('ledger_batch_id') AS id FROM generate_series(1, $1)`,
      values: [count],
    });
    return rows.map(({ id }) => safeInteger(id));
  }

  appendEntries(batches: readonly StampedEntries[]): Promise<void> {
    return copyEntries(this.#client, batches);
  }

  append(append: LedgerAppend): Promise<void> {
    return writeAppend(this.#client, append);
  }
}

/** The state of each trace, from its last row by seq. */
function statesOf(tenantIds: readonly string[], rows: readonly TraceRow[]): Map<string, TraceState> {
  const last = new Map<string, TraceRow>();
  for (const row of rows) {
    const tenantId = tenantIds[row.place - 1];
    invariant(tenantId !== undefined, 'a tenant that was not asked for', { place: row.place });
    const key = traceKey({ tenantId, traceId: row.trace_id });
    const known = last.get(key);
    if (known === undefined || safeInteger(row.seq) > safeInteger(known.seq)) last.set(key, row);
  }
  const states = new Map<string, TraceState>();
  for (const [key, row] of last) states.set(key, traceStateOf(row));
  return states;
}

function keyOfRow(row: { readonly tenant_id: string; readonly trace_id: string }): string {
  return traceKey({ tenantId: row.tenant_id, traceId: row.trace_id });
}
