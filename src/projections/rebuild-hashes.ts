/**
 * Owns: rebuilding quota hashes from the ledger while traffic runs: every hash is set anew, whatever it says.
 *
 *  1. Take out of the keys what no script writes; that tells the version v of each hash.
 *  2. Read the accounts. Where v is not beyond them and nothing is in flight, set the hash, if it is still at v: there is
 *     nothing to drop, which saves reading what is in flight.
 *  3. Project all others afresh.
 *
 * Does not own: the projection itself; comparing before writing (audit-sweep.ts).
 * Invariants: a hash that is right is set to what it says; an item that has not reached the ledger stays in flight, so a
 * charge under way is counted all the time; memory is bounded by a page; stopped between two pages, it says where to go on.
 */
import type { TenantProjection } from '../lua/quota-scripts.js';
import { projectAfresh } from './audit-repair.js';
import type { ProjectionPorts } from './projection.js';
import { quotaHashOf } from './quota-hash-of.js';
import { type TenantScope, type WalkControl, type WalkResult, walkTenants } from './tenant-walk.js';

/** What a rebuild came to. */
export interface HashRebuild extends WalkResult {
  /** Tenants whose hash a live projection set anew at every try, and so is right without us. */
  readonly restless: number;
  /** Quota hashes and overlays that held what no script writes. */
  readonly mended: number;
}

/** Measured with 20,000 tenants: pages of 250 and of 4,000 were no faster. */
const PAGE_SIZE = 1_000;

/** Rebuilds the hashes of tenants. Throws REDIS_*, POSTGRES_*. */
export async function rebuildHashes(
  ports: ProjectionPorts,
  scope: TenantScope,
  control: WalkControl = {},
): Promise<HashRebuild> {
  let [restless, mended] = [0, 0];
  const walk = await walkTenants(ports.reader, { scope, pageSize: PAGE_SIZE, ...control }, async (tenantIds) => {
    const replies = await ports.scripts.mend(tenantIds.map((tenantId) => ({ tenantId })));
    mended += replies.filter(({ hashDropped, fields }) => hashDropped || fields > 0).length;
    const versions = new Map(tenantIds.map((tenantId, index) => [tenantId, replies[index]?.version ?? null]));
    const left = await projectAfresh(ports, await setQuiet(ports, versions));
    restless += left.length;
  });
  return { ...walk, restless, mended };
}

/** Step 2; returns the tenants it did not set. */
async function setQuiet(
  { reader, scripts }: ProjectionPorts,
  versions: ReadonlyMap<string, number | null>,
): Promise<readonly string[]> {
  const accounts = await reader.readAccounts([...versions.keys()]);
  const projections = [...accounts.values()]
    .filter(({ tenantId, seq }) => (versions.get(tenantId) ?? 0) <= seq)
    .map((account): TenantProjection => ({
      tenantId: account.tenantId,
      expectedVersion: versions.get(account.tenantId) ?? null,
      onlyIfNoInflight: true,
      hash: quotaHashOf(account),
      drop: [],
    }));
  const replies = await scripts.project(projections);
  const set = new Set(
    projections.filter((_projection, index) => replies[index]?.kind === 'projected').map(({ tenantId }) => tenantId),
  );
  return [...versions.keys()].filter((tenantId) => !set.has(tenantId));
}
