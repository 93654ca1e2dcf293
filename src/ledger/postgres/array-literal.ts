/**
 * Owns: arrays as the text PostgreSQL reads them in, for the parameters of hot statements.
 * Source: PostgreSQL manual, Arrays, "Array Input and Output Syntax": every element in double quotes, null bare.
 * Why not the driver's own: it walks every element with two regular expressions; here a whole array is checked at once.
 */

const NEEDS_ESCAPES = /["\\]/;

/** Writes a one-dimensional array of texts or numbers; null stands for a missing element. */
export function arrayLiteral(values: readonly (string | number | null)[]): string {
  if (values.length === 0) return '{}';
  if (values.includes(null) || NEEDS_ESCAPES.test(values.join(''))) return `{${values.map(element).join(',')}}`;
  return `{"${values.join('","')}"}`;
}

function element(value: string | number | null): string {
  return value === null ? 'NULL' : `"${String(value).replace(/["\\]/g, '\\$&')}"`;
}
