/**
 * Owns: one text for a JSON value, whoever wrote it and whatever a database made of its order and its blanks.
 * Invariants: pure; no blanks; names in ascending order of their code units; numbers and strings as JSON.stringify has them;
 * a name without a value is left out. Source: RFC 8785 (JSON Canonicalization Scheme).
 */
import { ownValue } from '../runtime/name-map.js';

/** The canonical text of a JSON value. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const object = value as Readonly<Record<string, unknown>>;
  let text = '';
  for (const name of Object.keys(object).sort()) {
    const each = ownValue(object, name);
    if (each !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${canonicalJson(each)}`;
  }
  return `{${text}}`;
}
