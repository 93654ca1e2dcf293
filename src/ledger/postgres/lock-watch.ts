/**
 * Owns: finding out who keeps a lock that the ledger waits for, so that an operator can act.
 * Does not own: how long is waited (database-transaction.ts).
 * How: while the wait lasts, another connection asks PostgreSQL; afterwards nobody would block any more. A session of
 * another user shows its statement only to a member of pg_read_all_stats.
 */
import type pg from 'pg';
import { isTollbookError, TollbookError } from '../../runtime/errors.js';
import { withTransaction } from '../../runtime/postgres.js';
import { LOCK_WAIT_MAX_MS } from './database-transaction.js';

/** Late, since most waits are over by then; early enough that the answer comes before the wait ends. */
const ASK_AFTER_MS = LOCK_WAIT_MAX_MS / 2;
const BLOCKERS_TOLD_MAX = 5;

/** So many connections does work need that is to tell who is in its way: while one waits, the other asks. */
export const CONNECTIONS_TO_NAME_BLOCKERS = 2;

/** The login role sees what sessions of its own do; the role of the application sees of nobody what they do. */
const AS_LOGIN = '; SET LOCAL role = none';

/** Who blocks sessions of ours and waits for nobody: the ones at the root. */
const BLOCKERS = `
  SELECT DISTINCT 'pid ' || a.pid || ', user ' || coalesce(a.usename, '?') || ', application ' ||
    coalesce(nullif(a.application_name, ''), '?') || ', ' || coalesce(a.state, 'state unknown') ||
    coalesce(' since ' || to_char(a.xact_start, 'YYYY-MM-DD"T"HH24:MI:SSOF'), '') || ': ' ||
    regexp_replace(left(coalesce(a.query, '?'), 200), '[[:cntrl:]]+', ' ', 'g') AS blocker
  FROM pg_stat_activity w
  CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b(pid)
  JOIN pg_stat_activity a ON a.pid = b.pid
  WHERE w.datname = current_database() AND w.usename = session_user
    AND cardinality(pg_blocking_pids(a.pid)) = 0
  LIMIT ${BLOCKERS_TOLD_MAX}`;

/** Takes locks; when they are not free in time, POSTGRES_LOCKED names the sessions in the way. Throws POSTGRES_*. */
export async function namingBlockers<T>(pool: pg.Pool, lock: () => Promise<T>): Promise<T> {
  let asked: Promise<readonly string[]> = Promise.resolve([]);
  const timer = setTimeout(() => void (asked = readBlockers(pool)), ASK_AFTER_MS);
  try {
    return await lock();
  } catch (error) {
    if (!isTollbookError(error, 'POSTGRES_LOCKED')) throw error;
    throw named(error, await asked);
  } finally {
    clearTimeout(timer);
  }
}

/** Never rejects: who cannot be asked for is not told. */
async function readBlockers(pool: pg.Pool): Promise<readonly string[]> {
  const hasOneLeft = pool.idleCount > 0 || pool.totalCount < pool.options.max;
  if (!hasOneLeft) return []; // the connection that waits is the last one
  try {
    const ask = (client: pg.ClientBase) => client.query<{ blocker: string }>(BLOCKERS);
    return (await withTransaction(pool, ask, { settings: AS_LOGIN })).rows.map(({ blocker }) => blocker);
  } catch {
    return [];
  }
}

function named(error: TollbookError, blockedBy: readonly string[]): TollbookError {
  if (blockedBy.length === 0) return error;
  const message = `${error.message}; blocked by ${blockedBy.join('; and by ')}`;
  return new TollbookError('POSTGRES_LOCKED', message, {
    cause: error.cause,
    context: { ...error.context, blockedBy },
  });
}
