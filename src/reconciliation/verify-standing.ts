/**
 * Owns: comparing what is stored beside the entries of a tenant, its account and its open holds, with what the entries
 * come to.
 * Does not own: the fold (verify-tenant.ts), reading what is stored.
 * Invariants: pure; each field and each hold that differs is one finding.
 */
import type { Account } from '../ledger/account.js';
import { type AmountNano, formatAmount } from '../ledger/money.js';
import { fieldText } from '../ledger/postgres/leaf-lines.js';
import type { StoredHold, StoredStanding } from '../ledger/postgres/standing-rows.js';
import type { ProblemKind, ProblemReport } from './verify-problem.js';
import type { OpenHoldFact, TenantFold } from './verify-tenant.js';

/** Reports every difference between a tenant's fold and what is stored of it. */
export function compareStanding(fold: TenantFold, stored: StoredStanding, report: ProblemReport): void {
  const { account } = fold;
  if (account !== undefined) compareAccount(account, stored.account, report);
  compareHolds(fold, stored.holds, report);
}

function compareAccount(folded: Account, stored: Account | undefined, report: ProblemReport): void {
  const name = `account ${folded.tenantId}`;
  if (stored === undefined) {
    report({ kind: 'account', message: `${name} is missing, and has ${folded.seq} entries` });
    return;
  }
  for (const field of Object.keys(folded) as (keyof Account)[]) {
    if (folded[field] === stored[field]) continue;
    const [found, expected] = [textOf(stored[field]), textOf(folded[field])];
    report({ kind: 'account', message: `${name}: ${columnOf(field)} is ${found}, its entries say ${expected}` });
  }
}

/** The name of a field in the table: that is where somebody will look. */
function columnOf(field: keyof Account): string {
  return field.replace(/Nano$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function textOf(value: Account[keyof Account]): string {
  if (typeof value === 'bigint') return formatAmount(value);
  return value === null ? 'unlimited' : String(value);
}

function compareHolds(fold: TenantFold, stored: ReadonlyMap<string, StoredHold>, report: ProblemReport): void {
  const open = new Map([...fold.openHolds].map(([traceId, hold]) => [fieldText(traceId), hold]));
  for (const [traceId, hold] of open) {
    const found = stored.get(traceId);
    const name = `hold ${traceId} of ${fold.tenantId}`;
    if (found === undefined) {
      tell(report, `${name} (entry #${hold.seq}) has not ended, and is missing from open_holds`);
    } else {
      compareHold(name, { found, hold }, report);
    }
  }
  for (const { traceId } of stored.values()) {
    if (!open.has(traceId))
      tell(report, `hold ${traceId} of ${fold.tenantId} is in open_holds, but no entry holds it open`);
  }
}

function compareHold(
  name: string,
  { found, hold }: { readonly found: StoredHold; readonly hold: OpenHoldFact },
  report: ProblemReport,
): void {
  if (found.amountNano !== hold.heldNano) {
    const [amount, held] = [found.amountNano, hold.heldNano].map((nano) => formatAmount(nano as AmountNano));
    tell(report, `${name} is ${amount} in open_holds, its entry #${hold.seq} holds ${held}`);
  }
  const countedOn = fieldText(hold.countedOn);
  if ((found.countedOn ?? '') !== countedOn) {
    tell(report, `${name} counts on ${found.countedOn} in open_holds, its entry #${hold.seq} on ${countedOn || null}`);
  }
}

function tell(report: ProblemReport, message: string, kind: ProblemKind = 'hold'): void {
  report({ kind, message });
}
