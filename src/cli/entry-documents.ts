/**
 * Owns: entries as JSON objects, as CSV and as a table for people.
 * Does not own: which entries (entries-command.ts).
 * Invariants: pure; JSON and CSV have every column of the ledger, in its order; amounts and prices are decimal strings.
 */
import type { RecordedEntry } from '../ledger/ledger-queries.js';
import { displayAmount, formatAmount } from '../ledger/money.js';
import { csvCell } from '../runtime/printable.js';
import { plainTable } from './plain-table.js';

type Value = string | number | boolean | null | Readonly<Record<string, unknown>>;
type Field = readonly [name: string, value: (recorded: RecordedEntry) => Value];

/** The columns of `ledger_entries`, as documents name them. */
const FIELDS: readonly Field[] = [
  ['tenantId', ({ entry }) => entry.tenantId],
  ['seq', ({ entry }) => entry.seq],
  ['traceId', ({ entry }) => entry.traceId],
  ['type', ({ entry }) => entry.type],
  ['status', ({ entry }) => entry.status],
  ['amount', ({ entry }) => formatAmount(entry.amountNano)],
  ['balanceBefore', ({ entry }) => formatAmount(entry.balanceBeforeNano)],
  ['balanceAfter', ({ entry }) => formatAmount(entry.balanceAfterNano)],
  ['heldBefore', ({ entry }) => formatAmount(entry.heldBeforeNano)],
  ['heldAfter', ({ entry }) => formatAmount(entry.heldAfterNano)],
  ['currency', ({ entry }) => entry.currency],
  ['requests', ({ entry }) => entry.requests],
  ['countedOn', ({ entry }) => entry.countedOn],
  ['inputTokens', ({ entry }) => entry.usage.inputTokens],
  ['outputTokens', ({ entry }) => entry.usage.outputTokens],
  ['inputPrice', ({ entry }) => entry.usage.inputPrice],
  ['outputPrice', ({ entry }) => entry.usage.outputPrice],
  ['meters', ({ entry }) => entry.usage.meters],
  ['priceVersion', ({ entry }) => entry.usage.priceVersion],
  ['provider', ({ entry }) => entry.usage.provider],
  ['model', ({ entry }) => entry.usage.model],
  ['apiKeyId', ({ entry }) => entry.usage.apiKeyId],
  ['presetItemId', ({ entry }) => entry.usage.presetItemId],
  ['stream', ({ entry }) => entry.usage.stream],
  ['outcome', ({ entry }) => entry.usage.outcome],
  ['allowNegative', ({ entry }) => entry.usage.allowNegative],
  ['priceClass', ({ entry }) => entry.usage.priceClass],
  ['userId', ({ entry }) => entry.usage.userId],
  ['projectId', ({ entry }) => entry.usage.projectId],
  ['tags', ({ entry }) => entry.usage.tags],
  ['description', ({ entry }) => entry.description],
  ['detail', ({ entry }) => entry.detail],
  ['referenceSeq', ({ entry }) => entry.referenceSeq],
  ['actor', ({ entry }) => entry.actor],
  ['commandHash', ({ entry }) => entry.commandHash],
  ['sourceTopic', ({ entry }) => entry.source.topic],
  ['sourcePartition', ({ entry }) => entry.source.partition],
  ['sourceOffset', ({ entry }) => entry.source.kafkaOffset.toString()],
  ['occurredAt', ({ entry }) => entry.occurredAt],
  ['recordedAt', ({ recordedAt }) => recordedAt],
  ['batchId', ({ batchId }) => batchId],
  ['entryHash', ({ entryHash }) => entryHash],
];

/** An entry as a JSON object. */
export function entryDocument(recorded: RecordedEntry): Record<string, Value> {
  return Object.fromEntries(FIELDS.map(([name, value]) => [name, value(recorded)]));
}

/** Entries as CSV (RFC 4180, lines end with CR LF) with a head; columns are named as in the database. */
export function entriesCsv(entries: readonly RecordedEntry[]): string {
  return csvHead() + csvRows(entries);
}

/** The names of the columns as the first line of a CSV. */
export function csvHead(): string {
  return `${FIELDS.map(([name]) => columnOf(name)).join(',')}\r\n`;
}

/** Entries as lines of CSV. */
export function csvRows(entries: readonly RecordedEntry[]): string {
  const rows = entries.map((recorded) => FIELDS.map(([, value]) => csvText(value(recorded))));
  return rows.map((cells) => `${cells.join(',')}\r\n`).join('');
}

function columnOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A value as a cell of a CSV. */
export function csvText(value: Value): string {
  if (value === null) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return csvCell(text);
}

/** Entries as a table: what a person follows a balance with. */
export function entryTable(entries: readonly RecordedEntry[]): string {
  const table = plainTable(
    ['seq', 'occurred', 'trace', 'type', 'status', 'amount', 'balance', 'held', 'model', 'why'],
    ['right', 'left', 'left', 'left', 'left', 'right', 'right', 'right', 'left', 'left'],
  );
  for (const { entry } of entries) {
    const { seq, occurredAt, traceId, type, status, amountNano, balanceAfterNano, heldAfterNano } = entry;
    const amounts = [amountNano, balanceAfterNano, heldAfterNano].map(displayAmount);
    const why = [entry.usage.model ?? '', entry.description ?? entry.detail?.['exceeded'] ?? ''];
    table.push([seq, occurredAt, traceId, type, status, ...amounts, ...why]);
  }
  return `${table.toString()}\n`;
}
