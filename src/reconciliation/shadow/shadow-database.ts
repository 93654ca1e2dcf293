/**
 * Owns: the shadow: a database of its own beside the ledger, made new, migrated by the same migrations, and dropped.
 * A schema in the ledger's own database was turned down: every statement of the charge protocol names its tables without
 * a schema, so one connection with another search_path would write into the ledger itself; another database cannot.
 * Invariants: the ledger's database is never written to; what is made here is dropped here, unless it is to be kept; the
 * shadow forgoes waiting for the disk, since nothing is lost with it.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { TollbookError } from '../../runtime/errors.js';
import { migrate } from '../../runtime/migrations.js';
import { createPostgresPool, translatePostgresError } from '../../runtime/postgres.js';

/** A shadow that is there. */
export interface ShadowDatabase {
  readonly name: string;
  /** Connections to it, as its owner. */
  readonly pool: pg.Pool;
  /** Closes the connections, and drops it unless it is kept. Throws POSTGRES_*. */
  close(options: { readonly isKept: boolean }): Promise<void>;
}

const INFIX = '_shadow_';
/** PostgreSQL cuts longer names off. */
const NAME_LENGTH_MAX = 63;
const CONNECTIONS = 4;
const INSUFFICIENT_PRIVILEGE = '42501';
const DROP_ATTEMPTS_MAX = 150;
const DROP_RETRY_MS = 100;

/** Creates a shadow beside the database that the owner of the ledger connects to. Throws POSTGRES_*. */
export async function createShadow(ownerUrl: string): Promise<ShadowDatabase> {
  const name = shadowName(databaseOf(ownerUrl));
  await runOn(ownerUrl, async (client) => {
    await client.query(`CREATE DATABASE ${name}`).catch((error: unknown) => refuseWithoutRight(error, ownerUrl));
    await client.query(`ALTER DATABASE ${name} SET synchronous_commit TO off`);
  });
  const drop = (): Promise<void> => runOn(ownerUrl, (client) => dropDatabase(client, name));
  const url = new URL(ownerUrl);
  url.pathname = `/${name}`;
  try {
    await migrate({ ownerUrl: url.href });
  } catch (error) {
    await drop();
    throw error;
  }
  const pool = createPostgresPool({
    ...{ url: url.href, role: '', applicationName: 'tollbook-replay', connectionsMax: CONNECTIONS },
  });
  const close = async ({ isKept }: { readonly isKept: boolean }): Promise<void> => {
    await pool.end();
    if (!isKept) await drop();
  };
  return { name, pool, close };
}

/** Shadows of the same ledger that other runs have left or are using. Throws POSTGRES_*. */
export async function otherShadows(ownerUrl: string): Promise<string[]> {
  let names: string[] = [];
  await runOn(ownerUrl, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY datname',
      [shadowPrefix(databaseOf(ownerUrl))],
    );
    names = rows.map(({ datname }) => datname);
  });
  return names;
}

function databaseOf(url: string): string {
  return decodeURIComponent(new URL(url).pathname.slice(1));
}

function shadowName(database: string): string {
  return `${shadowPrefix(database)}${randomBytes(6).toString('hex')}`;
}

/** Of any name a plain one, so that no statement has to quote it. */
function shadowPrefix(database: string): string {
  const plain = database.toLowerCase().replace(/[^a-z0-9_]/g, '_');
  const lengthMax = NAME_LENGTH_MAX - INFIX.length - 12;
  return (/^[a-z_]/.test(plain) ? plain : `_${plain}`).slice(0, lengthMax) + INFIX;
}

/** An autovacuum worker in the shadow is a superuser's, which its owner may not end: it is waited for. */
async function dropDatabase(client: pg.Client, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      return;
    } catch (error) {
      if (sqlStateOf(error) !== INSUFFICIENT_PRIVILEGE || attempt === DROP_ATTEMPTS_MAX) throw error;
      await delay(DROP_RETRY_MS);
    }
  }
}

function sqlStateOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function refuseWithoutRight(error: unknown, ownerUrl: string): never {
  if (sqlStateOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
  const user = decodeURIComponent(new URL(ownerUrl).username);
  throw new TollbookError(
    'POSTGRES_FAILED',
    `${user} may not create databases, and a shadow is one; let an administrator run "ALTER ROLE ${user} CREATEDB", or ` +
      'set DATABASE_OWNER_URL to a user who may',
    { cause: error, context: { sqlState: INSUFFICIENT_PRIVILEGE } },
  );
}

async function runOn(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'tollbook-replay' });
  try {
    await client.connect();
    await work(client);
  } catch (error) {
    throw translatePostgresError(error);
  } finally {
    await client.end();
  }
}
