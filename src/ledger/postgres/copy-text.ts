/**
 * Owns: rows in the text format of PostgreSQL's COPY.
 * Source: PostgreSQL manual, COPY, "Text Format": fields by tab, rows by newline, \N for null, backslash escapes.
 */

const SPECIAL = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** Writes one row of column texts with its final newline; null is a missing value. */
export function copyRow(values: readonly (string | null)[]): string {
  return `${values.map(copyField).join('\t')}\n`;
}

/** Joins texts that are known to hold none of the characters that need an escape, without the final newline. */
export function plainFields(values: readonly (string | null)[]): string {
  let fields = values[0] ?? '\\N';
  for (let index = 1; index < values.length; index += 1) fields += `\t${values[index] ?? '\\N'}`;
  return fields;
}

function copyField(value: string | null): string {
  if (value === null) return '\\N';
  if (!SPECIAL.test(value)) return value;
  return value.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? character);
}
