/**
 * Owns: detached processes: starting one with its output in a log file, recognising it later, and stopping it.
 * Does not own: what a server needs to start or when it is ready.
 * Invariants: a process is recognised by its id, the moment it started and marks in its command line together, so a
 * recycled process id is never signalled; a zombie counts as gone.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { TollbookError } from '../runtime/errors.js';

/** What tells one process from every other, also after its id was given to a new one. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the words of the operating system; compared, never read. */
  readonly startToken: string;
  /** Strings that its command line contains, such as the path of its data folder. */
  readonly marks: readonly string[];
}

/** The user a server runs as. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** How a server is started. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly user?: ServerUser | undefined;
  readonly marks: readonly string[];
}

/** A started process with the identity to record; `child` tells when it ends. */
export interface LaunchedProcess {
  readonly identity: ProcessIdentity;
  readonly child: ChildProcess;
}

const LOG_BYTES_MAX = 16 * 1024 * 1024;
const POLL_INTERVAL_MS = 25;
const KILL_DEADLINE_MS = 10_000;

/**
 * Starts a process in a session of its own, so that it outlives this one and no Ctrl-C of a terminal reaches it.
 *
 * @throws STACK_SERVER_FAILED when the program cannot be executed at all
 */
export async function launchDetached(launch: Launch, logPath: string): Promise<LaunchedProcess> {
  rotateLog(logPath);
  const logFile = openSync(logPath, 'a');
  const child = spawn(launch.command, launch.args, {
    cwd: launch.cwd,
    env: { ...process.env, ...launch.env },
    detached: true,
    stdio: ['ignore', logFile, logFile],
    ...(launch.user === undefined ? {} : { uid: launch.user.uid, gid: launch.user.gid }),
  });
  closeSync(logFile);
  const pid = await spawnedPid(child, launch.command);
  child.unref();
  return { identity: recognise(pid, launch.marks), child };
}

/** Tells whether the recorded process still runs: the same id, the same start, the same command. */
export function isSameProcess(identity: ProcessIdentity | null): identity is ProcessIdentity {
  if (identity === null) return false;
  const found = describeProcess(identity.pid);
  if (found === undefined || found.startToken !== identity.startToken) return false;
  return identity.marks.every((mark) => found.commandLine.includes(mark));
}

/** The identity of the process that has the id now; the start moment is empty when none has. */
export function recognise(pid: number, marks: readonly string[]): ProcessIdentity {
  return { pid, startToken: describeProcess(pid)?.startToken ?? '', marks };
}

/**
 * Stops a recorded process: the signal first, SIGKILL once the deadline has passed. Idempotent: nothing happens when it
 * no longer runs.
 *
 * @param deadlineMs how long the process may take for a clean stop
 * @throws STACK_SERVER_FAILED when the process belongs to another user, or survives SIGKILL
 */
export async function stopProcess(
  identity: ProcessIdentity | null,
  stopSignal: NodeJS.Signals,
  deadlineMs: number,
): Promise<'absent' | 'stopped' | 'killed'> {
  if (!isSameProcess(identity)) return 'absent';
  signalProcess(identity.pid, stopSignal);
  if (await hasEnded(identity, deadlineMs)) return stopSignal === 'SIGKILL' ? 'killed' : 'stopped';
  signalProcess(identity.pid, 'SIGKILL');
  if (await hasEnded(identity, KILL_DEADLINE_MS)) return 'killed';
  throw new TollbookError('STACK_SERVER_FAILED', `process ${String(identity.pid)} still runs after SIGKILL`);
}

async function hasEnded(identity: ProcessIdentity, deadlineMs: number): Promise<boolean> {
  const deadlineAtMs = performance.now() + deadlineMs;
  while (isSameProcess(identity)) {
    if (performance.now() > deadlineAtMs) return false;
    await delay(POLL_INTERVAL_MS);
  }
  return true;
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ESRCH') return; // ended by itself meanwhile
    const message = `process ${String(pid)} cannot be stopped: it was started by another user`;
    throw new TollbookError('STACK_SERVER_FAILED', message, { cause });
  }
}

function spawnedPid(child: ChildProcess, command: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('spawn', () => {
      resolve(child.pid ?? 0);
    });
    child.once('error', (cause) => {
      reject(new TollbookError('STACK_SERVER_FAILED', `${command} cannot be executed: ${cause.message}`, { cause }));
    });
  });
}

/** Keeps one older log beside the current one, so that a stack used for months does not fill the disk. */
function rotateLog(logPath: string): void {
  if (existsSync(logPath) && statSync(logPath).size > LOG_BYTES_MAX) renameSync(logPath, `${logPath}.1`);
}

function describeProcess(pid: number): { startToken: string; commandLine: string } | undefined {
  return existsSync('/proc/self/stat') ? describeFromProc(pid) : describeFromPs(pid);
}

function describeFromProc(pid: number): { startToken: string; commandLine: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    // After the parenthesised name: field 3 is the state, field 22 the start time in clock ticks since boot (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const commandLine = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').replaceAll('\0', ' ');
    return { startToken: fields[19] ?? '', commandLine };
  } catch {
    return undefined; // no such process
  }
}

function describeFromPs(pid: number): { startToken: string; commandLine: string } | undefined {
  try {
    const args = ['-ww', '-p', String(pid), '-o', 'state=,lstart=,command='];
    const line = execFileSync('ps', args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } }).trim();
    if (line === '' || line.startsWith('Z')) return undefined;
    // `lstart` has five words, such as "Mon Nov 23 07:10:10 2026".
    const words = line.split(/\s+/);
    return { startToken: words.slice(1, 6).join(' '), commandLine: words.slice(6).join(' ') };
  } catch {
    return undefined; // ps ends with 1 when there is no such process
  }
}
