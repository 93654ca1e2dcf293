/**
 * Owns: reading entries fast enough to hash millions of them: the columns that make PostgreSQL write an entry nearly in
 * its canonical form, and making the leaf hash of each line where it lies in the buffer.
 * Does not own: the canonical form (entry.ts), nor what the proofs make of an entry.
 * Invariants: a line hashes to its stored hash exactly when the row has the canonical form that was hashed; a row that
 * has none hashes to nothing.
 * Written by to_char, times alone cost 2.2 µs a row on the server, as much as the hash; so they come as PostgreSQL
 * writes them and are put in form here. Rows with meters, tags or a detail are put in form as text, since the order of names
 * in jsonb is another.
 */
import { hash } from 'node:crypto';
import { ENTRY_DOMAIN, entryHash } from '../canonical-entry.js';
import { canonicalTexts, canonicalMeters, type EntryMeters } from '../entry.js';
import { DETAIL_AT, entryOfFields, METERS_AT, metersOf, TAGS_AT, textsIn, unescapedField } from '../entry-fields.js';

/**
 * The select list that makes a leaf line of `ledger_entries e`: whether it is plain, the canonical form, when it was recorded, the hash. Needs
 * the session settings of a proof snapshot (proof-snapshot.ts): times in UTC, bytea in hex.
 */
export const LEAF_SELECT = [
  '(e.meters IS NULL AND e.detail IS NULL AND e.tags IS NULL)',
  `'${ENTRY_DOMAIN}'`,
  ...['tenant_id', 'seq', 'trace_id', 'type', 'status', 'amount', 'balance_before', 'balance_after'].map(column),
  ...['held_before', 'held_after', 'currency', 'requests', 'counted_on', 'input_tokens', 'output_tokens'].map(column),
  ...['input_price', 'output_price', 'meters', 'price_version', 'provider', 'model', 'api_key_id'].map(column),
  ...['e.preset_item_id', spelled('stream'), 'e.outcome', spelled('allow_negative')],
  ...['price_class', 'user_id', 'project_id', 'tags'].map(column),
  ...['description', 'detail', 'reference_seq', 'actor', 'command_hash', 'source_topic'].map(column),
  ...['source_partition', 'source_offset', 'occurred_at', 'recorded_at', 'entry_hash'].map(column),
].join(', ');

function column(name: string): string {
  return `e.${name}`;
}

/** COPY writes a boolean as t or f. */
function spelled(name: string): string {
  return `CASE e.${name} WHEN true THEN 'true' WHEN false THEN 'false' END`;
}

/** An entry as its row says it. Texts are fields as COPY writes them, a character for each byte: `fieldText` reads them. */
export interface LeafLine {
  readonly tenantId: string;
  readonly seq: string;
  readonly traceId: string;
  readonly type: string;
  readonly status: string;
  readonly amount: string;
  readonly balanceBefore: string;
  readonly balanceAfter: string;
  readonly heldBefore: string;
  readonly heldAfter: string;
  readonly currency: string;
  readonly requests: string;
  /** `\N` when the entry counts nothing. */
  readonly countedOn: string;
  /** The UTC day on which it happened. */
  readonly occurredOn: string;
  /** When it was recorded, as PostgreSQL writes it in UTC: as texts they are in the order of time. */
  readonly recordedAt: string;
  readonly detail: Readonly<Record<string, string>> | null;
  /** Whether the content of the row has the hash that is stored with it. */
  readonly isGenuine: boolean;
}

const [TAB, DOT, PLUS, ZERO, LETTER_T, LETTER_Z] = [0x09, 0x2e, 0x2b, 0x30, 0x54, 0x5a];
const LEAF_PREFIX = 0x00;
/** What COPY writes for true: the first column of a plain line. The domain follows it, and a tab. */
const PLAIN = 0x74;
const DOMAIN_AT = 2;
const ABSENT = '\\N';
const HASH_DIGITS = 64;
/** How the last column begins, with the tab before it. */
const HASH_BEGINS = '\t\\\\x';
const HASH_START = HASH_BEGINS.length;
/** Fields that the proofs look at, with the two before them. */
const HEAD_FIELDS = 15;
const DATE_LENGTH = 10;
const SECONDS_LENGTH = 19;
const MILLIS_DIGITS = 3;
const TIME_LENGTH = 24;

/** Reads the lines of a buffer, which ends with the end of a line. The buffer is changed. */
export function* leafLines(lines: Buffer): Generator<LeafLine> {
  const text = lines.toString('latin1');
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start);
    yield leafLine({ lines, text, start, end });
    start = end + 1;
  }
}

/** A line, as bytes and as text with a character for each byte. */
interface LineSpan {
  readonly lines: Buffer;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

function leafLine(span: LineSpan): LeafLine {
  const { text, start, end } = span;
  const hashAt = end - HASH_DIGITS;
  const recordedAt = text.lastIndexOf('\t', hashAt - HASH_START - 1) + 1;
  const timeAt = text.lastIndexOf('\t', recordedAt - 2) + 1;
  const head = text.slice(start, timeAt).split('\t', HEAD_FIELDS);
  const hasHash = text.startsWith(HASH_BEGINS, hashAt - HASH_START);
  const { isGenuine, detail } = hasHash ? compareHash(span, { timeAt, storedHash: text.slice(hashAt, end) }) : FORGED;
  return {
    tenantId: head[2] ?? '',
    seq: head[3] ?? '',
    traceId: head[4] ?? '',
    type: head[5] ?? '',
    status: head[6] ?? '',
    amount: head[7] ?? '',
    balanceBefore: head[8] ?? '',
    balanceAfter: head[9] ?? '',
    heldBefore: head[10] ?? '',
    heldAfter: head[11] ?? '',
    currency: head[12] ?? '',
    requests: head[13] ?? '',
    countedOn: head[14] ?? '',
    occurredOn: text.slice(timeAt, timeAt + DATE_LENGTH),
    recordedAt: text.slice(recordedAt, hashAt - HASH_START),
    detail,
    isGenuine,
  };
}

/** Writes `2026-03-15 10:00:00.25+00` as `2026-03-15T10:00:00.250Z`; false when it is no such time. */
function putInForm(lines: Buffer, timeAt: number): boolean {
  let at = timeAt + SECONDS_LENGTH;
  const digits: number[] = [];
  if (lines[at] === DOT) {
    while (digits.length < MILLIS_DIGITS && lines[at + 1] !== PLUS) {
      digits.push(lines[at + 1] ?? ZERO);
      at += 1;
    }
    at += 1;
  }
  if (lines[at] !== PLUS || lines[at + 1] !== ZERO || lines[at + 2] !== ZERO || lines[at + 3] !== TAB) return false;
  lines[timeAt + DATE_LENGTH] = LETTER_T;
  lines[timeAt + SECONDS_LENGTH] = DOT;
  for (let index = 0; index < MILLIS_DIGITS; index += 1) {
    lines[timeAt + SECONDS_LENGTH + 1 + index] = digits[index] ?? ZERO;
  }
  lines[timeAt + TIME_LENGTH - 1] = LETTER_Z;
  return true;
}

type Verdict = Pick<LeafLine, 'isGenuine' | 'detail'>;

const FORGED: Verdict = { isGenuine: false, detail: null };

function compareHash(span: LineSpan, { timeAt, storedHash }: { timeAt: number; storedHash: string }): Verdict {
  const { lines, start } = span;
  if (!putInForm(lines, timeAt)) return FORGED;
  const isPlain = lines[start] === PLAIN;
  if (isPlain && plainHash(span, timeAt) === storedHash) return { isGenuine: true, detail: null };
  const fields = lines.toString('utf8', start + DOMAIN_AT, timeAt + TIME_LENGTH).split('\t');
  const meters = objectOf(fields[METERS_AT], metersOf);
  const detail = objectOf(fields[DETAIL_AT], textsIn);
  const tags = objectOf(fields[TAGS_AT], textsIn);
  if (meters === undefined || detail === undefined || tags === undefined) return FORGED;
  if (!isPlain && formedHash(fields, { meters, detail, tags }) === storedHash) return { isGenuine: true, detail };
  const entry = entryOfFields(fields);
  return { isGenuine: entry !== undefined && entryHash(entry) === storedHash, detail };
}

/** The hash of a line that holds the canonical form, but for the byte that a leaf begins with. */
function plainHash({ lines, start }: LineSpan, timeAt: number): string {
  lines[start + DOMAIN_AT - 1] = LEAF_PREFIX;
  return hash('sha256', lines.subarray(start + DOMAIN_AT - 1, timeAt + TIME_LENGTH), 'hex');
}

/** The hash of a line whose JSON is put in form. Not that of a text with escapes: `entryOfFields` reads those. */
function formedHash(fields: readonly string[], { meters, detail, tags }: EntryObjects): string {
  const formed = [...fields];
  formed[TAGS_AT] = canonicalTexts(tags) ?? ABSENT;
  formed[METERS_AT] = canonicalMeters(meters) ?? ABSENT;
  formed[DETAIL_AT] = canonicalTexts(detail) ?? ABSENT;
  return hash('sha256', `\0${formed.join('\t')}`, 'hex');
}

interface EntryObjects {
  readonly meters: EntryMeters | null;
  readonly detail: LeafLine['detail'];
  readonly tags: LeafLine['detail'];
}

function objectOf<T>(field: string | undefined, shape: (value: unknown) => T | undefined): T | null | undefined {
  const text = unescapedField(field ?? ABSENT);
  return text === null ? null : shape(JSON.parse(text));
}

/** The text of a field of a leaf line; the empty text for a column that is null. */
export function fieldText(field: string): string {
  return unescapedField(Buffer.from(field, 'latin1').toString('utf8')) ?? '';
}
