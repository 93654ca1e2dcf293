/**
 * Owns: the role the application acts as: that it exists, and that the owner of the tables may act as it.
 * Does not own: its rights on tables; those are granted by the migrations.
 * Invariants: idempotent and safe beside migrations of other databases, because a role belongs to the whole cluster;
 * the owner gets no rights from it (INHERIT FALSE) and the role gets none from the owner.
 * Source: PostgreSQL 16 manual, CREATE ROLE and GRANT: since 16, who creates a role administers it, but may act as it
 * only with the SET option.
 */
import type { QueryRunner } from 'typeorm';
import { TollbookError } from './errors.js';
import { translatePostgresError } from './postgres.js';

/** The role that charges: it reads and appends, and owns nothing. */
export const APPLICATION_ROLE = 'tollbook_app';

const SERVER_VERSION_MIN = 160_000;
const ATTEMPTS_MAX = 5;

/** What a loser of a race reads: duplicate role, unique key of the role catalogs, "tuple concurrently updated". */
const LOST_RACE: ReadonlySet<string> = new Set(['42710', '23505', 'XX000']);
const INSUFFICIENT_PRIVILEGE = '42501';

/**
 * Creates the application role unless the cluster has it, and lets the current user act as it.
 * A user without the right to grant that is told through `report`: the application may well log in as another role.
 * Throws POSTGRES_FAILED below PostgreSQL 16, or when the role is missing and the user may not create roles.
 */
export async function ensureApplicationRole(runner: QueryRunner, report: (line: string) => void): Promise<void> {
  await refuseOldServer(runner);
  for (let attempt = 1; ; attempt += 1) {
    try {
      await createRole(runner);
      await letCurrentUserActAsRole(runner, report);
      return;
    } catch (error) {
      if (attempt === ATTEMPTS_MAX || !LOST_RACE.has(sqlStateOf(error))) throw translatePostgresError(error);
    }
  }
}

async function refuseOldServer(runner: QueryRunner): Promise<void> {
  const [row] = (await runner.query(
    `SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS text`,
  )) as { number: number; text: string }[];
  if (row !== undefined && row.number >= SERVER_VERSION_MIN) return;
  throw new TollbookError('POSTGRES_FAILED', `PostgreSQL 16 or later is needed, found ${row?.text ?? 'none'}`);
}

async function createRole(runner: QueryRunner): Promise<void> {
  const roles = (await runner.query('SELECT FROM pg_roles WHERE rolname = $1', [APPLICATION_ROLE])) as unknown[];
  if (roles.length > 0) return;
  try {
    await runner.query(`CREATE ROLE ${APPLICATION_ROLE} NOLOGIN`);
  } catch (cause) {
    if (sqlStateOf(cause) !== INSUFFICIENT_PRIVILEGE) throw cause;
    const remedy = `let an administrator run "CREATE ROLE ${APPLICATION_ROLE} NOLOGIN"`;
    throw new TollbookError('POSTGRES_FAILED', `this user may not create the role of the application: ${remedy}`, {
      cause,
      context: { sqlState: INSUFFICIENT_PRIVILEGE },
    });
  }
}

async function letCurrentUserActAsRole(runner: QueryRunner, report: (line: string) => void): Promise<void> {
  const [row] = (await runner.query(`SELECT current_user AS user, pg_has_role(current_user, $1, 'SET') AS may`, [
    APPLICATION_ROLE,
  ])) as { user: string; may: boolean }[];
  if (row?.may === true) return;
  try {
    await runner.query(`GRANT ${APPLICATION_ROLE} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE`);
  } catch (error) {
    if (sqlStateOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
    report(
      `${row?.user ?? 'this user'} may not act as ${APPLICATION_ROLE}: let the application log in as a role that may, ` +
        `or run "GRANT ${APPLICATION_ROLE} TO ${row?.user ?? 'USER'} WITH INHERIT FALSE, SET TRUE" as an administrator`,
    );
  }
}

function sqlStateOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
