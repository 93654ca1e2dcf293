/**
 * Owns: one text for a JSON value, whoever wrote it and whatever a database made of its order and its blanks.
 * Invariants: pure; no blanks; names in ascending order of their code units; numbers and strings as JSON.stringify has them;
 * a name without a value is left out. Source: RFC 8785 (JSON Canonicalization Scheme).
 */

/** The canonical text of a JSON value. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const parts = Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, each]) => `${JSON.stringify(name)}:${canonicalJson(each)}`);
  return `{${parts.join(',')}}`;
}
