/**
 * Owns: one audit from beginning to end: all tenants or some, repaired on the way when asked, and what it came to.
 * Does not own: the look at a page (audit-tenants.ts), the repair (audit-repair.ts), the audit that never ends (audit-rounds.ts).
 * Invariants: memory is bounded by a page and by the findings kept; a repair is looked at again before it counts as one;
 * stopped between two pages, it says where to go on.
 */
import type { Logger } from '../runtime/logger.js';
import type { AuditTerms } from './audit-difference.js';
import { orphanDrifts } from './audit-orphans.js';
import { repairDrift } from './audit-repair.js';
import { type AuditFigures, AuditTally } from './audit-tally.js';
import { type AuditPorts, auditTenants } from './audit-tenants.js';
import type { TenantDrift } from './audit-drift.js';
import { type TenantScope, type WalkControl, walkTenants } from './tenant-walk.js';

/** What an audit is to do; times in milliseconds. */
export interface AuditOrder extends WalkControl {
  readonly scope: TenantScope;
  readonly repairs: boolean;
  readonly leakAfterMs: number;
  readonly nowMs: () => number;
}

/** What an audit came to. */
export interface AuditReport extends AuditFigures {
  /** Tenants that were mended, and are right now. */
  readonly repaired: number;
  /** Tenants that are not right now. */
  readonly left: number;
  /** The tenant to go on after; null when the audit is complete. */
  readonly next: string | null;
}

/** An audit's ports, and where a repair tells of what it does. */
export interface AuditRunPorts extends AuditPorts {
  readonly logger: Logger;
}

const PAGE_SIZE = 500;

/** Audits, and repairs when asked. Throws REDIS_*, POSTGRES_*. */
export async function auditLedger(ports: AuditRunPorts, order: AuditOrder): Promise<AuditReport> {
  const tally = new AuditTally();
  let repaired = 0;
  const walk = await walkTenants(ports.reader, { ...order, pageSize: PAGE_SIZE }, async (tenantIds) => {
    const terms = { nowMs: order.nowMs(), leakAfterMs: order.leakAfterMs };
    const audit = await auditTenants(ports, tenantIds, terms);
    tally.add(audit);
    const mended = order.repairs ? await repairAndLook(ports, audit.drifts, terms) : 0;
    repaired += mended;
  });
  if (order.scope.kind === 'all' && walk.next === null) repaired += await sweepOrphans(ports, order, tally);
  const figures = tally.figures();
  return { ...figures, repaired, next: walk.next, left: figures.drifting - repaired };
}

/** Mends tenants and looks at them again; returns how many are right now. Throws REDIS_*, POSTGRES_*. */
export async function repairAndLook(
  ports: AuditRunPorts,
  drifts: readonly TenantDrift[],
  terms: AuditTerms,
): Promise<number> {
  if (drifts.length === 0) return 0;
  const mended = await repairDrift(ports, drifts);
  if (mended.length === 0) return 0;
  const again = await auditTenants(ports, mended, terms);
  return again.looked - again.drifts.length;
}

async function sweepOrphans(ports: AuditRunPorts, order: AuditOrder, tally: AuditTally): Promise<number> {
  const { repairs, leakAfterMs, nowMs } = order;
  let repaired = 0;
  for await (const drifts of orphanDrifts(ports, { nowMs: nowMs(), leakAfterMs })) {
    for (const drift of drifts) tally.addDrift(drift);
    if (repairs && drifts.length > 0) repaired += (await repairDrift(ports, drifts)).length;
  }
  return repaired;
}
