/**
 * Owns: databases of the tests: each with a random name on the server of DATABASE_URL, dropped at the end.
 * Invariants: a missing DATABASE_URL or server fails the test file, it never skips it.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { APPLICATION_ROLE } from '../../src/runtime/application-role.js';
import { TollbookError } from '../../src/runtime/errors.js';
import { migrate } from '../../src/runtime/migrations.js';
import { createPostgresPool } from '../../src/runtime/postgres.js';
import { waitUntil } from './wait-until.js';

const INSUFFICIENT_PRIVILEGE = '42501';

/** A database of its own for one test file. */
export interface TestDatabase {
  /** Connects as the owner of the database. */
  readonly url: string;
  /** Removes the database, cutting off whoever is still connected. */
  drop(): Promise<void>;
}

/** Creates a database with the current schema. Throws CONFIG_INVALID without DATABASE_URL. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const database = await createEmptyTestDatabase();
  try {
    await migrate({ ownerUrl: database.url });
  } catch (error) {
    await database.drop();
    throw error;
  }
  return database;
}

/** Creates a database without any table. Throws CONFIG_INVALID without DATABASE_URL. */
export async function createEmptyTestDatabase(): Promise<TestDatabase> {
  const serverUrl = readServerUrl();
  const name = `tollbook_test_${randomBytes(6).toString('hex')}`;
  await runOn(serverUrl, `CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => dropDatabase(serverUrl, name) };
}

/** Opens a pool on a test database as the application role, as a running process does. */
export function openApplicationPool(database: TestDatabase): pg.Pool {
  return openPool(database, APPLICATION_ROLE);
}

/** Opens a pool on a test database as its owner. */
export function openOwnerPool(database: TestDatabase): pg.Pool {
  return openPool(database, '');
}

function openPool({ url }: TestDatabase, role: string): pg.Pool {
  return createPostgresPool({ url, role, applicationName: 'tollbook-test', connectionsMax: 4 });
}

function readServerUrl(): string {
  const url = process.env['DATABASE_URL'];
  if (url === undefined || url === '') {
    throw new TollbookError('CONFIG_INVALID', 'DATABASE_URL is not set; these tests need a real PostgreSQL');
  }
  return url;
}

/** An autovacuum worker in the database is a superuser's, which its owner may not end: it is waited for. */
async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  await waitUntil(`nobody but us is in ${name}`, async () => {
    try {
      await runOn(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === INSUFFICIENT_PRIVILEGE) return false;
      throw error;
    }
  });
}

async function runOn(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'tollbook-test' });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
