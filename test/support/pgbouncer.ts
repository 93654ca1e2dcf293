/**
 * Owns: a real PgBouncer in front of a test server: transaction pooling, everything else as it comes.
 * Does not own: the server behind it.
 * Invariants: it runs as a user without rights, since it refuses to be root; nothing outlives `close`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chooseFreePort } from '../../src/stack/free-port.js';
import { ensureInstalled } from './debian-package.js';
import { waitUntil } from './wait-until.js';

/** A running PgBouncer. */
export interface PgBouncer {
  /** The address of a database through it, made of the direct one. */
  through(databaseUrl: string): string;
  /** Ends it at once, as a crash does, and starts it again. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** The user and group nobody of Debian. */
const NOBODY = 65_534;
const PROGRAM = 'pgbouncer';

/** Starts PgBouncer before the server of an address. Throws STACK_TOOL_MISSING. */
export async function startPgBouncer(serverUrl: string): Promise<PgBouncer> {
  await ensureInstalled(PROGRAM);
  const server = new URL(serverUrl);
  const port = await chooseFreePort();
  const folder = mkdtempSync(path.join(tmpdir(), 'pgbouncer-'));
  chmodSync(folder, 0o755);
  const users = path.join(folder, 'users.txt');
  writeFileSync(users, `"${server.username}" "${decodeURIComponent(server.password)}"\n`);
  const settings = path.join(folder, 'pgbouncer.ini');
  writeFileSync(
    settings,
    `[databases]\n* = host=${server.hostname} port=${server.port}\n[pgbouncer]\npool_mode = transaction\n` +
      `listen_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_file = ${users}\n`,
  );
  let child = await start(settings, port);
  return {
    through: (databaseUrl) => {
      const url = new URL(databaseUrl);
      url.port = String(port);
      return url.href;
    },
    restart: async () => {
      await end(child);
      child = await start(settings, port);
    },
    close: async () => {
      await end(child);
      rmSync(folder, { recursive: true });
    },
  };
}

async function start(settings: string, port: number): Promise<ChildProcess> {
  const user = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const child = spawn(PROGRAM, [settings], { stdio: 'ignore', ...user });
  await waitUntil('PgBouncer listens', () => answers(port), 60_000);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
