/** Owns: comparing what tenants paid with what a simulation, which knows nothing of the ledger, says they must have paid. */
import { expect } from 'chai';
import { amountNano, formatAmount, parseAmount } from '../../src/ledger/money.js';
import type { SimulationExpectation } from '../../src/simulator/expectation.js';
import type { LedgerWorld } from './ledger-world.js';

/** What one tenant came to; amounts have nine decimals. */
export interface TenantFigures {
  readonly charged: string;
  readonly uncollected: string;
  readonly held: string;
  readonly balance: string;
}

/** Fails unless every tenant of a simulation was charged, refused and held exactly what it must be. */
export async function assertTenantsAsPlanned(world: LedgerWorld, expectation: SimulationExpectation): Promise<void> {
  const tenantIds = Object.keys(expectation.tenants);
  const found = await tenantFigures(world, tenantIds);
  const expected = Object.fromEntries(
    Object.entries(expectation.tenants).map(([tenantId, { charged, uncollected, held, creditNeeded }]) => [
      tenantId,
      { charged, uncollected, held, balance: decimal(parseAmount(creditNeeded) - parseAmount(charged)) },
    ]),
  );
  expect(found).to.deep.equal(expected);
}

/** What tenants came to by the ledger's entries and accounts; a tenant without an account has nothing. */
export async function tenantFigures(
  world: LedgerWorld,
  tenantIds: readonly string[],
): Promise<Record<string, TenantFigures>> {
  const rows = await world.rows<TenantFigures & { tenantId: string }>(
    `SELECT wanted.id AS "tenantId", u.charged, u.uncollected,
       coalesce(a.held, 0)::numeric(28,9) AS held, coalesce(a.balance, 0)::numeric(28,9) AS balance
     FROM unnest($1::text[]) AS wanted(id) LEFT JOIN accounts a ON a.tenant_id = wanted.id COLLATE "C"
     CROSS JOIN LATERAL (
       SELECT coalesce(sum(amount) FILTER (WHERE status = 'COMMITTED'), 0)::numeric(28,9) AS charged,
         coalesce(sum(amount) FILTER (WHERE status = 'FAILED'), 0)::numeric(28,9) AS uncollected
       FROM ledger_entries WHERE tenant_id = wanted.id COLLATE "C" AND type = 'DEDUCT') u`,
    [tenantIds],
  );
  return Object.fromEntries(rows.map(({ tenantId, ...figures }) => [tenantId, figures]));
}

/** The sum of decimal amounts, with nine decimals. */
export function sumOf(amounts: readonly string[]): string {
  return decimal(amounts.reduce((sum, amount) => sum + parseAmount(amount), 0n));
}

function decimal(nano: bigint): string {
  return formatAmount(amountNano(nano));
}
