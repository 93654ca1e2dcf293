/**
 * Owns: mending what an audit found, through the same projection that keeps the hashes.
 *
 *  1. Remove the keys of tenants without an account. Where a value is malformed, or a sum is not that of its items: quota-mend takes out what no script wrote and adds up.
 *  2. Project afresh: all fields are set at the version of the ledger, landed and leaked items dropped.
 *  3. What was projected meanwhile is tried again.
 *
 * Does not own: whether it worked (audit-sweep.ts looks again).
 * Invariants: a tenant whose account is wrong itself is left alone: Redis would be set to the wrong account. An item that
 * may still reach the ledger is never dropped. A crash between the steps leaves a smaller difference, or none.
 */
import type { DropSpec, QuotaScripts } from '../lua/quota-scripts.js';
import { isAccountWrong, type TenantDrift } from './audit-drift.js';
import { type ProjectionPorts, projectTenants } from './projection.js';

const TRIES_MAX = 50;

/** Mends tenants; returns those it has set. Throws REDIS_*, POSTGRES_*. */
export async function repairDrift(ports: ProjectionPorts, drifts: readonly TenantDrift[]): Promise<readonly string[]> {
  const mendable = drifts.filter((drift) => !isAccountWrong(drift));
  await mendKeys(ports.scripts, mendable.filter(needsMending));
  const drops = new Map(mendable.map(({ tenantId, leaked }) => [tenantId, leaked]));
  const owned = mendable.flatMap(({ tenantId, seq }) => (seq === null ? [] : [tenantId]));
  const left = new Set(await projectAfresh(ports, owned, drops));
  return mendable.map(({ tenantId }) => tenantId).filter((tenantId) => !left.has(tenantId));
}

/** Sets hashes anew until each has been set once; returns those that were projected by somebody else at every try. */
export async function projectAfresh(
  ports: ProjectionPorts,
  tenantIds: readonly string[],
  drops: ReadonlyMap<string, readonly DropSpec[]> = new Map(),
): Promise<readonly string[]> {
  let open = tenantIds;
  for (let tries = 0; open.length > 0 && tries < TRIES_MAX; tries += 1) {
    open = (await projectTenants(ports, open, { drops, afresh: true })).again;
  }
  return open;
}

/** Whether a plain projection cannot mend it: of an account that is gone, or of values that no script can work with. */
function needsMending({ seq, differences }: TenantDrift): boolean {
  return seq === null || differences.some(({ field }) => field === 'hash' || field.startsWith('inflight_'));
}

async function mendKeys(scripts: QuotaScripts, drifts: readonly TenantDrift[]): Promise<void> {
  const orphans = drifts.filter(({ seq }) => seq === null).map(({ tenantId }) => tenantId);
  if (orphans.length > 0) await scripts.purge(orphans);
  const owned = drifts.filter(({ seq }) => seq !== null).map(({ tenantId }) => ({ tenantId }));
  if (owned.length > 0) await scripts.mend(owned);
}
