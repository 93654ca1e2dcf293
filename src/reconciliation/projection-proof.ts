/**
 * Owns: the proof that Redis says what the ledger says: every quota hash equal to its account, nothing left in flight.
 * Invariants: reads only; memory is bounded by a page of accounts; meant for a ledger at rest.
 */
import type { LedgerReader } from '../ledger/ledger-reader.js';
import type { QuotaHash, QuotaScripts } from '../lua/quota-scripts.js';
import { quotaHashOf } from '../projections/quota-hash-of.js';

/** What the proof looked at, and what it found wrong. */
export interface ProjectionProof {
  readonly hashes: number;
  /** Tenants whose hash is missing or differs from the account. */
  readonly drift: number;
  /** Items in flight, which at rest should be none. */
  readonly inFlight: number;
  readonly problems: readonly string[];
}

const ACCOUNT_PAGE = 500;

/** Compares every hash with its account. Throws REDIS_*, POSTGRES_*. */
export async function proveProjections(reader: LedgerReader, scripts: QuotaScripts): Promise<ProjectionProof> {
  const problems: string[] = [];
  let [hashes, drift, inFlight] = [0, 0, 0];
  for (let after = ''; ;) {
    const tenantIds = (await reader.pageAccounts(after, ACCOUNT_PAGE)).map(({ tenantId }) => tenantId);
    const accounts = await reader.readAccounts(tenantIds);
    const found = await scripts.readQuota(tenantIds);
    const items = await scripts.readInflight(tenantIds);
    for (const [index, tenantId] of tenantIds.entries()) {
      const account = accounts.get(tenantId);
      const differing =
        account === undefined ? ['account'] : differingFields(quotaHashOf(account), found[index] ?? null);
      if (differing.length > 0) {
        drift += 1;
        problems.push(`quota hash of ${tenantId} differs from its account in ${differing.join(', ')}`);
      }
      inFlight += items[index]?.length ?? 0;
    }
    hashes += tenantIds.length;
    const last = tenantIds[tenantIds.length - 1];
    if (last === undefined || tenantIds.length < ACCOUNT_PAGE) break;
    after = last;
  }
  if (inFlight > 0) problems.push(`${inFlight} items are still in flight`);
  return { hashes, drift, inFlight, problems };
}

function differingFields(expected: QuotaHash, found: QuotaHash | null): string[] {
  if (found === null) return ['everything: it is missing'];
  return (Object.keys(expected) as (keyof QuotaHash)[]).filter((field) => expected[field] !== found[field]);
}
