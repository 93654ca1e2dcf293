/**
 * Owns: what an audit came to, as a JSON object and as text for people.
 * Invariants: pure; amounts are decimal strings of currency units; of the findings the first hundred are shown.
 */
import type { Difference } from '../projections/audit-difference.js';
import { amountText } from '../projections/audit-difference.js';
import type { TenantDrift } from '../projections/audit-drift.js';
import type { AuditReport } from '../projections/audit-sweep.js';
import type { Waiting } from '../projections/audit-tenants.js';

/** An audit as a JSON object. */
export function auditDocument(report: AuditReport, repairs: boolean): object {
  const { tenants, drifting, repaired, left, restless, next } = report;
  return {
    tenants,
    drifting,
    ...(repairs ? { repaired } : {}),
    left,
    restless,
    amount: amountText(report.amountNano),
    oldestSeconds: report.oldestMs === null ? null : seconds(report.oldestMs),
    fields: Object.fromEntries(
      [...report.fields].map(([field, { count, amountNano }]) => [field, { count, amount: amountText(amountNano) }]),
    ),
    behind: waitingDocument(report.behind),
    unsettled: waitingDocument(report.unsettled),
    drifts: report.drifts.map(driftDocument),
    complete: next === null,
    next,
  };
}

function waitingDocument({ count, oldestMs }: Waiting): object {
  return { count, oldestSeconds: seconds(oldestMs) };
}

function driftDocument({ tenantId, version, seq, differences }: TenantDrift): object {
  const amountNano = differences.reduce((sum, difference) => sum + difference.amountNano, 0n);
  return {
    tenantId,
    version,
    seq,
    amount: amountText(amountNano),
    differences: differences.map(({ field, found, expected, amountNano: nano, ageMs }) => ({
      ...{ field, found, expected, amount: amountText(nano) },
      oldestSeconds: ageMs === null ? null : seconds(ageMs),
    })),
  };
}

/** An audit in sentences, the findings first. */
export function auditText(report: AuditReport, repairs: boolean): string {
  const lines = [...driftLines(report), summaryLine(report, repairs), ...waitingLines(report)];
  if (report.drifts.some(({ differences }) => differences.some(({ field }) => field === 'account'))) {
    lines.push(
      'an account is wrong itself: tollbook rebuild --accounts --dry-run shows how, without --dry-run mends it',
    );
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** One line for each difference, and one for those that are not shown. */
function driftLines({ drifts, drifting }: Pick<AuditReport, 'drifts' | 'drifting'>): string[] {
  const lines = drifts.flatMap(({ tenantId, differences }) =>
    differences.map((each) => differenceLine(tenantId, each)),
  );
  return drifting > drifts.length ? [...lines, `… and ${drifting - drifts.length} more tenants`] : lines;
}

function differenceLine(tenantId: string, { field, found, expected }: Difference): string {
  return `${tenantId}: ${field} is ${found}; expected ${expected}`;
}

function summaryLine(
  { tenants, drifting, repaired, left, restless, ...report }: AuditReport,
  repairs: boolean,
): string {
  const skipped = restless === 0 ? '' : `; ${restless} were projected at every look and not judged`;
  if (drifting === 0) return `${tenants} tenants looked at: no difference${skipped}`;
  const age = report.oldestMs === null ? '' : `, for ${seconds(report.oldestMs)} s at most`;
  const mended = repairs ? `; ${repaired} repaired, ${left} left` : '';
  return `${tenants} tenants looked at: ${drifting} differ, by ${amountText(report.amountNano)} in all${age}${mended}${skipped}`;
}

function waitingLines({ behind, unsettled }: AuditReport): string[] {
  return [
    ...(behind.count === 0
      ? []
      : [`${behind.count} hashes are behind their ledger, the oldest for ${seconds(behind.oldestMs)} s`]),
    ...(unsettled.count === 0
      ? []
      : [`${unsettled.count} items in flight have no entry yet, the oldest is ${seconds(unsettled.oldestMs)} s old`]),
  ];
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
