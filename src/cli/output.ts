/**
 * Owns: how commands write to stdout and stderr.
 * Does not own: exports (export-output.ts), which write data as it is.
 * Invariants: text of strangers reaches no terminal as it is (runtime/printable.ts).
 */
import { visibleText } from '../runtime/printable.js';

/** Prints text for people, or a JSON document. */
export function printText(text: string): void {
  process.stdout.write(visibleText(text));
}

/** Prints a note beside the result. */
export function printNote(text: string): void {
  process.stderr.write(visibleText(text));
}

/** Prints data as it is: bytes, or a format of its own that a program reads. */
export function printRaw(data: string): void {
  process.stdout.write(data);
}

/** Prints one JSON document. */
export function printJson(document: unknown): void {
  printText(`${JSON.stringify(document)}\n`);
}
