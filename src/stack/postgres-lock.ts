/**
 * Owns: removing the `postmaster.pid` that a killed PostgreSQL left behind, when it is certain that none runs.
 * Does not own: the recorded process of the stack (server-process.ts).
 * Invariants: the file goes only after no process works in the data folder any more, so two servers can never share it.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isSameProcess, recognise } from './server-process.js';

const POLL_INTERVAL_MS = 50;
const WAIT_DEADLINE_MS = 10_000;

/**
 * Removes a stale lock file. PostgreSQL does so by itself unless the process id in it seems to live: as a zombie that
 * the init process of a container never collects, or as an unrelated process that was given the same id. Where the
 * process table cannot be read (no /proc) the decision stays with PostgreSQL.
 */
export async function clearStaleLock(dataDir: string): Promise<void> {
  const lockPath = path.join(dataDir, 'postmaster.pid');
  if (!existsSync('/proc/self/cwd') || !existsSync(lockPath)) return;
  const pid = Number.parseInt(readFileSync(lockPath, 'utf8'), 10);
  if (isSameProcess(recognise(pid, [dataDir]))) return;
  // The children of a killed postmaster notice its death within milliseconds, and work in the data folder until then.
  const deadlineAtMs = performance.now() + WAIT_DEADLINE_MS;
  while (isWorkedIn(dataDir)) {
    if (performance.now() > deadlineAtMs) return;
    await delay(POLL_INTERVAL_MS);
  }
  rmSync(lockPath, { force: true });
}

function isWorkedIn(dataDir: string): boolean {
  return readdirSync('/proc').some((name) => /^\d+$/.test(name) && workingDirOf(name) === dataDir);
}

function workingDirOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined; // ended meanwhile, or of another user: PostgreSQL runs as ours or as one that root may look at
  }
}
