/**
 * Owns: how dead letters look: bytes of strangers made readable and harmless, one letter as JSON and as text.
 * Does not own: the commands (dead-letters-command.ts).
 * Invariants: bytes are shown as text only when they are UTF-8, so nothing is lost either way; no control character of a
 * message reaches a terminal.
 */
import { type LetterAction, letterName, type LetterSummary } from '../ledger/dead-letter.js';
import type { LetterCount, LetterStory } from '../ledger/dead-letter-store.js';
import type { LedgerEntry } from '../ledger/entry.js';
import { displayAmount, formatAmount } from '../ledger/money.js';
import { visibleLine, visibleText } from '../runtime/printable.js';
import { plainTable } from './plain-table.js';

/** Bytes as text: themselves when they are UTF-8, else base64. */
export interface ReadableBytes {
  readonly encoding: 'utf-8' | 'base64';
  readonly text: string;
}

const DETAIL_SHOWN = 60;
/** More than any event needs; what is longer was refused for its size. */
const VALUE_SHOWN = 8_000;

/** Makes bytes readable without losing any; null stays null. */
export function readableBytes(bytes: Buffer | null): ReadableBytes | null {
  if (bytes === null) return null;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { encoding: 'utf-8', text };
  } catch {
    return { encoding: 'base64', text: bytes.toString('base64') };
  }
}

/** A dead letter of a list as JSON. */
export function summaryJson(letter: LetterSummary): object {
  const { reason, detail, state, tenantId, traceId, eventId, recordedAt, valueBytes } = letter;
  return { position: letterName(letter), recordedAt, reason, detail, state, tenantId, traceId, eventId, valueBytes };
}

/** Dead letters as a table. */
export function summaryTable(letters: readonly LetterSummary[]): string {
  const head = ['position', 'recorded at', 'reason', 'tenant', 'trace', 'bytes', 'state', 'detail'];
  const table = plainTable(head, ['left', 'left', 'left', 'left', 'left', 'right']);
  for (const letter of letters) {
    const { recordedAt, reason, tenantId, traceId, valueBytes, state } = letter;
    const detail = visibleLine(letter.detail);
    const shown = detail.length > DETAIL_SHOWN ? `${detail.slice(0, DETAIL_SHOWN - 1)}…` : detail;
    table.push([letterName(letter), recordedAt, reason, tenantId ?? '', traceId ?? '', valueBytes, state, shown]);
  }
  return table.toString();
}

/** How many there are, by reason: `12 dead letters: 7 INVALID_JSON, 5 INVALID_EVENT`. */
export function countsLine(counts: readonly LetterCount[], adjective = ''): string {
  const [total, byReason] = [totalOf(counts), lettersByReason(counts)];
  const noun = `${adjective === '' ? '' : `${adjective} `}dead letter${total === 1 ? '' : 's'}`;
  const reasons = Object.entries(byReason).map(([reason, letters]) => `${letters} ${reason}`);
  return reasons.length === 0 ? `no ${noun.replace(/s$/, '')}` : `${total} ${noun}: ${reasons.join(', ')}`;
}

/** How many dead letters there are in all. */
export function totalOf(counts: readonly LetterCount[]): number {
  return counts.reduce((sum, { letters }) => sum + letters, 0);
}

/** How many there are of each reason, the most frequent first. */
export function lettersByReason(counts: readonly LetterCount[]): Record<string, number> {
  const byReason = new Map<string, number>();
  for (const { reason, letters } of counts) byReason.set(reason, (byReason.get(reason) ?? 0) + letters);
  return Object.fromEntries([...byReason].sort(([, a], [, b]) => b - a));
}

/** Everything about one dead letter as JSON. */
export function storyJson({ letter, action, entries }: LetterStory): object {
  const headers = Object.entries(letter.headers).map(([name, values]) => [name, values.map(headerValue)]);
  const { reason, detail, state, tenantId, traceId, eventId, recordedAt, batchId } = letter;
  return {
    position: letterName(letter),
    state,
    reason,
    detail,
    tenantId,
    traceId,
    eventId,
    recordedAt,
    batchId,
    key: readableBytes(letter.key),
    value: readableBytes(letter.value),
    valueBytes: letter.value?.length ?? 0,
    headers: Object.fromEntries(headers) as Record<string, ReadableBytes[]>,
    history: [
      { at: recordedAt, event: 'recorded', reason, batchId },
      ...(action === undefined ? [] : [actionJson(action)]),
    ],
    entries: entries.map(entryJson),
  };
}

function actionJson(action: LetterAction): object {
  const { actedAt: at, action: event, actor, reason } = action;
  if (action.action === 'discarded') return { at, event, actor, reason };
  const { outcome, tenantId, traceId, source, batchId, amendedValue } = action;
  const amended = readableBytes(amendedValue);
  return { at, event, actor, reason, outcome, tenantId, traceId, source: letterName(source), batchId, amended };
}

function entryJson({ tenantId, seq, type, status, amountNano, currency, source }: LedgerEntry): object {
  return { tenantId, seq, type, status, amount: formatAmount(amountNano), currency, source: letterName(source) };
}

function headerValue(base64: string): ReadableBytes | null {
  return readableBytes(Buffer.from(base64, 'base64'));
}

/** Everything about one dead letter as text. */
export function storyText(story: LetterStory): string {
  const { letter, action, entries } = story;
  const { tenantId, traceId, eventId, reason, recordedAt, batchId } = letter;
  const lines = [
    `dead letter ${letterName(letter)}: ${letter.state}`,
    `  reason    ${reason}: ${visibleLine(letter.detail)}`,
    `  tenant    ${tenantId ?? 'not readable'}`,
    `  trace     ${traceId ?? 'not readable'}`,
    `  event     ${eventId ?? 'not readable'}`,
    `  key       ${bytesLine(letter.key)}`,
    ...headerLines(letter.headers),
    ...valueLines(letter.value),
    'history',
    `  ${recordedAt}  recorded as ${reason} in batch ${batchId}`,
    ...(action === undefined ? [] : [actionLine(action)]),
    ...(entries.length === 0
      ? []
      : [`entries of trace ${action?.action === 'redriven' ? action.traceId : (traceId ?? '')}`]),
    ...entries.map(entryLine),
  ];
  return `${lines.join('\n')}\n`;
}

function bytesLine(bytes: Buffer | null): string {
  const readable = readableBytes(bytes);
  return readable === null ? 'none' : `${visibleLine(readable.text)} (${readable.encoding})`;
}

function headerLines(headers: LetterStory['letter']['headers']): string[] {
  return Object.entries(headers).flatMap(([name, values]) =>
    values.map((value) => `  header    ${visibleLine(name)}: ${bytesLine(Buffer.from(value, 'base64'))}`),
  );
}

function valueLines(value: Buffer | null): string[] {
  const readable = readableBytes(value);
  if (value === null || readable === null) return ['  value     none'];
  const { encoding, text } = readable;
  const part = text.length > VALUE_SHOWN ? `, the first ${VALUE_SHOWN} characters; --raw and --json show all` : '';
  return [`  value     ${value.length} bytes, as ${encoding}${part}`, visibleText(text.slice(0, VALUE_SHOWN))];
}

function actionLine(action: LetterAction): string {
  const why = action.reason === null ? '' : ` (${action.reason})`;
  const line = `  ${action.actedAt}  ${action.action} by ${action.actor}${why}`;
  if (action.action === 'discarded') return line;
  const as = action.amendedValue === null ? 'message' : 'corrected message';
  const told = `${line}: ${action.outcome}, as ${as} ${letterName(action.source)} in batch ${action.batchId}`;
  return [told, ...(action.amendedValue === null ? [] : valueLines(action.amendedValue))].join('\n');
}

function entryLine({ tenantId, seq, type, status, amountNano, currency, source }: LedgerEntry): string {
  return `  ${tenantId}#${seq}  ${type} ${status} ${displayAmount(amountNano)} ${currency}  from ${letterName(source)}`;
}
