/**
 * Owns: the lock file that lets one command at a time change a stack folder.
 * Does not own: the state it protects.
 * Invariants: a lock whose holder no longer lives (same id and same start moment) is broken by whoever finds it; a lock
 * is taken by making the file, which the file system lets one process do.
 */
import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TollbookError } from '../runtime/errors.js';
import { isSameProcess, recognise, type ProcessIdentity } from './server-process.js';

const POLL_INTERVAL_MS = 100;
// A lock without a name in it: its maker is between making and writing the file, or died there.
const UNSIGNED_STALE_MS = 5000;
// A first `up` on a slow line downloads about 150 MB; whoever waits behind it should not give up earlier.
const WAIT_DEADLINE_MS = 15 * 60 * 1000;

/**
 * Runs an action while holding the lock of a stack folder, and releases it in every ending.
 *
 * @throws STACK_SERVER_FAILED when another living process keeps the lock for 15 minutes
 */
export async function withStackLock<T>(
  dir: string,
  report: (line: string) => void,
  action: () => Promise<T>,
): Promise<T> {
  const lockPath = path.join(dir, 'stack.lock');
  await acquire(lockPath, report);
  try {
    return await action();
  } finally {
    rmSync(lockPath, { force: true });
  }
}

async function acquire(lockPath: string, report: (line: string) => void): Promise<void> {
  const deadlineAtMs = performance.now() + WAIT_DEADLINE_MS;
  for (let attempt = 0; !tryAcquire(lockPath); attempt += 1) {
    const holder = readHolder(lockPath);
    if (breakStaleLock(lockPath, holder)) continue;
    if (attempt === 0) report(`another command is at work on this stack (${holder}); waiting for it…`);
    if (performance.now() > deadlineAtMs) {
      const message = `another command has held the stack for 15 minutes: ${holder} in ${lockPath}`;
      throw new TollbookError('STACK_SERVER_FAILED', message, { context: { lockPath } });
    }
    await delay(POLL_INTERVAL_MS);
  }
}

function tryAcquire(lockPath: string): boolean {
  const { pid, startToken } = recognise(process.pid, []);
  try {
    writeFileSync(lockPath, `process ${String(pid)} started ${startToken}`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

function readHolder(lockPath: string): string {
  try {
    return readFileSync(lockPath, 'utf8');
  } catch {
    return ''; // released between the attempt and this look
  }
}

/** Removes a lock that outlived its holder; false when the holder lives or another command was faster. */
function breakStaleLock(lockPath: string, holder: string): boolean {
  if (!isStale(lockPath, holder)) return false;
  const asidePath = `${lockPath}.stale-${String(process.pid)}`;
  try {
    renameSync(lockPath, asidePath);
    // Between the look and the rename another command may have broken it and locked anew: then give that lock back.
    if (readHolder(asidePath) !== holder) linkSync(asidePath, lockPath);
    rmSync(asidePath, { force: true });
    return true;
  } catch {
    return false;
  }
}

function isStale(lockPath: string, holder: string): boolean {
  const identity = parseHolder(holder);
  if (identity !== undefined) return !isSameProcess(identity);
  const madeAtMs = statSync(lockPath, { throwIfNoEntry: false })?.mtimeMs;
  return madeAtMs !== undefined && Date.now() - madeAtMs > UNSIGNED_STALE_MS;
}

function parseHolder(holder: string): ProcessIdentity | undefined {
  const match = /^process (\d+) started (.*)$/.exec(holder);
  if (match === null) return undefined;
  return { pid: Number(match[1]), startToken: match[2] ?? '', marks: [] };
}
