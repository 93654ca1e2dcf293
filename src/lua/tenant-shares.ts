/**
 * Owns: grouping tenants into script calls: each tenant's share, which tenants may share a call, when a call is full.
 * Does not own: running the calls (quota-scripts.ts), the arguments (quota-requests.ts).
 * Invariants: pure; the tenants of one call lie in one slot; a tenant is named once.
 */
import { TollbookError } from '../runtime/errors.js';
import type { TenantMending } from './broken-keys.js';
import { encodeDeltas, encodeProjection, type TenantDeltas, type TenantProjection } from './quota-requests.js';

/** One tenant's share of a script call, and the place of its reply among those of all tenants. */
export interface TenantShare {
  readonly tenantId: string;
  readonly args: readonly string[];
  /** How many items it names. */
  readonly itemCount: number;
  readonly position: number;
}

/** Where a call is full besides: as many items keep Redis busy for some 10 to 20 ms. */
const ITEMS_PER_CALL_MAX = 2_600;

/** One tenant's share of quota-deduct. Throws MONEY_OUT_OF_RANGE. */
export function deductShare(deltas: TenantDeltas, position: number): TenantShare {
  return { tenantId: deltas.tenantId, args: encodeDeltas(deltas), itemCount: deltas.items.length, position };
}

/** One tenant's share of quota-project. Throws MONEY_OUT_OF_RANGE. */
export function projectShare(projection: TenantProjection, position: number): TenantShare {
  const { tenantId, drop } = projection;
  return { tenantId, args: encodeProjection(projection), itemCount: drop.length, position };
}

/** One tenant's share of quota-mend. */
export function mendShare({ tenantId, hashToDrop }: TenantMending, position: number): TenantShare {
  return { tenantId, args: [hashToDrop === undefined ? '-' : String(hashToDrop)], itemCount: 0, position };
}

/** The slot of every tenant where one server holds all keys. */
export function oneSlot(): number {
  return 0;
}

/** A call in the making: tenants that may share it, and the count of their items. */
interface OpenGroup {
  readonly shares: TenantShare[];
  itemCount: number;
}

/** Groups tenants of one slot, at most `sizeMax` a group. Throws USAGE_INVALID for a tenant named twice. */
export function groupShares(
  shares: readonly TenantShare[],
  slotOf: (tenantId: string) => number,
  sizeMax: number,
): readonly (readonly TenantShare[])[] {
  refuseRepeatedTenants(shares);
  const groups: TenantShare[][] = [];
  const open = new Map<number, OpenGroup>();
  for (const share of shares) {
    const slot = slotOf(share.tenantId);
    let group = open.get(slot);
    if (group === undefined || isFull(group, share, sizeMax)) {
      group = { shares: [], itemCount: 0 };
      groups.push(group.shares);
      open.set(slot, group);
    }
    group.shares.push(share);
    group.itemCount += share.itemCount;
  }
  return groups;
}

function isFull(group: OpenGroup, next: TenantShare, sizeMax: number): boolean {
  return group.shares.length >= sizeMax || group.itemCount + next.itemCount > ITEMS_PER_CALL_MAX;
}

function refuseRepeatedTenants(shares: readonly TenantShare[]): void {
  const seen = new Set<string>();
  for (const { tenantId } of shares) {
    if (seen.has(tenantId)) throw new TollbookError('USAGE_INVALID', `tenant ${tenantId} is named twice in one call`);
    seen.add(tenantId);
  }
}
