/**
 * Owns: what a new connection is: whether it acts as it was asked to, and whether it keeps statements that were named.
 * Does not own: making it (postgres.ts).
 * How: a pooler gives its clients process ids of its own, so one that differs from the server's shows it. One that knows
 * named statements gives them other names on the server; one that does not passes the name on, and another client of the
 * same session, or the same client on another session, would then meet the wrong statement or none.
 * Source: PgBouncer, "max_prepared_statements" (since 1.21; above zero by default since 1.24).
 */
import type pg from 'pg';
import { TollbookError } from './errors.js';

/** What a connection is to be. */
export interface AskedSession {
  /** The statements that begin a database transaction. */
  readonly begin: string;
  /** Whom it acts as; empty: the login role. */
  readonly role: string;
}

/** What a connection is. */
export interface Session {
  /** A pooler would send a named statement to a session that does not know it. */
  readonly losesStatements: boolean;
}

const PROBE = 'tollbook-probe';
const PROBED = `
  SELECT current_user AS role, session_user AS login, pg_backend_pid() AS pid,
    current_setting('statement_timeout') <> '0' AND current_setting('lock_timeout') <> '0'
      AND current_setting('idle_in_transaction_session_timeout') <> '0' AS limited,
    EXISTS (SELECT FROM pg_prepared_statements WHERE name = '${PROBE}') AS named`;

interface ProbedRow {
  readonly role: string;
  readonly login: string;
  readonly pid: number;
  readonly limited: boolean;
  readonly named: boolean;
}

/**
 * Looks at a connection inside a database transaction. Throws POSTGRES_FAILED when the transaction does not have the role and
 * the time-outs that it began with, POSTGRES_*.
 */
export async function checkSession(client: pg.ClientBase, { begin, role }: AskedSession): Promise<Session> {
  await client.query(begin);
  const { rows } = await client.query<ProbedRow>({ name: PROBE, text: PROBED });
  const [probed] = rows;
  // Another client may come to this session, and would ask for the same name.
  await client.query(probed?.named === true ? `DEALLOCATE "${PROBE}"; COMMIT` : 'COMMIT');
  const acts = role === '' ? probed?.login : role;
  if (probed === undefined || probed.role !== acts || !probed.limited) {
    throw new TollbookError(
      'POSTGRES_FAILED',
      `a transaction acts as ${probed?.role ?? 'nobody'}, ${probed?.limited === true ? 'with' : 'without'} time-outs; ` +
        `expected ${acts ?? role}, with time-outs: what stands before PostgreSQL must keep a transaction on one session`,
    );
  }
  return { losesStatements: isBehindPooler(client, probed.pid) && probed.named };
}

function isBehindPooler(client: pg.ClientBase, pid: number): boolean {
  return Reflect.get(client, 'processID') !== pid;
}
