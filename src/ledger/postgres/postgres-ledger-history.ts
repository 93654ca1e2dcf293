/**
 * Owns: the port of the past on PostgreSQL: accounts as they were at a seq, without reading the history before it.
 * How: balance and held are what the entry at that seq left. Terms and request windows are those of now, less what the
 * entries since then did. That is exact while none of them changed the terms or opened the newest day: the latter is
 * certain when none counts on it, or when an entry up to the seq does. Where it is not certain, the account is
 * read as at a past instant (point-in-time.ts): at the turn of a day, and after a change of limits.
 * Invariants: what belongs together is one statement, so one snapshot; an account at a seq never changes, so that what is
 * read after it fits. The cost grows with the distance between the seq and now, not with the ledger.
 */
import type pg from 'pg';
import { isTollbookError } from '../../runtime/errors.js';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { Account } from '../account.js';
import type { AccountAsked, AccountStanding, LastEntry, LedgerHistory } from '../ledger-history.js';
import { parseAmount } from '../money.js';
import { countRequests, type RequestWindows } from '../request-windows.js';
import { arrayLiteral } from './array-literal.js';
import { readAccountAtSeq } from './point-in-time.js';
import { readSnapshot } from './read-snapshot.js';
import { ACCOUNT_SELECT, type AccountRow, accountOf, safeInteger } from './rows.js';

interface NowRow extends AccountRow {
  readonly asked: string | null;
  readonly last_balance: string | null;
  readonly last_held: string | null;
  readonly last_recorded: Date | null;
}

interface PastRow extends NowRow {
  readonly then_balance: string | null;
  readonly then_held: string | null;
  readonly then_recorded: Date | null;
  readonly next_recorded: Date | null;
  readonly limits_since: boolean | null;
  /** The requests that the entries since then have counted, by day; null: none. */
  readonly counted_since: Readonly<Record<string, number>> | null;
  readonly is_day_certain: boolean;
}

/** Entries before the seq that are looked through for one that counts in the open window. */
const EVIDENCE_MAX = 100;
/** Entries after the seq that are added up; an account further back is read as at a past instant. */
const SINCE_MAX = 20_000;

const NOW_SELECT = `${ACCOUNT_SELECT}, wanted.seq AS asked, last.balance_after AS last_balance,
  last.held_after AS last_held, last.recorded_at AS last_recorded`;
const NOW_FROM = `unnest($1::text[], $2::bigint[]) AS wanted(tenant_id, seq)
JOIN accounts a ON a.tenant_id = wanted.tenant_id COLLATE "C"
LEFT JOIN ledger_entries last ON last.tenant_id = a.tenant_id AND last.seq = a.seq`;

/** For seqs before the last: `since` adds up what happened after; `evidence` tells whether the window of now was open then. */
const PAST = `
SELECT ${NOW_SELECT}, past.balance_after AS then_balance, past.held_after AS then_held, past.recorded_at AS then_recorded,
  next.recorded_at AS next_recorded, since.limits_since, since.counted_since,
  since.on_newest IS NOT TRUE OR evidence.found AS is_day_certain
FROM ${NOW_FROM}
LEFT JOIN ledger_entries past ON past.tenant_id = a.tenant_id AND past.seq = wanted.seq
LEFT JOIN ledger_entries next ON next.tenant_id = a.tenant_id AND next.seq = wanted.seq + 1
CROSS JOIN LATERAL (
  SELECT bool_or(by_day.limits) AS limits_since, bool_or(by_day.day = a.daily_date) AS on_newest,
    jsonb_object_agg(by_day.day, by_day.requests) FILTER (WHERE by_day.day IS NOT NULL) AS counted_since
  FROM (
    SELECT e.counted_on AS day, sum(e.requests) AS requests, bool_or(e.type = 'LIMITS') AS limits FROM ledger_entries e
    WHERE e.tenant_id = a.tenant_id AND e.seq > wanted.seq AND e.seq <= a.seq AND a.seq - wanted.seq <= ${SINCE_MAX}
    GROUP BY e.counted_on) AS by_day
) AS since
CROSS JOIN LATERAL (
  SELECT EXISTS (
    SELECT FROM (
      SELECT e.counted_on FROM ledger_entries e
      WHERE e.tenant_id = a.tenant_id AND e.seq <= wanted.seq AND since.on_newest
      ORDER BY e.seq DESC LIMIT ${EVIDENCE_MAX}) AS recent
    WHERE recent.counted_on = a.daily_date) AS found
) AS evidence`;

/** Reads the past through a pool of PostgreSQL connections. */
export class PostgresLedgerHistory implements LedgerHistory {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async readStandings(asked: readonly AccountAsked[]): Promise<ReadonlyMap<string, AccountStanding>> {
    const standings = new Map<string, AccountStanding>();
    const behind: AccountAsked[] = [];
    for (const row of await this.#rows<NowRow>(`SELECT ${NOW_SELECT} FROM ${NOW_FROM}`, parametersOf(asked))) {
      const standing = standingNow(row);
      const { tenantId, seq } = standing.account;
      const askedSeq = row.asked === null ? seq : safeInteger(row.asked);
      standings.set(tenantId, standing);
      if (askedSeq < seq) behind.push({ tenantId, seq: askedSeq });
    }
    if (behind.length === 0) return standings;
    const past = await this.#rows<PastRow>(PAST, parametersOf(behind));
    for (const row of past) standings.set(row.tenant_id, await this.#standingPast(row));
    return standings;
  }

  async countLedger(afterTenantId = ''): Promise<{ accounts: number; entries: number }> {
    const rows = await this.#rows<{ accounts: string; entries: string | null }>(
      'SELECT count(*) AS accounts, sum(seq) AS entries FROM accounts WHERE tenant_id > $1',
      [afterTenantId],
    );
    return { accounts: safeInteger(rows[0]?.accounts ?? '0'), entries: safeInteger(rows[0]?.entries ?? '0') };
  }

  async sampleTenants(count: number): Promise<readonly string[]> {
    const rows = await this.#rows<{ tenant_id: string }>('SELECT tenant_id FROM accounts ORDER BY random() LIMIT $1', [
      count,
    ]);
    return rows.map((row) => row.tenant_id);
  }

  async #standingPast(row: PastRow): Promise<AccountStanding> {
    const account = accountOf(row);
    const seq = safeInteger(row.asked ?? '');
    return {
      ...{ account, lastEntry: lastEntryOf(row) },
      ...(await this.#past(account, seq, row)),
      recordedAt: row.then_recorded?.toISOString() ?? null,
      nextRecordedAt: row.next_recorded?.toISOString() ?? null,
    };
  }

  async #past(account: Account, seq: number, row: PastRow): Promise<Pick<AccountStanding, 'then' | 'corrupt'>> {
    try {
      return { then: rewound(account, seq, row) ?? (await this.#readAt(account.tenantId, seq)), corrupt: null };
    } catch (error) {
      if (isTollbookError(error, 'LEDGER_CORRUPT')) return { then: null, corrupt: error.message };
      throw error;
    }
  }

  #readAt(tenantId: string, seq: number): Promise<Account> {
    return readSnapshot(this.#pool, (client) => readAccountAtSeq(client, tenantId, seq));
  }

  async #rows<R extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<R[]> {
    try {
      return (await this.#pool.query<R>(sql, values)).rows;
    } catch (error) {
      throw translatePostgresError(error);
    }
  }
}

function parametersOf(asked: readonly AccountAsked[]): string[] {
  return [arrayLiteral(asked.map(({ tenantId }) => tenantId)), arrayLiteral(asked.map(({ seq }) => seq))];
}

/** Of a seq that is the last one, or that the ledger has not come to. */
function standingNow(row: NowRow): AccountStanding {
  const account = accountOf(row);
  const lastEntry = lastEntryOf(row);
  const isLast = row.asked !== null && safeInteger(row.asked) === account.seq;
  return {
    ...{ account, lastEntry, corrupt: null, nextRecordedAt: null },
    then: isLast ? account : null,
    recordedAt: isLast ? (lastEntry?.recordedAt ?? null) : null,
  };
}

function lastEntryOf({ last_balance, last_held, last_recorded }: NowRow): LastEntry | null {
  if (last_balance === null || last_held === null || last_recorded === null) return null;
  return {
    balanceNano: parseAmount(last_balance),
    heldNano: parseAmount(last_held),
    recordedAt: last_recorded.toISOString(),
  };
}

/** The account of now less what has happened since the seq; undefined where that is not certain. */
function rewound(account: Account, seq: number, row: PastRow): Account | undefined {
  const isCertain = row.is_day_certain && row.limits_since !== true && account.seq - seq <= SINCE_MAX;
  if (row.then_balance === null || row.then_held === null || !isCertain) return undefined;
  return {
    ...account,
    ...windowsBefore(account, row.counted_since ?? {}),
    balanceNano: parseAmount(row.then_balance),
    heldNano: parseAmount(row.then_held),
    seq,
  };
}

/** The windows before requests were counted in them; none of these opened the newest day. */
function windowsBefore(now: RequestWindows, counted: Readonly<Record<string, number>>): RequestWindows {
  return Object.entries(counted).reduce((windows, [day, requests]) => countRequests(windows, day, -requests), now);
}
