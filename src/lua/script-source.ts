/**
 * Owns: the text of each Lua script as Redis gets it: the shared snippets it builds on, then its own file.
 * Does not own: loading scripts into Redis (script-runner.ts).
 * Invariants: files are read from beside this module, so a build copies src/lua/*.lua next to it; the SHA-1 is that
 * of the whole text, so a changed snippet is a new script.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { TollbookError } from '../runtime/errors.js';

/** The scripts that Redis runs for us. */
export type ScriptName = 'quota-deduct' | 'quota-hold' | 'quota-release' | 'quota-project' | 'quota-mend';

/** A script ready to be loaded: its whole text and the SHA-1 by which EVALSHA names it. */
export interface ScriptSource {
  readonly text: string;
  readonly sha1: string;
}

const SNIPPETS: Readonly<Record<ScriptName, readonly string[]>> = {
  'quota-deduct': ['exact-int', 'inflight-overlay', 'quota-rule'],
  'quota-hold': ['exact-int', 'inflight-overlay', 'quota-rule'],
  'quota-release': ['exact-int', 'inflight-overlay'],
  'quota-project': ['exact-int', 'inflight-overlay'],
  'quota-mend': ['exact-int', 'inflight-overlay'],
};

/** Reads one `.lua` file of this folder, named without its ending. Throws FILE_UNREADABLE. */
export function readLua(name: string): string {
  const file = new URL(`./${name}.lua`, import.meta.url);
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new TollbookError(
      'FILE_UNREADABLE',
      `the Lua file ${file.pathname} cannot be read; \`npm run build\` copies it`,
      {
        cause,
        context: { file: file.pathname },
      },
    );
  }
}

/** Reads all scripts with their snippets prepended. Throws FILE_UNREADABLE. */
export function readScripts(): Readonly<Record<ScriptName, ScriptSource>> {
  return {
    'quota-deduct': readScript('quota-deduct'),
    'quota-hold': readScript('quota-hold'),
    'quota-release': readScript('quota-release'),
    'quota-project': readScript('quota-project'),
    'quota-mend': readScript('quota-mend'),
  };
}

function readScript(name: ScriptName): ScriptSource {
  const text = [...SNIPPETS[name], name].map(readLua).join('\n');
  return { text, sha1: createHash('sha1').update(text).digest('hex') };
}
