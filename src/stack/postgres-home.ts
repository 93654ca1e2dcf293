/**
 * Owns: who PostgreSQL runs as and where its data lies.
 * Does not own: the programs (postgres-program.ts) or the server's settings (postgres-server.ts).
 * Invariants: PostgreSQL never runs as root; as root, an unprivileged user that exists already is used and nothing of
 * the system is changed; data that this user could not reach below the stack folder lies in a recorded folder outside.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TollbookError } from '../runtime/errors.js';
import type { ServerUser } from './server-process.js';
import { writeState, type StackState } from './stack-state.js';

/** Where PostgreSQL lives and as whom; `user` is undefined when it runs as the current user. */
export interface PostgresHome {
  readonly homeDir: string;
  readonly dataDir: string;
  readonly user: ServerUser | undefined;
}

/** In this order: a PostgreSQL package of the system made the first; the second is on every Unix. */
const UNPRIVILEGED_NAMES = ['postgres', 'nobody'] as const;

/**
 * Decides on user and folder, and makes the folder.
 *
 * @throws STACK_TOOL_MISSING as root on a system without an unprivileged user
 */
export function openPostgresHome(dir: string, state: StackState, report: (line: string) => void): PostgresHome {
  const user = process.getuid?.() === 0 ? findUnprivilegedUser() : undefined;
  const homeDir = user === undefined ? path.join(dir, 'postgres') : reachableHome({ dir, state, user, report });
  mkdirSync(homeDir, { recursive: true });
  chmodSync(homeDir, 0o755); // its data folder is closed; the programs copied beside it must be reachable
  return { homeDir, dataDir: path.join(homeDir, 'data'), user };
}

function findUnprivilegedUser(): ServerUser {
  const rows = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((row) => row.split(':'));
  for (const name of UNPRIVILEGED_NAMES) {
    const row = rows.find((fields) => fields[0] === name);
    if (row !== undefined) return { uid: Number(row[2]), gid: Number(row[3]) };
  }
  const message =
    'PostgreSQL refuses to run as root and there is no user for it. Make one with: useradd --system postgres';
  throw new TollbookError('STACK_TOOL_MISSING', message);
}

interface HomeSearch {
  readonly dir: string;
  readonly state: StackState;
  readonly user: ServerUser;
  readonly report: (line: string) => void;
}

function reachableHome({ dir, state, user, report }: HomeSearch): string {
  if (state.postgresRefuge !== null && existsSync(state.postgresRefuge)) return state.postgresRefuge;
  const ownHome = path.join(dir, 'postgres');
  if (canEnter(dir, user)) return ownHome;
  // Not the folder for short-lived files where a longer-lived one exists: a database should survive a reboot.
  const parent = existsSync('/var/tmp') ? '/var/tmp' : tmpdir();
  state.postgresRefuge = mkdtempSync(path.join(parent, 'tollbook-postgres-'));
  writeState(dir, state);
  report(`postgres: its user cannot enter ${dir}; its data lies in ${state.postgresRefuge}`);
  return state.postgresRefuge;
}

/** Tries it as that user, since mode bits alone do not tell (access lists, network file systems). */
function canEnter(dir: string, user: ServerUser): boolean {
  const result = spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', dir], { cwd: '/', uid: user.uid, gid: user.gid });
  return result.error === undefined && result.status === 0;
}
