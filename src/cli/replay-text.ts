/**
 * Owns: how the result of a replay looks: one JSON document, and text for people.
 * Invariants: pure; a replay is equal only when every batch was sealed again and not a single row differs.
 */
import type { ExpiredBatches } from '../reconciliation/shadow/replay-span.js';
import type { RowDifference } from '../reconciliation/shadow/differences.js';
import type { ShadowReplay } from '../reconciliation/shadow/shadow-replay.js';
import { plainTable } from './plain-table.js';

/** Whether the shadow is the ledger, row by row. */
export function isEqual({ replay, comparison: { differences } }: ShadowReplay): boolean {
  return replay.problems === 0 && differences.tables.every((table) => table.differences + table.followers === 0);
}

/** The result as one JSON document; rates per second. */
export function replayDocument(found: ShadowReplay, isKept: boolean): object {
  const { span, expired, replay, comparison, replayMs, compareMs } = found;
  const { differences, movedOn, uncompared } = comparison;
  return {
    verdict: isEqual(found) ? 'equal' : 'different',
    batches: { first: span.first, through: span.through, replayed: replay.batches },
    takenOverBefore: span.first === 1 ? null : span.first,
    expired: expired.map(expiredDocument),
    messages: replay.messages,
    refusalsTakenOver: replay.refusalsTakenOver,
    notReplayed: { batches: replay.problems, first: replay.firstProblems },
    tables: differences.tables.map(({ table, rows, differences: differing, followers }) => ({
      ...{ table, rows, differences: differing, differentInHashesOnly: followers },
    })),
    differences: { rows: differences.total, first: differences.first },
    uncompared: { ...uncompared, tenantsMovedOn: movedOn },
    seconds: { replay: replayMs / 1000, compare: compareMs / 1000 },
    perSecond: rateOf(replay.messages, replayMs),
    shadow: isKept ? found.shadow : null,
  };
}

function expiredDocument({ source, logStart, lastBatchId }: ExpiredBatches): object {
  return { ...source, logStart: logStart.toString(), lastBatchId };
}

/** The result for people. */
export function replayText(found: ShadowReplay, isKept: boolean): string {
  const { span, replay, comparison, replayMs, compareMs, shadow } = found;
  const { differences, movedOn, uncompared } = comparison;
  const lines = [
    ...beginningLines(found),
    `${replay.messages} messages in ${replay.batches} batches (${span.first} to ${span.through}) charged again in ` +
      `${replayMs / 1000} s (${rateOf(replay.messages, replayMs)}/s), compared in ${compareMs / 1000} s`,
    ...(replay.refusalsTakenOver === 0
      ? []
      : [`${replay.refusalsTakenOver} refusals counted what was in flight, which was taken over`]),
    tableText(found),
    ...columnLines('only the ledger has', uncompared.onlyLive),
    ...columnLines('only the shadow has', uncompared.onlyShadow),
    ...(movedOn === 0 ? [] : [`${movedOn} tenants have later entries: their accounts and holds were not compared`]),
    ...problemLines(found),
    ...differences.first.flatMap(differenceLines),
    ...(differences.total > differences.first.length
      ? [`… and ${differences.total - differences.first.length} more (--show)`]
      : []),
    ...(isKept ? [`the shadow is kept: ${shadow}; when done with it: DROP DATABASE ${shadow} WITH (FORCE)`] : []),
    verdictLine(found),
  ];
  return `${lines.join('\n')}\n`;
}

function beginningLines({ span, expired }: ShadowReplay): string[] {
  const gone = expired.map(
    ({ source: { topic, partition }, logStart, lastBatchId }) =>
      `Kafka has ${topic}/${partition} from offset ${logStart} on: batches of it up to ${lastBatchId} cannot be replayed`,
  );
  return span.first === 1 ? gone : [...gone, `the ledger before batch ${span.first} was taken over as it is`];
}

function tableText({ comparison: { differences } }: ShadowReplay): string {
  const table = plainTable(['table', 'rows compared', 'rows that differ'], ['left', 'right', 'right']);
  for (const { table: name, rows, differences: differing, followers } of differences.tables) {
    table.push([name, rows, followers === 0 ? differing : `${differing} (and ${followers} in hashes that follow)`]);
  }
  return table.toString();
}

function columnLines(who: string, columns: readonly string[]): string[] {
  return columns.length === 0 ? [] : [`not compared, ${who}: ${columns.join(', ')}`];
}

function problemLines({ replay: { problems, firstProblems } }: ShadowReplay): string[] {
  const told = firstProblems.map(
    ({ batchId, source, firstOffset, why }) =>
      `batch ${batchId} (${source} from ${firstOffset}) was not sealed again: ${why}`,
  );
  return problems > told.length ? [...told, `… and ${problems - told.length} more batches`] : told;
}

function differenceLines({ table, key, batchId, kind, fields }: RowDifference): string[] {
  const name = `${table} ${Object.values(key).join('/')}${batchId === null ? '' : ` (batch ${batchId})`}`;
  if (kind === 'onlyInLedger') return [`${name}: only in the ledger`];
  if (kind === 'onlyInShadow') return [`${name}: only in the shadow`];
  return [`${name}:`, ...fields.map(({ field, live, shadow }) => `  ${field}: ${shown(live)} → ${shown(shadow)}`)];
}

function shown(value: string | null): string {
  return value === null ? 'nothing' : JSON.stringify(value);
}

function verdictLine(found: ShadowReplay): string {
  if (isEqual(found)) return 'equal: not a row differs';
  const { differences } = found.comparison;
  const rows = `${differences.total} ${differences.total === 1 ? 'row differs' : 'rows differ'}`;
  return `different: ${rows} (ledger → shadow)`;
}

function rateOf(count: number, ms: number): number {
  return Math.round((count * 1000) / Math.max(1, ms));
}
