/**
 * Owns: the reading port on PostgreSQL.
 * Invariants: each method is one statement, so one snapshot; nothing is locked; no statement scans with history.
 */
import type pg from 'pg';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { Account } from '../account.js';
import type { StreamSource } from '../batch.js';
import type { EntryStatus } from '../entry.js';
import type { AccountProgress, LedgerReader, TraceStep } from '../ledger-reader.js';
import type { Cursor, TraceKey } from '../ledger-store.js';
import { arrayLiteral } from './array-literal.js';
import {
  ACCOUNT_SELECT,
  type AccountRow,
  accountOf,
  CURSOR_SELECT,
  type CursorRow,
  cursorOf,
  safeInteger,
} from './rows.js';

interface ProgressRow extends AccountRow {
  /** One line a step, `SEQ STATUS TRACE`; null when there are none. One text is far cheaper to read than three arrays. */
  readonly steps: string | null;
}

/** Reads the ledger through a pool of PostgreSQL connections. Every method throws POSTGRES_*. */
export class PostgresLedgerReader implements LedgerReader {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async readProgress(
    since: readonly { tenantId: string; sinceSeq: number }[],
    stepsMax: number,
  ): Promise<AccountProgress[]> {
    const rows = await this.#rows<ProgressRow>(
      `SELECT ${ACCOUNT_SELECT}, lines.steps
       FROM unnest($1::text[], $2::bigint[]) AS wanted(tenant_id, since_seq)
       JOIN accounts a ON a.tenant_id = wanted.tenant_id COLLATE "C"
       CROSS JOIN LATERAL (
         SELECT string_agg(e.seq || ' ' || e.status || ' ' || e.trace_id, E'\\n') AS steps
         FROM (SELECT seq, trace_id, status FROM ledger_entries
               WHERE tenant_id = a.tenant_id AND seq > wanted.since_seq AND seq <= a.seq AND type = 'DEDUCT'
               ORDER BY seq LIMIT $3) AS e) AS lines`,
      [
        arrayLiteral(since.map(({ tenantId }) => tenantId)),
        arrayLiteral(since.map(({ sinceSeq }) => sinceSeq)),
        stepsMax,
      ],
    );
    return rows.map((row) => ({ account: accountOf(row), steps: stepsOf(row) }));
  }

  async readSteps(traces: readonly TraceKey[]): Promise<TraceStep[]> {
    const rows = await this.#rows<{ tenant_id: string; trace_id: string; seq: string; status: EntryStatus }>(
      `SELECT e.tenant_id, e.trace_id, e.seq, e.status FROM unnest($1::text[], $2::text[]) AS wanted(tenant_id, trace_id)
       JOIN ledger_entries e ON e.tenant_id = wanted.tenant_id COLLATE "C" AND e.trace_id = wanted.trace_id COLLATE "C"`,
      [arrayLiteral(traces.map((trace) => trace.tenantId)), arrayLiteral(traces.map((trace) => trace.traceId))],
    );
    return rows.map((row) => ({
      tenantId: row.tenant_id,
      traceId: row.trace_id,
      seq: safeInteger(row.seq),
      status: row.status,
    }));
  }

  async pageAccounts(afterTenantId: string, limit: number): Promise<{ tenantId: string; seq: number }[]> {
    const rows = await this.#rows<{ tenant_id: string; seq: string }>(
      'SELECT tenant_id, seq FROM accounts WHERE tenant_id > $1 COLLATE "C" ORDER BY tenant_id LIMIT $2',
      [afterTenantId, limit],
    );
    return rows.map((row) => ({ tenantId: row.tenant_id, seq: safeInteger(row.seq) }));
  }

  async readAccounts(tenantIds: readonly string[]): Promise<Map<string, Account>> {
    const rows = await this.#rows<AccountRow>(`SELECT ${ACCOUNT_SELECT} FROM accounts a WHERE a.tenant_id = ANY($1)`, [
      arrayLiteral(tenantIds),
    ]);
    return new Map(rows.map((row) => [row.tenant_id, accountOf(row)]));
  }

  async readCursor({ topic, partition }: StreamSource): Promise<Cursor | undefined> {
    const rows = await this.#rows<CursorRow>(
      `SELECT ${CURSOR_SELECT} FROM stream_cursors WHERE topic = $1 AND partition = $2`,
      [topic, partition],
    );
    return rows[0] === undefined ? undefined : cursorOf(rows[0]);
  }

  async readCursors(): Promise<Cursor[]> {
    const rows = await this.#rows<CursorRow>(
      `SELECT ${CURSOR_SELECT} FROM stream_cursors ORDER BY topic, partition`,
      [],
    );
    return rows.map(cursorOf);
  }

  async tenantsOfBatches(
    { topic, partition }: StreamSource,
    fromBatchNo: number,
    toBatchNo: number,
  ): Promise<string[]> {
    const rows = await this.#rows<{ tenant_id: string }>(
      `SELECT DISTINCT e.tenant_id FROM ledger_batches b JOIN ledger_entries e ON e.batch_id = b.batch_id
       WHERE b.topic = $1 AND b.partition = $2 AND b.batch_no > $3 AND b.batch_no <= $4`,
      [topic, partition, fromBatchNo, toBatchNo],
    );
    return rows.map((row) => row.tenant_id);
  }

  async #rows<R extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<R[]> {
    try {
      return (await this.#pool.query<R>(sql, values)).rows;
    } catch (error) {
      throw translatePostgresError(error);
    }
  }
}

function stepsOf(row: ProgressRow): TraceStep[] {
  if (row.steps === null) return [];
  return row.steps.split('\n').map((line) => {
    const [seq = '', status = '', traceId = ''] = line.split(' ');
    return { tenantId: row.tenant_id, traceId, seq: safeInteger(seq), status: status as EntryStatus };
  });
}
