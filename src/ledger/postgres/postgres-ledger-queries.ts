/**
 * Owns: the port of what operators read, on PostgreSQL.
 * Does not own: pages (account-pages.ts, entry-pages.ts), past instants (point-in-time.ts), traces (trace-life.ts).
 * Invariants: one snapshot an answer; nothing is locked; every statement goes by an index.
 */
import type pg from 'pg';
import type {
  AccountAnswer,
  AccountListing,
  AccountPage,
  AccountView,
  EntryListing,
  EntryPage,
  LedgerQueries,
  OpenHolds,
  TraceLife,
} from '../ledger-queries.js';
import type { TraceKey } from '../ledger-store.js';
import { readAccountPage } from './account-pages.js';
import { readEntryPage } from './entry-pages.js';
import { readAccountAt } from './point-in-time.js';
import { readSnapshot } from './read-snapshot.js';
import { ACCOUNT_SELECT, type AccountRow, accountOf } from './rows.js';
import { readTraceLife } from './trace-life.js';

/** Reads the ledger through a pool of PostgreSQL connections. */
export class PostgresLedgerQueries implements LedgerQueries {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  readAccount(tenantId: string, at?: string): Promise<AccountAnswer> {
    return readSnapshot(this.#pool, (client) =>
      at === undefined ? readAccountNow(client, tenantId) : readAccountAt(client, tenantId, at),
    );
  }

  listAccounts(listing: AccountListing): Promise<AccountPage> {
    return readSnapshot(this.#pool, (client) => readAccountPage(client, listing));
  }

  listEntries(listing: EntryListing): Promise<EntryPage | undefined> {
    return readSnapshot(this.#pool, (client) => readEntryPage(client, listing));
  }

  readTrace(trace: TraceKey): Promise<TraceLife> {
    return readSnapshot(this.#pool, (client) => readTraceLife(client, trace));
  }
}

async function readAccountNow(client: pg.ClientBase, tenantId: string): Promise<AccountAnswer> {
  const { rows } = await client.query<AccountRow & { recorded_at: Date }>(
    `SELECT ${ACCOUNT_SELECT}, e.recorded_at FROM accounts a
     JOIN ledger_entries e ON e.tenant_id = a.tenant_id AND e.seq = a.seq WHERE a.tenant_id = $1`,
    [tenantId],
  );
  const [row] = rows;
  if (row === undefined) return { kind: 'unknown' };
  const view: AccountView = {
    account: accountOf(row),
    recordedAt: row.recorded_at.toISOString(),
    openHolds: await readOpenHolds(client, tenantId),
  };
  return { kind: 'found', view };
}

async function readOpenHolds(client: pg.ClientBase, tenantId: string): Promise<OpenHolds> {
  const { rows } = await client.query<{ count: string; oldest: Date | null }>(
    'SELECT count(*) AS count, min(expires_at) AS oldest FROM open_holds WHERE tenant_id = $1',
    [tenantId],
  );
  return { count: Number(rows[0]?.count ?? 0), oldestExpiresAt: rows[0]?.oldest?.toISOString() ?? null };
}
