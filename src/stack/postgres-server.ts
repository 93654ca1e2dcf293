/**
 * Owns: how PostgreSQL is initialised, configured, started, probed and provided with Tollbook's role and database.
 * Does not own: where it lives and as whom (postgres-home.ts), the schema (migrations/).
 * Invariants: a commit is durable (fsync and synchronous_commit on), as the ledger assumes; TCP on 127.0.0.1 alone, with
 * generated passwords; the data folder appears whole or not at all.
 */
import { chownSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { clearStaleLock } from './postgres-lock.js';
import { openPostgresHome, type PostgresHome } from './postgres-home.js';
import { runnableNativeDir } from './postgres-program.js';
import type { Launch } from './server-process.js';
import type { ServerRecipe, ServerSite } from './server-recipe.js';
import { runTool } from './tool-run.js';

const PROBE_TIMEOUT_MS = 2000;

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  fsync: 'on',
  synchronous_commit: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/** PostgreSQL 18 as a server of the local stack. */
export const postgresRecipe: ServerRecipe = {
  name: 'postgres',
  // SIGINT is PostgreSQL's "fast" stop; SIGTERM would wait for every client to leave by itself.
  stopSignal: 'SIGINT',
  stopDeadlineMs: 30_000,
  startDeadlineMs: 60_000,
  prepare: preparePostgres,
  probe: probePostgres,
  provision: provisionPostgres,
};

async function preparePostgres(site: ServerSite): Promise<Launch> {
  const home = openPostgresHome(site.dir, site.state, site.report);
  const nativeDir = runnableNativeDir(path.join(home.homeDir, 'native'), home.user);
  if (!existsSync(path.join(home.dataDir, 'PG_VERSION'))) await initialise(site, home, nativeDir);
  await clearStaleLock(home.dataDir);
  const settings = Object.entries(SETTINGS).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
  return {
    command: path.join(nativeDir, 'bin', 'postgres'),
    args: ['-D', home.dataDir, '-p', String(site.record.port), ...settings],
    env: { LC_ALL: 'C' },
    cwd: home.homeDir,
    user: home.user,
    marks: ['postgres', home.dataDir],
  };
}

/** Runs initdb on a folder aside and renames it: an initdb that was cut off leaves nothing that looks like a database. */
async function initialise(site: ServerSite, home: PostgresHome, nativeDir: string): Promise<void> {
  site.report('postgres: initialising its data folder…');
  const newDataDir = path.join(home.homeDir, 'data-new');
  const passwordPath = path.join(home.homeDir, 'initdb-password');
  rmSync(newDataDir, { recursive: true, force: true });
  mkdirSync(newDataDir, { mode: 0o700 });
  writeFileSync(passwordPath, `${site.state.adminPassword}\n`, { mode: 0o600 });
  if (home.user !== undefined) {
    for (const owned of [newDataDir, passwordPath]) chownSync(owned, home.user.uid, home.user.gid);
  }
  const identity = ['--username=postgres', `--pwfile=${passwordPath}`, '--auth=scram-sha-256'];
  // The built-in locale sorts the same on every machine, whatever locales the system has.
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  await runTool({
    command: path.join(nativeDir, 'bin', 'initdb'),
    args: [`--pgdata=${newDataDir}`, ...identity, ...locale, '--no-instructions'],
    cwd: home.homeDir,
    logPath: site.logPath,
    env: { LC_ALL: 'C' },
    user: home.user,
    failure: 'PostgreSQL could not initialise its data folder',
  }).finally(() => {
    rmSync(passwordPath, { force: true });
  });
  rmSync(home.dataDir, { recursive: true, force: true });
  renameSync(newDataDir, home.dataDir);
}

async function probePostgres(site: ServerSite): Promise<void> {
  await asAdmin(site, async (client) => {
    await client.query('SELECT 1');
  });
}

/** Makes the owner role (which may create the application role and test databases) and its database. */
async function provisionPostgres(site: ServerSite): Promise<void> {
  await asAdmin(site, async (client) => {
    const password = client.escapeLiteral(site.state.ownerPassword);
    const attributes = `LOGIN CREATEROLE CREATEDB PASSWORD ${password}`;
    const roles = await client.query(`SELECT 1 FROM pg_roles WHERE rolname = 'tollbook_owner'`);
    await client.query(`${roles.rowCount === 0 ? 'CREATE' : 'ALTER'} ROLE tollbook_owner ${attributes}`);
    const databases = await client.query(`SELECT 1 FROM pg_database WHERE datname = 'tollbook'`);
    if (databases.rowCount === 0) await client.query('CREATE DATABASE tollbook OWNER tollbook_owner');
  });
}

async function asAdmin(site: ServerSite, action: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port: site.record.port,
    user: 'postgres',
    password: site.state.adminPassword,
    database: 'postgres',
    connectionTimeoutMillis: PROBE_TIMEOUT_MS,
    query_timeout: 10_000,
  });
  client.on('error', () => undefined); // a server that dies under the probe: the pending call rejects as well
  try {
    await client.connect();
    await action(client);
  } finally {
    await client.end();
  }
}
