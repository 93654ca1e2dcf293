/**
 * Owns: rows in the text format of PostgreSQL's COPY.
 * Source: PostgreSQL manual, COPY, "Text Format": fields by tab, rows by newline, \N for null, backslash escapes.
 */

/** A value of a COPY row; bigint and number are written in base 10, a buffer as bytea. */
export type CopyValue = string | number | bigint | boolean | Buffer | null;

const SPECIAL = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** Writes one row with its final newline. */
export function copyRow(values: readonly CopyValue[]): string {
  let row = '';
  for (let index = 0; index < values.length; index += 1) {
    row += index === 0 ? copyField(values[index] ?? null) : `\t${copyField(values[index] ?? null)}`;
  }
  return `${row}\n`;
}

function copyField(value: CopyValue): string {
  if (value === null) return '\\N';
  if (typeof value === 'string') return SPECIAL.test(value) ? escaped(value) : value;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  return Buffer.isBuffer(value) ? `\\\\x${value.toString('hex')}` : value.toString();
}

function escaped(value: string): string {
  return value.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? character);
}
