/**
 * Owns: the code blocks of the documents that a reader would copy, and the commands in them.
 * Does not own: what running them must come to (test/integration/documents.test.ts).
 */
import { readdirSync, readFileSync } from 'node:fs';

/** A code block of a document. */
export interface DocumentBlock {
  readonly file: string;
  /** The word after the three backquotes. */
  readonly language: string;
  readonly text: string;
}

const BLOCK = /^```(\w+)[^\n]*\n(.*?)^```$/gms;
const WORD = /"([^"]*)"|'([^']*)'|(\S+)/g;

/** Every block of README.md, CONTRIBUTING.md and docs/*.md. */
export function documentBlocks(): DocumentBlock[] {
  const docs = readdirSync('docs').filter((name) => name.endsWith('.md'));
  const files = ['README.md', 'CONTRIBUTING.md', ...docs.map((name) => `docs/${name}`)];
  return files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(BLOCK)].map(([, language = '', text = '']) => ({ file, language, text })),
  );
}

/** The lines of shell blocks that begin with a program, without it, their comments, and where their output goes. */
export function commandLines(blocks: readonly DocumentBlock[], program: string): string[][] {
  const shell = blocks.filter(({ language }) => ['sh', 'bash', 'console'].includes(language));
  const lines = shell.flatMap(({ text }) => text.replaceAll('\\\n', ' ').split('\n'));
  return lines
    .map((line) =>
      line
        .replace(/^\$ /, '')
        .replace(/^npx /, '')
        .replace(/\s#.*$/, '')
        .replace(/\s>\s*\S+\s*$/, ''),
    )
    .filter((line) => line.startsWith(`${program} `))
    .map((line) => [...line.slice(program.length).matchAll(WORD)].map(([, ...parts]) => parts.find(Boolean) ?? ''));
}
