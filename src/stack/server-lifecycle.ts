/**
 * Owns: bringing one server from whatever state it is in to "answers requests", and stopping it.
 * Does not own: what is special to a server (its recipe), or the order among servers (local-stack.ts).
 *
 * To start a server:
 *  1. A recorded process that lives and answers is left alone; one that lives but does not answer is stopped.
 *  2. Prepare: download, format, configure. A crash here leaves parts that the next attempt completes.
 *  3. Launch, and record the process at once. A crash between the two leaves a server that holds its data folder; the
 *     next attempt fails naming the log. There is no await between them beyond the operating system's own start.
 *  4. Wait until the server answers; when it ends or the deadline passes, stop it and fail with its log.
 *  5. Provision. A crash before it is mended by the next `up`, which provisions again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isTollbookError } from '../runtime/errors.js';
import { serverFailure } from './server-failure.js';
import { isSameProcess, launchDetached, stopProcess, type Launch, type LaunchedProcess } from './server-process.js';
import type { ServerRecipe, ServerSite } from './server-recipe.js';
import { writeState } from './stack-state.js';

/** The part of a site that stopping needs. */
export type StopSite = Pick<ServerSite, 'dir' | 'state' | 'record' | 'report'>;

const PROBE_INTERVAL_MS = 50;

/**
 * Makes sure that a server runs and answers. Idempotent.
 *
 * @throws STACK_SERVER_FAILED naming the log and showing its last lines; STACK_TOOL_MISSING
 */
export async function ensureRunning(recipe: ServerRecipe, site: ServerSite): Promise<'started' | 'alreadyRunning'> {
  if (await isAnswering(recipe, site)) {
    await recipe.provision(site);
    site.report(`${recipe.name}: already running on ${addressOf(site)}`);
    return 'alreadyRunning';
  }
  await stopRunning(recipe, site, recipe.stopSignal);
  const launch = await prepared(recipe, site);
  site.report(`${recipe.name}: starting…`);
  const startedAtMs = performance.now();
  const launched = await launchDetached(launch, site.logPath);
  site.record.process = launched.identity;
  writeState(site.dir, site.state);
  await untilReady(recipe, site, launched);
  site.report(`${recipe.name}: ready on ${addressOf(site)} after ${secondsSince(startedAtMs)} s`);
  return 'started';
}

/**
 * Stops a server if it runs. Idempotent.
 *
 * @throws STACK_SERVER_FAILED when the process cannot be stopped
 */
export async function stopRunning(
  recipe: ServerRecipe,
  site: StopSite,
  signal: NodeJS.Signals,
): Promise<'absent' | 'stopped' | 'killed'> {
  const startedAtMs = performance.now();
  const outcome = await stopProcess(site.record.process, signal, recipe.stopDeadlineMs);
  site.record.process = null;
  writeState(site.dir, site.state);
  if (outcome !== 'absent') site.report(`${recipe.name}: ${outcome} after ${secondsSince(startedAtMs)} s`);
  return outcome;
}

/** A full disk or a file in the place of a folder is this server's failure too, and is told like the others. */
async function prepared(recipe: ServerRecipe, site: ServerSite): Promise<Launch> {
  try {
    return await recipe.prepare(site);
  } catch (error) {
    if (isTollbookError(error)) throw error;
    throw serverFailure(`${recipe.name} could not be prepared (${reasonOf(error)})`, site.logPath, error);
  }
}

async function isAnswering(recipe: ServerRecipe, site: ServerSite): Promise<boolean> {
  if (!isSameProcess(site.record.process)) return false;
  if ((await probeError(recipe, site)) === undefined) return true;
  site.report(`${recipe.name}: runs but does not answer; starting it anew`);
  return false;
}

async function untilReady(recipe: ServerRecipe, site: ServerSite, launched: LaunchedProcess): Promise<void> {
  const deadlineAtMs = performance.now() + recipe.startDeadlineMs;
  const { child } = launched;
  for (;;) {
    const error = await probeError(recipe, site);
    if (child.exitCode !== null || child.signalCode !== null) {
      await stopRunning(recipe, site, 'SIGKILL');
      const ending = `${recipe.name} ended while starting (${String(child.signalCode ?? child.exitCode)})`;
      throw serverFailure(ending, site.logPath, error);
    }
    if (error === undefined) return recipe.provision(site);
    if (performance.now() > deadlineAtMs) {
      await stopRunning(recipe, site, recipe.stopSignal);
      const waited = String(recipe.startDeadlineMs / 1000);
      throw serverFailure(`${recipe.name} did not answer within ${waited} s (${reasonOf(error)})`, site.logPath, error);
    }
    await delay(PROBE_INTERVAL_MS);
  }
}

async function probeError(recipe: ServerRecipe, site: ServerSite): Promise<unknown> {
  try {
    await recipe.probe(site);
    return undefined;
  } catch (error) {
    return error;
  }
}

function reasonOf(error: unknown): string {
  if (isTollbookError(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}

function addressOf(site: ServerSite): string {
  return `127.0.0.1:${String(site.record.port)}`;
}

function secondsSince(startedAtMs: number): string {
  return ((performance.now() - startedAtMs) / 1000).toFixed(1);
}
