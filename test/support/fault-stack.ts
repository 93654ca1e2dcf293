/**
 * Owns: the servers that the fault tests break: a stack of their own, up once for all files, whose servers are paused,
 * killed and started again. A file that needs three brokers has another stack, for itself.
 * Invariants: every file finds all servers up, whatever the one before it left; the addresses of the environment are those
 * of this stack while a file runs, and afterwards what they were.
 */
import path from 'node:path';
import { expect } from 'chai';
import pg from 'pg';
import {
  type ServerName,
  stackDown,
  stackStatus,
  stackUp,
  startServer,
  stopServer,
} from '../../src/stack/local-stack.js';
import { readState, type StackState } from '../../src/stack/stack-state.js';
import { tellRecoveries } from './after-fault.js';
import { clusterStackDir } from './stack-folders.js';

/** The first start on a machine downloads the jars. */
const STACK_UP_MAX_MS = 300_000;

/** The folder of the stack that may be broken. */
export function faultStackDir(): string {
  const dir = process.env['TOLLBOOK_STACK_UNDER_TEST'];
  if (dir === undefined) expect.fail('TOLLBOOK_STACK_UNDER_TEST is not set: fault tests break servers of their own');
  return dir;
}

/** Makes the servers of a file the ones that may be broken; to be called first in its describe. */
export function useFaultStack({ brokers = 1 } = {}): void {
  const replaced: Record<string, string | undefined> = {};
  before('the servers to break are up', async function () {
    this.timeout(STACK_UP_MAX_MS);
    const dir = brokers === 1 ? faultStackDir() : clusterStackDir(faultStackDir());
    const { addresses } = await stackUp({ dir, brokers });
    const settings = { ...addresses, TOLLBOOK_STACK_UNDER_TEST: dir };
    for (const [name, value] of Object.entries(settings)) {
      replaced[name] = process.env[name];
      process.env[name] = value;
    }
  });
  after('the other servers are the ones to use again', () => void Object.assign(process.env, replaced));
  after('tells how long each recovery took', tellRecoveries);
}

/** Removes the stack with three brokers, whose memory the files that follow need, once its file has closed everything. */
export async function dropClusterStack(): Promise<void> {
  await stackDown({ dir: clusterStackDir(faultStackDir()), purge: true });
}

/** Sends a signal to the process of a server; SIGSTOP and SIGCONT pause it, SIGQUIT is PostgreSQL's immediate stop. */
export function signalServer(name: ServerName, signal: NodeJS.Signals): void {
  const pid = stackStatus({ dir: faultStackDir() }).servers[name]?.pid;
  if (pid === undefined || pid === null) expect.fail(`${name} does not run`);
  process.kill(pid, signal);
}

/** Whether a server runs. */
export function isRunning(name: ServerName): boolean {
  return stackStatus({ dir: faultStackDir() }).servers[name]?.running === true;
}

/** Ends a server as a power cut does, and waits until it is gone. */
export async function killServer(name: ServerName): Promise<void> {
  await stopServer(name, { dir: faultStackDir(), signal: 'SIGKILL' });
}

/** Stops a server as its operator does. */
export async function haltServer(name: ServerName): Promise<void> {
  await stopServer(name, { dir: faultStackDir() });
}

/** Starts a server on its old port and waits until it answers. */
export async function reviveServer(name: ServerName): Promise<void> {
  await startServer(name, { dir: faultStackDir() });
}

/** The folder below which a server keeps its data. */
export function dataFolderOf(name: 'postgres' | 'redis'): string {
  if (name === 'redis') return path.join(faultStackDir(), 'redis');
  return path.join(stateOf().postgresRefuge ?? path.join(faultStackDir(), 'postgres'), 'data');
}

/** Runs a statement as the superuser of PostgreSQL, in one of its databases. */
export async function asSuperuser(statement: string, database = 'postgres'): Promise<void> {
  const { adminPassword: password, servers } = stateOf();
  const port = servers.postgres?.port ?? 0;
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Cuts every connection of consuming processes to a database. */
export async function cutConnections(databaseUrl: string): Promise<void> {
  await asSuperuser(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = 'tollbook-consume' AND datname = '${new URL(databaseUrl).pathname.slice(1)}'`,
  );
}

function stateOf(): StackState {
  const state = readState(faultStackDir());
  if (state === undefined) expect.fail('the stack to break has no state');
  return state;
}
