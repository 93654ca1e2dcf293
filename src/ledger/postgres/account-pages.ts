/**
 * Owns: pages of accounts by tenant id, all of them or those that are running out.
 * Invariants: a page looks at no more than ACCOUNTS_SCANNED_MAX accounts, however few of them it shows.
 */
import type pg from 'pg';
import type { AccountListing, AccountPage } from '../ledger-queries.js';
import { formatAmount } from '../money.js';
import { ACCOUNT_SELECT, type AccountRow, accountOf } from './rows.js';

const ACCOUNTS_SCANNED_MAX = 10_000;

/** Reads a page. */
export async function readAccountPage(client: pg.ClientBase, listing: AccountListing): Promise<AccountPage> {
  const { afterTenantId, availableBelowNano, limit } = listing;
  const { end, isLast } = await scanEnd(client, {
    afterTenantId,
    limit: availableBelowNano === undefined ? limit + 1 : ACCOUNTS_SCANNED_MAX,
  });
  if (end === null) return { accounts: [], next: null };
  const below = availableBelowNano === undefined ? null : formatAmount(availableBelowNano);
  const { rows } = await client.query<AccountRow>(
    `SELECT ${ACCOUNT_SELECT} FROM accounts a WHERE a.tenant_id > $1 AND a.tenant_id <= $2
       AND ($3::numeric IS NULL OR a.balance + a.credit_limit - a.held < $3)
     ORDER BY a.tenant_id LIMIT $4`,
    [afterTenantId, end, below, limit],
  );
  const accounts = rows.map(accountOf);
  const reached = accounts.length === limit ? (accounts[limit - 1]?.tenantId ?? end) : end;
  return { accounts, next: isLast && reached === end ? null : reached };
}

/** The last tenant id that a page looks at, null when there is none; and whether it is the very last of all. */
async function scanEnd(
  client: pg.ClientBase,
  { afterTenantId, limit }: { afterTenantId: string; limit: number },
): Promise<{ end: string | null; isLast: boolean }> {
  const { rows } = await client.query<{ tenant_end: string | null; scanned: string }>(
    `SELECT max(tenant_id) AS tenant_end, count(*) AS scanned
     FROM (SELECT tenant_id FROM accounts WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2) AS scanned`,
    [afterTenantId, limit],
  );
  return { end: rows[0]?.tenant_end ?? null, isLast: Number(rows[0]?.scanned) < limit };
}
