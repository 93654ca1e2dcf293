/**
 * Owns: `tollbook docs errors`: the parts of the documentation that are generated from the code.
 * Does not own: their text (errors-document.ts).
 */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { TollbookError } from '../runtime/errors.js';
import { errorsDocument } from './errors-document.js';

/** Adds `docs errors` to the program. */
export function registerDocsCommand(program: Command): void {
  program
    .command('docs')
    .description('documentation that is generated from the code')
    .command('errors')
    .description('every error code and dead-letter reason, as Markdown')
    .option('--out <file>', 'file to write (default: stdout)')
    .action(writeErrors);
}

async function writeErrors({ out }: { readonly out?: string }, command: Command): Promise<void> {
  if (out === undefined) return command.configureOutput().writeOut?.(errorsDocument());
  try {
    await writeFile(out, errorsDocument());
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `${out} cannot be written`, { cause, context: { file: out } });
  }
}
