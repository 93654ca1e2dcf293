/**
 * Owns: reading what the ledger keeps beside the entries and could recompute from them: accounts and open holds, for the
 * proofs that they are right.
 * Invariants: reads only, in a proof snapshot; memory is bounded by the tenants asked for.
 */
import type { Account } from '../account.js';
import { type AmountNano, parseAmount } from '../money.js';
import { type ProofScope } from './proof-scope.js';
import { literal, type ProofSnapshot } from './proof-snapshot.js';
import { ACCOUNT_SELECT, type AccountRow, accountOf } from './rows.js';

/** A row of `open_holds`, but for when it expires, which no entry says. */
export interface StoredHold {
  readonly traceId: string;
  readonly amountNano: AmountNano;
  readonly countedOn: string | null;
}

/** The stored account of a tenant and its stored holds by trace. */
export interface StoredStanding {
  readonly account: Account | undefined;
  readonly holds: ReadonlyMap<string, StoredHold>;
}

/** Reads what is stored of the given tenants. Throws POSTGRES_*. */
export async function readStandings(
  snapshot: ProofSnapshot,
  tenantIds: readonly string[],
): Promise<(tenantId: string) => StoredStanding> {
  const accounts = await snapshot.rows<AccountRow>(
    `SELECT ${ACCOUNT_SELECT} FROM accounts a WHERE a.tenant_id = ANY($1::text[])`,
    [tenantIds],
  );
  const byTenant = new Map(accounts.map((row) => [row.tenant_id, accountOf(row)]));
  const holds = await readHolds(snapshot, tenantIds);
  return (tenantId) => ({ account: byTenant.get(tenantId), holds: holds.get(tenantId) ?? new Map<string, never>() });
}

async function readHolds(
  snapshot: ProofSnapshot,
  tenantIds: readonly string[],
): Promise<Map<string, Map<string, StoredHold>>> {
  const rows = await snapshot.rows<{ tenant_id: string; trace_id: string; amount: string; counted_on: string | null }>(
    `SELECT h.tenant_id, h.trace_id, h.amount, h.counted_on::text AS counted_on FROM open_holds h
     WHERE h.tenant_id = ANY($1::text[])`,
    [tenantIds],
  );
  const holds = new Map<string, Map<string, StoredHold>>();
  for (const { tenant_id: tenantId, trace_id: traceId, amount, counted_on: countedOn } of rows) {
    const ofTenant = holds.get(tenantId) ?? new Map<string, StoredHold>();
    ofTenant.set(traceId, { traceId, amountNano: parseAmount(amount, 'amount'), countedOn });
    holds.set(tenantId, ofTenant);
  }
  return holds;
}

/** Tenants that have an account or an open hold and no entry at all. */
export interface StrayTenants {
  readonly accounts: readonly string[];
  readonly holds: readonly string[];
}

/** Names tenants of a scope without an entry, at most `limit` of each kind. Throws POSTGRES_*. */
export async function readStrays(snapshot: ProofSnapshot, scope: ProofScope, limit: number): Promise<StrayTenants> {
  const accounts = await strays(snapshot, { table: 'accounts', scope, limit });
  return { accounts, holds: await strays(snapshot, { table: 'open_holds', scope, limit }) };
}

async function strays(
  snapshot: ProofSnapshot,
  { table, scope, limit }: { readonly table: 'accounts' | 'open_holds'; scope: ProofScope; limit: number },
): Promise<string[]> {
  const wanted = scope.kind === 'tenant' ? `s.tenant_id = ${literal(scope.tenantId)}` : 'true';
  const rows = await snapshot.rows<{ tenant_id: string }>(
    `SELECT DISTINCT s.tenant_id FROM ${table} s
     WHERE ${wanted} AND NOT EXISTS (SELECT FROM ledger_entries e WHERE e.tenant_id = s.tenant_id)
     ORDER BY s.tenant_id LIMIT ${limit}`,
  );
  return rows.map((row) => row.tenant_id);
}
