/** Owns: what holds for every tenant once nothing is running and everything is projected. */
import { expect } from 'chai';
import { formatAmount } from '../../src/ledger/money.js';
import { quotaHashOf } from '../../src/projections/quota-hash-of.js';
import { encodeQuotaHash, QUOTA_FIELDS } from '../../src/lua/quota-codec.js';
import type { ProtocolWorld } from './protocol-world.js';

/** Projects the tenants until none is left behind, then compares ledger, accounts and Redis. */
export async function expectAtRest(world: ProtocolWorld, tenantIds: readonly string[]): Promise<void> {
  for (let open = tenantIds; open.length > 0;) open = (await world.project(open)).again;
  for (const tenantId of tenantIds) await expectTenantAtRest(world, tenantId);
}

async function expectTenantAtRest(world: ProtocolWorld, tenantId: string): Promise<void> {
  const account = await world.account(tenantId);
  if (account === undefined) {
    expect(await world.hash(tenantId), `${tenantId} has no account, so no hash`).to.deep.equal({});
    return;
  }
  const values = encodeQuotaHash(quotaHashOf(account));
  const expected = Object.fromEntries(QUOTA_FIELDS.map((field, index) => [field, values[index]]));
  expect(await world.hash(tenantId), `the hash of ${tenantId}`).to.deep.equal(expected);
  expect(await world.inFlight(tenantId), `in flight for ${tenantId}`).to.deep.equal([]);
  const [sums] = await world.rows<Record<'effects' | 'holds' | 'entries' | 'last', string>>(
    `SELECT (SELECT coalesce(sum(CASE WHEN type = 'DEDUCT' THEN -amount ELSE amount END)
               FILTER (WHERE status = 'COMMITTED' AND type <> 'LIMITS'), 0)::numeric(28,9)
             FROM ledger_entries WHERE tenant_id = $1) AS effects,
       (SELECT coalesce(sum(amount), 0)::numeric(28,9) FROM open_holds WHERE tenant_id = $1) AS holds,
       (SELECT count(*) FROM ledger_entries WHERE tenant_id = $1) AS entries,
       (SELECT max(seq) FROM ledger_entries WHERE tenant_id = $1) AS last`,
    [tenantId],
  );
  expect(sums, `the sums of ${tenantId}`).to.deep.equal({
    effects: formatAmount(account.balanceNano),
    holds: formatAmount(account.heldNano),
    entries: String(account.seq),
    last: String(account.seq),
  });
}
