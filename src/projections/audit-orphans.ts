/**
 * Owns: finding quota hashes of tenants that have no account: what a database restored from before they opened one leaves.
 * Invariants: reads only. A hash at version 0 is left out: a chunk that is about to open the account puts it there.
 */
import type { LedgerReader } from '../ledger/ledger-reader.js';
import type { QuotaScripts } from '../lua/quota-scripts.js';
import type { TenantDrift } from './audit-drift.js';

const SCAN_COUNT = 1_000;

/** Yields the tenants that Redis knows and the ledger does not. One Redis node only. Throws REDIS_*, POSTGRES_*. */
export async function* orphanDrifts(ports: {
  readonly reader: LedgerReader;
  readonly scripts: QuotaScripts;
}): AsyncGenerator<readonly TenantDrift[]> {
  for await (const tenantIds of ports.scripts.scanQuota(SCAN_COUNT)) {
    const accounts = await ports.reader.readAccounts(tenantIds);
    const strangers = tenantIds.filter((tenantId) => !accounts.has(tenantId));
    if (strangers.length === 0) continue;
    const observations = await ports.scripts.observe(strangers);
    const drifts = strangers.flatMap((tenantId, index) => {
      const hash = observations[index]?.hash;
      return hash?.kind === 'read' && hash.version > 0 ? [orphanDrift(tenantId, hash.version)] : [];
    });
    if (drifts.length > 0) yield drifts;
  }
}

function orphanDrift(tenantId: string, version: number): TenantDrift {
  return {
    tenantId,
    version,
    seq: null,
    differences: [
      {
        field: 'hash',
        found: `the ledger at ${version}`,
        expected: 'nothing: the tenant has no account',
        amountNano: 0n,
        ageMs: null,
      },
    ],
    leaked: [],
  };
}
