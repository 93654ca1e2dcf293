/**
 * Owns: the servers side by side: their ports, and starting and stopping several at once.
 * Does not own: the lock and the meaning of "up" (local-stack.ts), one server's life (server-lifecycle.ts).
 * Invariants: ports are given out one after the other before anything starts, so that no two servers get the same; one
 * server's failure neither stops nor hides the others'.
 */
import { TollbookError } from '../runtime/errors.js';
import { becomesFree, chooseFreePort } from './free-port.js';
import { createJavaParts } from './java-parts.js';
import { brokerRecipe } from './kafka-server.js';
import { postgresRecipe } from './postgres-server.js';
import { redisRecipe } from './redis-server.js';
import { ensureRunning, stopRunning } from './server-lifecycle.js';
import { isSameProcess } from './server-process.js';
import type { ServerRecipe, ServerSite } from './server-recipe.js';
import {
  BROKER_NAMES,
  brokersOf,
  logPathOf,
  writeState,
  type ServerName,
  type ServerRecord,
  type StackState,
} from './stack-state.js';

/** A stack folder that is locked and being changed. */
export interface StackWork {
  readonly dir: string;
  readonly state: StackState;
  readonly report: (line: string) => void;
}

const RECIPES: Readonly<Record<ServerName, ServerRecipe>> = {
  kafka: brokerRecipe('kafka'),
  'kafka-2': brokerRecipe('kafka-2'),
  'kafka-3': brokerRecipe('kafka-3'),
  postgres: postgresRecipe,
  redis: redisRecipe,
};

/**
 * Starts those of the named servers that do not run, in parallel, and waits until each answers.
 *
 * @returns the servers that had to be started
 * @throws STACK_SERVER_FAILED or STACK_TOOL_MISSING of the first that failed, once all have come to an end
 */
export async function startServers(work: StackWork, names: readonly ServerName[]): Promise<ServerName[]> {
  const sites = new Map<ServerName, ServerSite>();
  const javaParts = createJavaParts(work.dir, work.report);
  for (const name of names)
    sites.set(name, { ...work, javaParts, logPath: logPathOf(work.dir, name), record: await portsFor(work, name) });
  const outcomes = await Promise.allSettled(
    [...sites].map(async ([name, site]) => ({ name, outcome: await ensureRunning(RECIPES[name], site) })),
  );
  return valuesOf(outcomes)
    .filter(({ outcome }) => outcome === 'started')
    .map(({ name }) => name);
}

/**
 * Stops those of the named servers that run, in parallel.
 *
 * @param signal replaces each server's own signal for a clean stop
 * @returns the servers that were running
 * @throws STACK_SERVER_FAILED of the first that could not be stopped, once all have come to an end
 */
export async function stopServers(
  work: StackWork,
  names: readonly ServerName[],
  signal?: NodeJS.Signals,
): Promise<ServerName[]> {
  const outcomes = await Promise.allSettled(
    names.map(async (name) => {
      const record = work.state.servers[name];
      if (record === undefined) return { name, outcome: 'absent' };
      const site = { ...work, name, record };
      return { name, outcome: await stopRunning(RECIPES[name], site, signal ?? RECIPES[name].stopSignal) };
    }),
  );
  return valuesOf(outcomes)
    .filter(({ outcome }) => outcome !== 'absent')
    .map(({ name }) => name);
}

/** The record of a server with ports it can listen on: those it had, unless another process has taken them. */
async function portsFor(work: StackWork, name: ServerName): Promise<ServerRecord> {
  const known = work.state.servers[name];
  if (known !== undefined && (isSameProcess(known.process) || (await arePortsFree(known)))) return known;
  if (known !== undefined) {
    requireNoVoters(work.state, name);
    work.report(`${name}: port ${String(known.port)} is taken by another process; using a new one`);
  }
  const port = await unusedPort(work.state);
  const record: ServerRecord = { port, controllerPort: 0, process: null };
  work.state.servers[name] = record;
  if (isBroker(name)) record.controllerPort = await unusedPort(work.state);
  writeState(work.dir, work.state);
  return record;
}

function isBroker(name: ServerName): boolean {
  return BROKER_NAMES.some((broker) => broker === name);
}

/** Brokers that run know the others by their ports: none of them may get a new one meanwhile. */
function requireNoVoters(state: StackState, name: ServerName): void {
  const others = brokersOf(state).filter((other) => other !== name);
  if (!isBroker(name) || !others.some((other) => isSameProcess(state.servers[other]?.process ?? null))) return;
  const message = `${name}: its port is taken by another process; free it, or bring the whole stack down and up again`;
  throw new TollbookError('STACK_SERVER_FAILED', message);
}

async function arePortsFree(record: ServerRecord): Promise<boolean> {
  const ports = record.controllerPort === 0 ? [record.port] : [record.port, record.controllerPort];
  const free = await Promise.all(ports.map(becomesFree));
  return free.every(Boolean);
}

async function unusedPort(state: StackState): Promise<number> {
  const reserved = Object.values(state.servers).flatMap(({ port, controllerPort }) => [port, controllerPort]);
  for (;;) {
    const port = await chooseFreePort();
    if (!reserved.includes(port)) return port;
  }
}

function valuesOf<T>(outcomes: readonly PromiseSettledResult<T>[]): T[] {
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}
