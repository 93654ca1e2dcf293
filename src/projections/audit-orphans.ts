/**
 * Owns: finding keys of tenants that have no account: what a database restored from before they opened one leaves, or a hand.
 * Invariants: reads only, Redis before the ledger, so that a tenant whose account has just opened is none of them. A hash at
 * version 0 with young items in flight is left out: a chunk that is about to open the account puts them there.
 */
import type { LedgerReader } from '../ledger/ledger-reader.js';
import type { QuotaObservation } from '../lua/quota-observation.js';
import type { QuotaScripts } from '../lua/quota-scripts.js';
import type { AuditTerms } from './audit-difference.js';
import type { TenantDrift } from './audit-drift.js';

const SCAN_COUNT = 1_000;

/** Yields the tenants that Redis knows and the ledger does not, page by page of its keys, also where a page has none. One Redis node only. Throws REDIS_*, POSTGRES_*. */
export async function* orphanDrifts(
  ports: { readonly reader: LedgerReader; readonly scripts: QuotaScripts },
  terms: AuditTerms,
): AsyncGenerator<readonly TenantDrift[]> {
  const pages = [
    { scan: ports.scripts.scanQuota(SCAN_COUNT), isFound: (): boolean => true },
    { scan: ports.scripts.scanInflight(SCAN_COUNT), isFound: ({ hash }: QuotaObservation) => hash.kind === 'missing' },
  ];
  for (const { scan, isFound } of pages) {
    for await (const tenantIds of scan) {
      const observations = await ports.scripts.observe(tenantIds);
      const accounts = await ports.reader.readAccounts(tenantIds);
      yield tenantIds.flatMap((tenantId, index) => {
        const observation = observations[index];
        if (observation === undefined || accounts.has(tenantId) || !isFound(observation)) return [];
        return isOpening(observation, terms) ? [] : [orphanDrift(tenantId, observation)];
      });
    }
  }
}

function isOpening({ hash, overlay }: QuotaObservation, { nowMs, leakAfterMs }: AuditTerms): boolean {
  if (hash.kind !== 'read' || hash.version > 0 || overlay.kind !== 'read') return false;
  return overlay.items.some(({ createdAtMs }) => nowMs - createdAtMs <= leakAfterMs);
}

function orphanDrift(tenantId: string, { hash }: QuotaObservation): TenantDrift {
  const version = hash.kind === 'read' ? hash.version : null;
  const found = {
    read: `the ledger at ${version}`,
    unreadable: 'an unreadable hash',
    missing: 'keys without a version',
  };
  const expected = 'nothing: the tenant has no account';
  return {
    ...{ tenantId, version, seq: null, leaked: [] },
    differences: [{ field: 'hash', found: found[hash.kind], expected, amountNano: 0n, ageMs: null }],
  };
}
