/**
 * Owns: arrays as the text PostgreSQL reads them in, for the parameters of hot statements.
 * Source: PostgreSQL manual, Arrays, "Array Input and Output Syntax": every element in double quotes, null bare.
 * Why not the driver's own: it walks every element with two regular expressions; here a whole array is checked at once.
 */

import type { TraceKey } from '../ledger-store.js';

const NEEDS_ESCAPES = /["\\]/;

/** What one column of a statement's rows takes from a value; made once a process, see `columnArrays`. */
export type ColumnOf<T> = (value: T) => string | number | null;

/**
 * Writes values as one array a column, for `unnest`. The columns are constants of their module: V8 keeps the optimized code
 * of a function only as long as the function lives, and compiled closures made per call anew after every collection.
 */
export function columnArrays<T>(values: readonly T[], columns: readonly ColumnOf<T>[]): string[] {
  const arrays: string[] = [];
  for (const column of columns) arrays.push(arrayLiteral(values.map(column)));
  return arrays;
}

/** The columns of traces. */
export const TRACE_KEY_COLUMNS: readonly ColumnOf<TraceKey>[] = [({ tenantId }) => tenantId, ({ traceId }) => traceId];

/** Traces by tenant, as parameters of a statement that unfolds them with `unnest` and TRACE_IDS. */
export interface TracesByTenant {
  /** Each tenant once, in the order of its first trace. */
  readonly tenantIds: readonly string[];
  /** The tenants, and as many lists of trace ids. */
  readonly values: readonly [string, string];
}

/** The trace ids of a list written by `tracesByTenant`, the column `traces`, as an array. */
export const TRACE_IDS = `string_to_array(traces, ' ') COLLATE "C"`;

/**
 * Groups traces by tenant. With `trace_id = ANY` an index is entered once for all traces of a tenant, which lie together in
 * it, instead of once a trace. Blanks part the ids, since no identifier holds one (identifier.ts).
 */
export function tracesByTenant(traces: readonly TraceKey[]): TracesByTenant {
  const lists = new Map<string, string>();
  for (const { tenantId, traceId } of traces) {
    const known = lists.get(tenantId);
    lists.set(tenantId, known === undefined ? traceId : `${known} ${traceId}`);
  }
  const tenantIds = [...lists.keys()];
  return { tenantIds, values: [arrayLiteral(tenantIds), arrayLiteral([...lists.values()])] };
}

/** Writes a one-dimensional array of texts or numbers; null stands for a missing element. */
export function arrayLiteral(values: readonly (string | number | null)[]): string {
  if (values.length === 0) return '{}';
  if (values.includes(null) || NEEDS_ESCAPES.test(values.join(''))) return `{${values.map(element).join(',')}}`;
  return `{"${values.join('","')}"}`;
}

function element(value: string | number | null): string {
  return value === null ? 'NULL' : `"${String(value).replace(/["\\]/g, '\\$&')}"`;
}
