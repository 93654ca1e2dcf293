/**
 * Owns: reading the entries of a span of batches back as lines of their canonical form, for a comparison that is mostly
 * one of texts.
 * Does not own: what the entries must be.
 * Invariants: reads only; the canonical form is that of ledger/entry.ts, so that an expected entry and a stored one are
 * equal exactly when their texts are; each line tells what the trace had come to before it, in the ledger's own order.
 * COPY instead of rows: 41 columns a row through the driver cost more than everything else together.
 */
import { escapeLiteral } from 'pg';
import type pg from 'pg';
import { canonicalEntry } from '../../ledger/canonical-entry.js';
import { canonicalMeters, type EntryMeters, type EntryStatus, type LedgerEntry } from '../../ledger/entry.js';
import type { StoredEntry } from '../../ledger/postgres/proof-rows.js';
import type { StreamSource } from '../../ledger/batch.js';
import { safeInteger } from '../../ledger/postgres/rows.js';
import { ownValue } from '../../runtime/name-map.js';
import { withTransaction } from '../../runtime/postgres.js';
import { copyOut } from '../../runtime/postgres-copy.js';

/** The columns of the canonical form, in its order. */
export const CANONICAL_COLUMNS = [
  ...['tenant_id', 'seq', 'trace_id', 'type', 'status', 'amount', 'balance_before', 'balance_after'],
  ...['held_before', 'held_after', 'currency', 'requests', 'counted_on', 'input_tokens', 'output_tokens'],
  ...['input_price', 'output_price', 'meters', 'price_version', 'provider', 'model', 'api_key_id', 'preset_item_id'],
  ...['stream', 'outcome', 'allow_negative', 'price_class', 'user_id', 'project_id', 'tags'],
  ...['description', 'detail', 'reference_seq', 'actor', 'command_hash'],
  ...['source_topic', 'source_partition', 'source_offset', 'occurred_at'],
] as const;

/** One column of the canonical form. */
export type CanonicalColumn = (typeof CANONICAL_COLUMNS)[number];

const PLACES: ReadonlyMap<CanonicalColumn, number> = new Map(CANONICAL_COLUMNS.map((column, index) => [column, index]));

/** How COPY writes an absent value. */
export const ABSENT = '\\N';

/** Where a column stands in the canonical form. */
export function placeOf(column: CanonicalColumn): number {
  return PLACES.get(column) ?? 0;
}

/** What the trace of an entry had come to just before it. */
export interface PriorStep {
  readonly seq: number;
  readonly status: EntryStatus;
  /** What the step added to what is held, as a decimal. */
  readonly held: string;
  readonly countedOn: string | null;
}

/** A stored entry. */
export interface EntryLine {
  readonly source: StreamSource;
  readonly kafkaOffset: bigint;
  readonly batchId: number;
  readonly tenantId: string;
  readonly traceId: string;
  /** The last step of its trace before it; undefined when it is the first. */
  readonly prior: PriorStep | undefined;
  /** The canonical form without its domain: CANONICAL_COLUMNS as COPY writes them. */
  readonly text: string;
  readonly columns: readonly string[];
}

/** The value of a column; null when it is absent. Free text comes as COPY escaped it. */
export function columnOf({ columns }: Pick<EntryLine, 'columns'>, column: CanonicalColumn): string | null {
  const value = columns[placeOf(column)];
  return value === undefined || value === ABSENT ? null : value;
}

/** `p.seq + 0` keeps the planner from walking the tenant by seq: it is to go by the trace. */
const PRIOR = `(SELECT string_agg(p.seq || ' ' || p.status || ' ' || (p.held_after - p.held_before) || ' ' ||
    coalesce(p.counted_on::text, '-'), ';') FROM ledger_entries p
  WHERE p.tenant_id = e.tenant_id AND p.trace_id = e.trace_id AND p.seq + 0 < e.seq)`;

/** Columns that PostgreSQL would write in another form. */
const CANONICAL_FORMS: Readonly<Partial<Record<CanonicalColumn, string>>> = {
  stream: 'e.stream::text',
  allow_negative: 'e.allow_negative::text',
  occurred_at: `to_char(e.occurred_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
};

const CANONICAL_SELECT = CANONICAL_COLUMNS.map((column) => CANONICAL_FORMS[column] ?? `e.${column}`).join(', ');

const HEADER_COLUMNS = 2;

/** The entries of some topics that batches in a span sealed: after < batch_id ≤ through. Throws POSTGRES_*. */
export async function readEntryLines(
  pool: pg.Pool,
  { after, through }: { readonly after: number; readonly through: number },
  topics: readonly string[],
): Promise<EntryLine[]> {
  const wanted = topics.map((topic) => escapeLiteral(topic)).join(', ');
  const lines = await copyLines(
    pool,
    `COPY (SELECT e.batch_id, ${PRIOR}, ${CANONICAL_SELECT} FROM ledger_entries e
       WHERE e.batch_id > ${after} AND e.batch_id <= ${through} AND e.source_topic IN (${wanted})) TO STDOUT`,
  );
  return lines.map(entryLineOf);
}

/** The lines that a COPY … TO STDOUT writes, without their ends. Throws POSTGRES_*. */
export async function copyLines(pool: pg.Pool, sql: string): Promise<string[]> {
  return withTransaction(pool, async (client) => {
    const parts: Buffer[] = [];
    for await (const part of copyOut(client, sql)) parts.push(part);
    const lines = Buffer.concat(parts).toString('utf8').split('\n');
    lines.pop();
    return lines;
  });
}

/** The text of the canonical form without its domain, as EntryLine has it. */
export function entryText(entry: LedgerEntry): string {
  const canonical = canonicalEntry(entry);
  return canonical.slice(canonical.indexOf('\t') + 1);
}

/** A line of an entry that was read as a row; it tells nothing of the step before it. */
export function lineOfStored({ entry, batchId }: StoredEntry): EntryLine {
  const text = entryText(entry);
  const { topic, partition, kafkaOffset } = entry.source;
  const { tenantId, traceId } = entry;
  const columns = text.split('\t');
  return { source: { topic, partition }, kafkaOffset, batchId, tenantId, traceId, prior: undefined, text, columns };
}

const [TENANT_AT, TRACE_AT] = [placeOf('tenant_id'), placeOf('trace_id')];
const [TOPIC_AT, PARTITION_AT, OFFSET_AT] = [
  placeOf('source_topic'),
  placeOf('source_partition'),
  placeOf('source_offset'),
];
const METERS_AT = placeOf('meters');
const TEXTS_AT = [placeOf('tags'), placeOf('detail')];

function entryLineOf(line: string): EntryLine {
  const columns = line.split('\t');
  const [batchId = '', prior = ABSENT] = columns.splice(0, HEADER_COLUMNS);
  let text = line.slice(batchId.length + prior.length + HEADER_COLUMNS);
  if (normalizeObjects(columns)) text = columns.join('\t');
  return {
    source: { topic: columns[TOPIC_AT] ?? '', partition: Number(columns[PARTITION_AT]) },
    kafkaOffset: BigInt(columns[OFFSET_AT] ?? 0),
    batchId: safeInteger(batchId),
    tenantId: columns[TENANT_AT] ?? '',
    traceId: columns[TRACE_AT] ?? '',
    prior: prior === ABSENT ? undefined : lastOf(prior),
    text,
    columns,
  };
}

/** Writes the JSON columns as the canonical form does; false when all of them are absent. */
function normalizeObjects(columns: string[]): boolean {
  const meters = columns[METERS_AT] ?? ABSENT;
  let isChanged = meters !== ABSENT;
  if (isChanged) columns[METERS_AT] = escaped(canonicalMeters(JSON.parse(unescaped(meters)) as EntryMeters) ?? ABSENT);
  for (const place of TEXTS_AT) {
    const texts = columns[place] ?? ABSENT;
    if (texts === ABSENT) continue;
    columns[place] = escaped(canonicalObject(unescaped(texts)));
    isChanged = true;
  }
  return isChanged;
}

function canonicalObject(json: string): string {
  const entries = Object.entries(JSON.parse(json) as Readonly<Record<string, string>>);
  return JSON.stringify(Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1))));
}

const UNESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', b: '\b', f: '\f', v: '\v' };

/** Takes back the escapes of COPY. Source: PostgreSQL manual, COPY, "Text Format". */
export function unescaped(field: string): string {
  if (!field.includes('\\')) return field;
  return field.replace(/\\(.)/g, (_whole, character: string) => ownValue(UNESCAPES, character) ?? character);
}

/** Puts the escapes of COPY into JSON, which has no other character to escape. */
export function escaped(text: string): string {
  return text.includes('\\') ? text.replaceAll('\\', '\\\\') : text;
}

function lastOf(prior: string): PriorStep {
  const steps = prior.split(';').map((step): PriorStep => {
    const [seq = '', status = '', held = '', countedOn = '-'] = step.split(' ');
    return {
      seq: safeInteger(seq),
      status: status as EntryStatus,
      held,
      countedOn: countedOn === '-' ? null : countedOn,
    };
  });
  return steps.reduce((last, step) => (step.seq > last.seq ? step : last));
}
