/**
 * Owns: the life of a trace as text for people: what it came to, each entry with its terms, and what else is known.
 * Does not own: what is in it (trace-documents.ts).
 * Invariants: pure; every figure is one of the ledger or computed from its entries.
 */
import { costOfEntry, type MeterCost } from '../ledger/entry-cost.js';
import type { EntrySource, LedgerEntry } from '../ledger/entry.js';
import type { ParkedUsage, TraceEntry, TraceLife } from '../ledger/ledger-queries.js';
import { type AmountNano, displayAmount } from '../ledger/money.js';
import { letterName } from '../ledger/dead-letter.js';
import { awaitsPrice, inFlightOf, outcomeOf, PHASE_NAMES, type TraceReport } from './trace-documents.js';

const RELATIONS: Readonly<Record<TraceEntry['relation'], string>> = {
  own: '',
  later: 'refers to this trace: ',
  original: 'referred to by this trace: ',
};

/** The trace as text. */
export function traceText(report: TraceReport): string {
  const blocks = [
    [headline(report)],
    ...report.life.entries.map(entryLines),
    [...setAsideLines(report.life), ...inFlightLines(report)],
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function headline(report: TraceReport): string {
  const { trace, life } = report;
  const hold = life.hold === undefined ? '' : `; hold open until ${life.hold.expiresAt}`;
  return `trace ${trace.traceId} of ${trace.tenantId}: ${outcomeOf(report).state}${moneyText(report)}${hold}`;
}

/** What was charged and given back; nothing for a trace that neither charges nor refunds, such as that of a credit. */
function moneyText(report: TraceReport): string {
  const { currency, chargedNano, refundedNano } = outcomeOf(report);
  if (!report.life.entries.some(({ entry }) => entry.type === 'DEDUCT' || entry.type === 'REFUND')) return '';
  const refunded = refundedNano === 0n ? '' : `, refunded ${displayAmount(refundedNano)}`;
  return `; charged ${displayAmount(chargedNano)}${refunded} ${currency}`;
}

function entryLines({ entry, relation, seal, recordedAt, entryHash }: TraceEntry): string[] {
  const { seq, type, status, amountNano, currency, source } = entry;
  const batch =
    seal === undefined
      ? 'in no sealed batch'
      : `batch ${seal.batchNo} of ${seal.headBatchNo} (id ${seal.batchId}, hash ${seal.hash.slice(0, 16)}…)`;
  return [
    `${RELATIONS[relation]}entry ${seq}: ${type} ${status} ${displayAmount(amountNano)} ${currency}${whyOf(entry)}`,
    ...requestLines(entry),
    ...costLines(entry),
    `  balance ${step(entry.balanceBeforeNano, entry.balanceAfterNano)}, held ${step(entry.heldBeforeNano, entry.heldAfterNano)}${countedText(entry)}`,
    `  from ${positionText(source)}, ${batch}, entry hash ${entryHash.slice(0, 16)}…`,
    `  occurred ${entry.occurredAt}, recorded ${recordedAt}${byText(entry)}`,
  ];
}

function whyOf({ description, detail }: LedgerEntry): string {
  const figures = Object.entries(detail ?? {}).map(([name, value]) => `${name.replaceAll('_', ' ')} ${value}`);
  const why = description === null ? figures : [description, ...figures];
  return why.length === 0 ? '' : ` (${why.join(', ')})`;
}

function requestLines({ usage }: LedgerEntry): string[] {
  const { provider, model, stream, outcome, apiKeyId, presetItemId, priceVersion, allowNegative } = usage;
  const tags = Object.entries(usage.tags ?? {}).map(([name, value]) => `tag ${name}=${value}`);
  const facts = [
    [provider, model].filter((name) => name !== null).join(' '),
    stream === null ? '' : stream ? 'streamed' : 'not streamed',
    outcome ?? '',
    allowNegative === true ? 'may go negative' : '',
    named('API key', apiKeyId),
    named('preset', presetItemId),
    named('price class', usage.priceClass),
    named('price version', priceVersion),
    named('user', usage.userId),
    named('project', usage.projectId),
    ...tags,
  ].filter((fact) => fact !== '');
  return facts.length === 0 ? [] : [`  ${facts.join(', ')}`];
}

function named(name: string, value: string | null): string {
  return value === null ? '' : `${name} ${value}`;
}

function costLines(entry: LedgerEntry): string[] {
  const cost = costOfEntry(entry);
  if (cost === undefined) return [];
  const width = Math.max(...cost.meters.map(({ meter }) => meter.length));
  const { totalNano } = cost;
  const differs =
    totalNano !== undefined && totalNano !== entry.amountNano
      ? [`  THESE ADD UP TO ${displayAmount(totalNano)}, not to the amount of the entry`]
      : [];
  return [...cost.meters.map((term) => `  ${termText(term, width)}`), ...differs];
}

function termText({ meter, quantity, pricePer1k, cost }: MeterCost, width: number): string {
  return `${meter.padEnd(width)}  ${quantity} × ${pricePer1k ?? 'no price'} / 1000 = ${cost}`;
}

function step(before: AmountNano, after: AmountNano): string {
  return before === after ? displayAmount(before) : `${displayAmount(before)} → ${displayAmount(after)}`;
}

function countedText({ requests, countedOn }: LedgerEntry): string {
  if (requests === 0 || countedOn === null) return '';
  return `, requests ${requests > 0 ? '+' : ''}${requests} on ${countedOn}`;
}

function byText({ actor, referenceSeq }: LedgerEntry): string {
  const reference = referenceSeq === null ? '' : `, refers to entry ${referenceSeq}`;
  return `${actor === null ? '' : `, by ${actor}`}${reference}`;
}

function positionText({ topic, partition, kafkaOffset }: EntrySource): string {
  return `${topic}/${partition} offset ${kafkaOffset}`;
}

function setAsideLines(life: TraceLife): string[] {
  const { parked, skipped, deadLetters } = life;
  return [
    ...(parked === undefined ? [] : [parkedLine(life, parked)]),
    ...skipped.map(({ recordedAt, reason, source }) => `skipped ${recordedAt}: ${reason}, ${positionText(source)}`),
    ...deadLetters.flatMap(({ recordedAt, reason, detail, redriveState, source }) => {
      const name = letterName(source);
      const line = `dead letter ${name} ${recordedAt} (${redriveState}): ${reason}: ${detail}`;
      return redriveState === 'open' ? [line, `  tollbook dead-letters redrive | amend | discard ${name}`] : [line];
    }),
  ];
}

function parkedLine(life: TraceLife, { recordedAt, meters, source }: ParkedUsage): string {
  const since = awaitsPrice(life) ? 'waits for a price' : 'charged since';
  return `parked ${recordedAt} (${since}): no price for ${meters.join(', ')}, ${positionText(source)}`;
}

function inFlightLines({ glance, trace }: TraceReport): string[] {
  if (glance.kind !== 'read') return [`redis is ${glance.kind}: ${glance.reason}`];
  return inFlightOf(glance, trace).map(({ phase, availableNano, requests, day, createdAtMs }) => {
    const available = displayAmount(availableNano as AmountNano);
    const since = new Date(createdAtMs).toISOString();
    return `in flight in Redis since ${since}: ${PHASE_NAMES[phase]}, available ${available}, requests ${requests} on ${day}`;
  });
}
