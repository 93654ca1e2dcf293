/**
 * Owns: the local stack as a whole: up, down, status, and one server at a time.
 * Does not own: a server's own life (server-lifecycle.ts), finding a stack from a command (discover.ts).
 * Invariants: whatever changes a stack holds its lock; a server keeps its port over stop and start; after `down` no
 * process of the stack runs.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { invariant, TollbookError } from '../runtime/errors.js';
import { isSameProcess } from './server-process.js';
import { withStackLock } from './stack-lock.js';
import { startServers, stopServers, type StackWork } from './stack-servers.js';
import * as stackState from './stack-state.js';
import { type PerServer, type ServerName, type StackAddresses, type StackState } from './stack-state.js';

export type { ServerName, StackAddresses } from './stack-state.js';

/** Which stack, and who hears what is being done. */
export interface StackOptions {
  /** The stack folder; TOLLBOOK_STACK_DIR, else `.tollbook/stack` below the working directory, unless given. */
  readonly dir?: string | undefined;
  /** Receives one line per step; silent unless given. */
  readonly report?: ((line: string) => void) | undefined;
}

/** How large a stack is to be. */
export interface StackSize {
  /** Brokers of the Kafka cluster: 1 (the default of a new stack) or 3. */
  readonly brokers?: number | undefined;
}

/** What `stackUp` found and did. */
export interface StackUpResult {
  readonly addresses: StackAddresses;
  /** The servers that had to be started; empty when all ran already. */
  readonly started: readonly ServerName[];
}

/** One server as `stackStatus` sees it; `port` is null before its first start. */
export interface ServerStatus {
  readonly running: boolean;
  readonly pid: number | null;
  readonly port: number | null;
  readonly log: string;
}

/** The stack as `stackStatus` sees it. */
export interface StackStatus {
  readonly dir: string;
  /** True while all servers run. */
  readonly up: boolean;
  readonly addresses: StackAddresses | undefined;
  readonly servers: Readonly<PerServer<ServerStatus>>;
}

/**
 * Brings all servers up, in parallel, and waits until each answers. Idempotent: only what is down is started.
 *
 * @returns the three settings and what was started
 * @throws STACK_SERVER_FAILED or STACK_TOOL_MISSING of the first server that failed, the others are left running;
 * USAGE_INVALID when the stack exists with another number of brokers
 */
export async function stackUp(options: StackOptions & StackSize = {}): Promise<StackUpResult> {
  return changeStack(options, async (dir, report) => {
    const state = stackState.openState(dir);
    setSize(state, options);
    const started = await startServers({ dir, state, report }, stackState.serversOf(state));
    state.up = true;
    stackState.writeState(dir, state);
    const addresses = stackState.addressesOf(state);
    invariant(addresses !== undefined, 'a server was started without a port');
    return { addresses, started };
  });
}

/**
 * Stops every server of the stack and keeps its data. Idempotent.
 *
 * @param options with `purge`, the data, logs and passwords are removed as well
 * @returns the servers that were running
 * @throws STACK_SERVER_FAILED when a process cannot be stopped
 */
export async function stackDown(
  options: StackOptions & { readonly purge?: boolean } = {},
): Promise<{ readonly stopped: readonly ServerName[] }> {
  if (!existsSync(stackState.resolveStackDir(options.dir))) return { stopped: [] };
  return changeStack(options, async (dir, report) => {
    const state = stackState.readState(dir);
    const stopped = state === undefined ? [] : await stopAll({ dir, state, report });
    if (options.purge === true) purge(dir, state);
    return { stopped };
  });
}

/** Says what runs, where, and with which log. Reads the state file and the process table; asks no server. */
export function stackStatus(options: StackOptions = {}): StackStatus {
  const dir = stackState.resolveStackDir(options.dir);
  const state = stackState.readState(dir);
  const names = stackState.serversOf(state ?? {});
  const servers = Object.fromEntries(names.map((name) => [name, statusOf(dir, state, name)])) as StackStatus['servers'];
  const up = names.every((name) => servers[name]?.running === true);
  return { dir, up, addresses: state === undefined ? undefined : stackState.addressesOf(state), servers };
}

/**
 * Stops one server and leaves the others; its port stays reserved for it. Idempotent.
 *
 * @param options `signal` is the server's own signal for a clean stop unless SIGKILL is asked for
 * @returns false when it was not running
 * @throws STACK_SERVER_FAILED when the process cannot be stopped
 */
export async function stopServer(
  name: ServerName,
  options: StackOptions & { readonly signal?: 'SIGKILL' | undefined } = {},
): Promise<boolean> {
  if (!existsSync(stackState.resolveStackDir(options.dir))) return false;
  return changeStack(options, async (dir, report) => {
    const state = stackState.readState(dir);
    if (state === undefined) return false;
    return (await stopServers({ dir, state, report }, [name], options.signal)).length > 0;
  });
}

/**
 * Starts one server, on the port it had when that is free. Idempotent.
 *
 * @returns false when it was running already
 * @throws STACK_SERVER_FAILED or STACK_TOOL_MISSING
 */
export async function startServer(name: ServerName, options: StackOptions = {}): Promise<boolean> {
  return changeStack(options, async (dir, report) => {
    const state = stackState.openState(dir);
    return (await startServers({ dir, state, report }, [name])).length > 0;
  });
}

/** A cluster keeps the number of its brokers for life: its metadata log knows its voters. */
function setSize(state: StackState, { brokers }: StackSize): void {
  const isNew = Object.keys(state.servers).length === 0;
  const has = stackState.brokersOf(state).length;
  if (isNew && brokers !== undefined) state.brokers = brokers;
  if (isNew || brokers === undefined || brokers === has) return;
  const message = `this stack has ${String(has)} broker(s), not ${String(brokers)}: remove it with "stack down --purge" first`;
  throw new TollbookError('USAGE_INVALID', message);
}

async function changeStack<T>(
  options: StackOptions,
  action: (dir: string, report: (line: string) => void) => Promise<T>,
): Promise<T> {
  const dir = stackState.resolveStackDir(options.dir);
  const report = options.report ?? ((): void => undefined);
  mkdirSync(dir, { recursive: true });
  return withStackLock(dir, report, () => action(dir, report));
}

/** `up` is taken back only at the end: a `down` that was cut off is repeated in full. */
async function stopAll(work: StackWork): Promise<readonly ServerName[]> {
  const stopped = await stopServers(work, stackState.serversOf(work.state));
  work.state.up = false;
  stackState.writeState(work.dir, work.state);
  return stopped;
}

function purge(dir: string, state: StackState | undefined): void {
  if (state !== undefined && state.postgresRefuge !== null)
    rmSync(state.postgresRefuge, { recursive: true, force: true });
  rmSync(dir, { recursive: true, force: true });
}

function statusOf(dir: string, state: StackState | undefined, name: ServerName): ServerStatus {
  const record = state?.servers[name];
  const identity = record?.process ?? null;
  const running = isSameProcess(identity);
  return {
    running,
    pid: running ? identity.pid : null,
    port: record?.port ?? null,
    log: stackState.logPathOf(dir, name),
  };
}
