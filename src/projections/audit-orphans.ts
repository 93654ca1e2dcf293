/**
 * Owns: finding keys of tenants that have no account: what a database restored from before they opened one leaves, or a hand.
 * Invariants: reads only, Redis before the ledger, so that a tenant whose account has just opened is none of them. A chunk that
 * is about to open the account puts a hash at version 0 there, and then its items. So such a hash is left out as long as it has
 * young items; without any it is looked at again, once that chunk must have gone on.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { LedgerReader } from '../ledger/ledger-reader.js';
import type { QuotaObservation } from '../lua/quota-observation.js';
import type { QuotaScripts } from '../lua/quota-scripts.js';
import type { AuditTerms } from './audit-difference.js';
import type { TenantDrift } from './audit-drift.js';

const SCAN_COUNT = 1_000;
/** Longer than a chunk takes from the hash to its items: it waits for Redis no longer than its deadline. */
const OPENING_MAX_MS = 2_000;

/** Yields the tenants that Redis knows and the ledger does not, page by page of its keys, also where a page has none. One Redis node only. Throws REDIS_*, POSTGRES_*. */
export async function* orphanDrifts(
  ports: { readonly reader: LedgerReader; readonly scripts: QuotaScripts },
  terms: AuditTerms,
): AsyncGenerator<readonly TenantDrift[]> {
  const pages = [
    { scan: ports.scripts.scanQuota(SCAN_COUNT), isFound: (): boolean => true },
    { scan: ports.scripts.scanInflight(SCAN_COUNT), isFound: ({ hash }: QuotaObservation) => hash.kind === 'missing' },
  ];
  const opening: string[] = [];
  for (const { scan, isFound } of pages) {
    for await (const tenantIds of scan) {
      const found = (await withoutAccount(ports, tenantIds)).filter(({ observation }) => isFound(observation));
      opening.push(...found.filter(isHydrated).map(({ tenantId }) => tenantId));
      yield orphansIn(
        found.filter((each) => !isHydrated(each)),
        terms,
      );
    }
  }
  if (opening.length === 0) return;
  await delay(OPENING_MAX_MS);
  for (let first = 0; first < opening.length; first += SCAN_COUNT) {
    const left = await withoutAccount(ports, opening.slice(first, first + SCAN_COUNT));
    yield orphansIn(
      left.filter(({ observation }) => observation.hash.kind !== 'missing'),
      terms,
    );
  }
}

/** A tenant that the ledger does not know, and what Redis has of it. */
interface Stranger {
  readonly tenantId: string;
  readonly observation: QuotaObservation;
}

async function withoutAccount(
  { reader, scripts }: { readonly reader: LedgerReader; readonly scripts: QuotaScripts },
  tenantIds: readonly string[],
): Promise<Stranger[]> {
  const observations = await scripts.observe(tenantIds);
  const accounts = await reader.readAccounts(tenantIds);
  return tenantIds.flatMap((tenantId, index) => {
    const observation = observations[index];
    return observation === undefined || accounts.has(tenantId) ? [] : [{ tenantId, observation }];
  });
}

function orphansIn(strangers: readonly Stranger[], terms: AuditTerms): TenantDrift[] {
  return strangers.flatMap(({ tenantId, observation }) =>
    isOpening(observation, terms) ? [] : [orphanDrift(tenantId, observation)],
  );
}

/** A hash as it is made from an account that has no entry yet, with nothing in flight. */
function isHydrated({ observation: { hash, overlay } }: Stranger): boolean {
  return hash.kind === 'read' && hash.version === 0 && overlay.kind === 'read' && overlay.items.length === 0;
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
