/**
 * Owns: putting the PostgreSQL that the fault tests break back to an earlier state: its data folder, copied and restored.
 * Invariants: the server is stopped while its data is copied or replaced, and runs afterwards.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, cpSync, renameSync, rmSync, statSync } from 'node:fs';
import { dataFolderOf, haltServer, reviveServer } from './fault-stack.js';

/** Copies the data of the server as they are now. */
export async function backUpPostgres(): Promise<void> {
  const data = dataFolderOf('postgres');
  await haltServer('postgres');
  rmSync(olderThan(data), { recursive: true, force: true });
  cpSync(data, olderThan(data), { recursive: true, preserveTimestamps: true });
  ownLike(data, olderThan(data));
  await reviveServer('postgres');
}

/** Replaces the data by those of the backup; returns when, by performance.now(). */
export async function restorePostgres(): Promise<number> {
  const data = dataFolderOf('postgres');
  await haltServer('postgres');
  rmSync(data, { recursive: true });
  renameSync(olderThan(data), data);
  const brokenAtMs = performance.now();
  await reviveServer('postgres');
  return brokenAtMs;
}

/** Gives a folder and all below it the owner and the rights of another. */
export function ownLike(model: string, folder: string): void {
  const { uid, gid } = statSync(model);
  chownSync(folder, uid, gid);
  spawnSync('chown', ['-R', `${uid}:${gid}`, folder]);
  spawnSync('chmod', ['700', folder]);
}

function olderThan(folder: string): string {
  return `${folder}-older`;
}
