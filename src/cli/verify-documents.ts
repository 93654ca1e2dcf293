/** Owns: what `tollbook verify` has to tell, as a JSON object and as text for people. Pure. */
import type { ProofScope } from '../ledger/postgres/proof-scope.js';
import type { AnchorFigures } from '../reconciliation/anchor-proof.js';
import { sourceName } from '../reconciliation/verify-chain.js';
import type { VerifyReport } from '../reconciliation/verify-ledger.js';
import { ownValue } from '../runtime/name-map.js';

/** A verification that is over. */
export interface VerifyRun {
  readonly scope: ProofScope;
  readonly report: VerifyReport;
  readonly elapsedMs: number;
}

const UNANCHORED_NAMED = 10;

/** The result as a JSON object. */
export function verifyDocument({ scope, report, elapsedMs }: VerifyRun): Record<string, unknown> {
  const { entries, accounts, chains, batches, anchors, problemCount, problems, firstBadEntry } = report;
  return {
    ok: problemCount === 0,
    scope: scopeName(scope),
    ...{ entries, accounts, chains, batches },
    anchors: anchors === undefined ? null : anchorDocument(anchors),
    firstBadEntry: firstBadEntry ?? null,
    problemCount,
    problems: problems.map(({ kind, message, entry }) => ({ kind, message, entry: entry ?? null })),
    elapsedMs,
    entriesPerSecond: rateOf(entries, elapsedMs),
  };
}

function anchorDocument({ checked, newest, unanchored, replaced }: AnchorFigures): Record<string, unknown> {
  const replacements = replaced.map(({ source, batchNo, anchoredAt, replacement }) => ({
    ...{ source: sourceName(source), batchNo, anchoredAt },
    replaced: replacement?.batchNo,
    actor: replacement?.actor,
    reason: replacement?.reason,
  }));
  return { checked, newest, unanchored, replaced: replacements };
}

/** The result as text: what was looked at, what was found, and the verdict last. */
export function verifyText({ scope, report, elapsedMs }: VerifyRun): string {
  const { entries, accounts, chains, batches, anchors, problemCount, problems, firstBadEntry } = report;
  const seconds = (elapsedMs / 1000).toFixed(1);
  const ofAccounts = scope.kind === 'source' ? '' : `, ${counted(accounts, 'account')}`;
  const lines = [
    `verified ${scopeName(scope)}: ${counted(entries, 'entry')}${ofAccounts}, ${counted(batches, 'batch')} in ` +
      `${counted(chains, 'chain')}; ${seconds} s, ${rateOf(entries, elapsedMs)} entries/s`,
    ...(anchors === undefined ? [] : anchorLines(anchors)),
    ...problems.map(({ kind, message }) => `PROBLEM (${kind}): ${message}`),
  ];
  if (problemCount > problems.length) lines.push(`… and ${problemCount - problems.length} more: --problems-max`);
  if (firstBadEntry !== undefined) lines.push(`first bad entry: ${firstBadEntry.tenantId}#${firstBadEntry.seq}`);
  lines.push(problemCount === 0 ? 'clean' : `NOT clean: ${counted(problemCount, 'problem')}`);
  return `${lines.join('\n')}\n`;
}

function anchorLines({ checked, newest, unanchored, replaced }: AnchorFigures): string[] {
  const names = unanchored.slice(0, UNANCHORED_NAMED).join(', ');
  const more = unanchored.length > UNANCHORED_NAMED ? ` and ${unanchored.length - UNANCHORED_NAMED} more` : '';
  return [
    `checked ${counted(checked, 'anchor')}${newest === null ? '' : `, the newest of ${newest}`}`,
    ...(unanchored.length === 0 ? [] : [`no anchor vouches for ${names}${more}`]),
    ...replaced.map(
      ({ source, batchNo, anchoredAt, replacement }) =>
        `anchor ${sourceName(source)}#${replacement?.batchNo} was replaced by #${batchNo} at ${anchoredAt}: ` +
        `${replacement?.actor}, ${replacement?.reason}`,
    ),
  ];
}

function scopeName(scope: ProofScope): string {
  switch (scope.kind) {
    case 'full':
      return 'everything';
    case 'tenant':
      return `tenant ${scope.tenantId}`;
    case 'source':
      return scope.partition === undefined ? `source ${scope.topic}` : `source ${scope.topic}/${scope.partition}`;
  }
}

const PLURALS: Readonly<Record<string, string>> = { entry: 'entries', batch: 'batches' };

function counted(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : (ownValue(PLURALS, noun) ?? `${noun}s`)}`;
}

function rateOf(entries: number, elapsedMs: number): number {
  return Math.round((entries * 1000) / Math.max(1, elapsedMs));
}
