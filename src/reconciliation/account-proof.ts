/**
 * Owns: the proof that the accounts are the fold of their entries, and that what is held is the sum of the open holds.
 * Invariants: reads only; memory is bounded by a page of entries; entries are read by tenant and seq, so that a gap, a
 * broken balance or a row out of place shows at the first entry that does not follow.
 */
import type pg from 'pg';
import { type Account, emptyAccount, evolve, termsOf } from '../ledger/account.js';
import { balanceEffect, type LedgerEntry } from '../ledger/entry.js';
import { dayOf } from '../ledger/trace.js';
import { formatAmount, type AmountNano } from '../ledger/money.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { pageEntries } from '../ledger/postgres/proof-rows.js';
import { isTollbookError } from '../runtime/errors.js';
import { translatePostgresError } from '../runtime/postgres.js';

/** What the proof looked at, and what it found wrong. */
export interface AccountProof {
  readonly accounts: number;
  readonly entries: number;
  /** Sum of what the ledger charged: its COMMITTED deductions, as a decimal string. */
  readonly ledgerTotal: string;
  readonly problems: readonly string[];
}

const ENTRY_PAGE = 5_000;

/** Folds every entry and compares the result with the accounts. Throws POSTGRES_*. */
export async function proveAccounts(
  pool: pg.Pool,
  onEntries: (entries: number) => void = () => undefined,
): Promise<AccountProof> {
  const reader = new PostgresLedgerReader(pool);
  const problems: string[] = [];
  let [accounts, entries, totalNano] = [0, 0, 0n];
  let folded: Account | undefined;
  const close = async (account: Account): Promise<void> => {
    accounts += 1;
    const stored = (await reader.readAccounts([account.tenantId])).get(account.tenantId);
    problems.push(...differences(account, stored));
  };
  for (let after = { tenantId: '', seq: 0 }; ;) {
    const page = await pageEntries(pool, after, ENTRY_PAGE);
    for (const { entry } of page) {
      if (folded !== undefined && folded.tenantId !== entry.tenantId) await close(folded);
      folded = fold(folded, entry, problems);
      if (entry.type === 'DEDUCT' && entry.status === 'COMMITTED') totalNano += entry.amountNano;
    }
    entries += page.length;
    onEntries(page.length);
    const last = page[page.length - 1];
    if (last === undefined || page.length < ENTRY_PAGE) break;
    after = { tenantId: last.entry.tenantId, seq: last.entry.seq };
  }
  if (folded !== undefined) await close(folded);
  problems.push(...(await heldProblems(pool)), ...(await strayAccounts(pool)));
  return { accounts, entries, ledgerTotal: formatAmount(totalNano as AmountNano), problems };
}

/** Folds one entry; a broken one is reported and taken over as it stands, so that one fault gives one finding. */
function fold(before: Account | undefined, entry: LedgerEntry, problems: string[]): Account {
  const start = before?.tenantId === entry.tenantId ? before : opened(entry);
  const moved = entry.balanceAfterNano - entry.balanceBeforeNano;
  if (moved !== balanceEffect(entry)) {
    problems.push(
      `entry ${entry.tenantId}#${entry.seq} moves the balance by ${moved} nano, its amount says ${balanceEffect(entry)}`,
    );
  }
  try {
    return evolve(start, entry);
  } catch (error) {
    if (!isTollbookError(error, 'LEDGER_CORRUPT')) throw error;
    problems.push(error.message);
    const { balanceBeforeNano: balanceNano, heldBeforeNano: heldNano } = entry;
    return evolve({ ...start, balanceNano, heldNano, seq: entry.seq - 1 }, entry);
  }
}

/** The account before its first entry, which carries its terms. */
function opened(entry: LedgerEntry): Account {
  const terms = termsOf(
    entry.detail ?? {
      credit_limit: '0',
      daily_quota: 'unlimited',
      monthly_quota: 'unlimited',
      hold_policy: 'estimate',
    },
  );
  const { tenantId, currency } = entry;
  return emptyAccount({ tenantId, currency, day: dayOf(entry.occurredAt) }, terms);
}

function differences(folded: Account, stored: Account | undefined): string[] {
  if (stored === undefined) return [`account ${folded.tenantId} is missing`];
  return (Object.keys(folded) as (keyof Account)[])
    .filter((field) => folded[field] !== stored[field])
    .map(
      (field) =>
        `account ${folded.tenantId}: ${field} is ${String(stored[field])}, its entries say ${String(folded[field])}`,
    );
}

async function heldProblems(pool: pg.Pool): Promise<string[]> {
  const rows = await queryRows<{ tenant_id: string; held: string; open: string }>(
    pool,
    `SELECT a.tenant_id, a.held, coalesce(h.open, 0) AS open FROM accounts a
     LEFT JOIN (SELECT tenant_id, sum(amount) AS open FROM open_holds GROUP BY tenant_id) h ON h.tenant_id = a.tenant_id
     WHERE a.held <> coalesce(h.open, 0) ORDER BY a.tenant_id LIMIT 100`,
  );
  return rows.map((row) => `account ${row.tenant_id} holds ${row.held}, its open holds add up to ${row.open}`);
}

async function strayAccounts(pool: pg.Pool): Promise<string[]> {
  const rows = await queryRows<{ tenant_id: string }>(
    pool,
    `SELECT a.tenant_id FROM accounts a
     WHERE NOT EXISTS (SELECT FROM ledger_entries e WHERE e.tenant_id = a.tenant_id) ORDER BY a.tenant_id LIMIT 100`,
  );
  return rows.map((row) => `account ${row.tenant_id} has no entry`);
}

async function queryRows<R extends pg.QueryResultRow>(pool: pg.Pool, sql: string): Promise<R[]> {
  try {
    return (await pool.query<R>(sql)).rows;
  } catch (error) {
    throw translatePostgresError(error);
  }
}
