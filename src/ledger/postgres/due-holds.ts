/**
 * Owns: finding holds past their time, with the PENDING entries that opened them, on PostgreSQL.
 * Invariants: one statement, so one snapshot; nothing is locked; it walks the index by expiry and stops at the limit, and
 * looks each entry up by its key. A plain join was planned, on stale statistics, as a scan of every PENDING entry there is.
 */
import type pg from 'pg';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { DueHold, DueHolds } from '../expiry.js';
import { ENTRY_SELECT, type EntryRow, storedEntryOf } from './proof-rows.js';

interface DueHoldRow extends EntryRow {
  readonly expires_at: Date;
}

/** Reads due holds through a pool of PostgreSQL connections. */
export class PostgresDueHolds implements DueHolds {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** {@inheritDoc DueHolds.readDue} Throws POSTGRES_*. */
  async readDue(nowMs: number, limit: number): Promise<DueHold[]> {
    try {
      const { rows } = await this.#pool.query<DueHoldRow>(
        `SELECT ${ENTRY_SELECT}, due.expires_at
         FROM (SELECT tenant_id, trace_id, expires_at FROM open_holds WHERE expires_at <= $1
               ORDER BY expires_at LIMIT $2) AS due
         CROSS JOIN LATERAL (SELECT * FROM ledger_entries
               WHERE tenant_id = due.tenant_id AND trace_id = due.trace_id AND status = 'PENDING' LIMIT 1) AS e
         ORDER BY due.expires_at`,
        [new Date(nowMs).toISOString(), limit],
      );
      return rows.map((row) => ({ entry: storedEntryOf(row).entry, expiresAt: row.expires_at.toISOString() }));
    } catch (error) {
      throw translatePostgresError(error);
    }
  }
}
