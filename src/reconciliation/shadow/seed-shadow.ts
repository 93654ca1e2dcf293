/**
 * Owns: what a shadow begins with when the replay does not begin with the first batch: the ledger as it was just before.
 * Does not own: the replay from there on.
 * Invariants: the ledger is read in one snapshot and copied column by column, as far as both sides have them; accounts are
 * folded from the copied entries, never copied, since the live ones are of later; memory is bounded.
 */
import type pg from 'pg';
import type { Account } from '../../ledger/account.js';
import { pageFoldRows, putAccount } from '../../ledger/postgres/fold-rows.js';
import { readSnapshot } from '../../ledger/postgres/read-snapshot.js';
import { withTransaction } from '../../runtime/postgres.js';
import { copyIn, copyOut } from '../../runtime/postgres-copy.js';
import { TollbookError } from '../../runtime/errors.js';
import { type Fold, foldNext } from '../rebuild-accounts-fold.js';
import { COMPARED_TABLES, OPEN_HOLDS, type SharedColumns, sharedColumns } from './compared-tables.js';
import type { BothLedgers } from './compare-tables.js';

const FOLD_PAGE = 5_000;

/** Hears what is being taken over. */
export type SeedReport = (what: string) => void;

/** Copies what the batches before one have written. Throws POSTGRES_*, LEDGER_CORRUPT. */
export async function seedShadow({ live, shadow }: BothLedgers, first: number, report: SeedReport): Promise<void> {
  const columns = await sharedColumns(live, shadow);
  await inLongSnapshot(live, async (source) => {
    for (const { name } of COMPARED_TABLES) {
      report(name);
      await copyRows({ source, shadow }, { table: name, select: selectBefore(name, columns), first });
    }
    report(OPEN_HOLDS);
    await copyRows({ source, shadow }, { table: OPEN_HOLDS, select: HOLDS_BEFORE, first });
    await copyCursors({ source, shadow }, first);
  });
  report('accounts');
  await foldAccounts(shadow);
}

interface Selection {
  readonly columns: readonly string[];
  readonly sql: string;
}

/** Dead letters that a later batch redrove were open then. */
function selectBefore(table: string, columns: ReadonlyMap<string, SharedColumns>): Selection {
  const both = columns.get(table)?.both ?? [];
  const selected = both.map((column) =>
    column === 'redrive_state'
      ? `CASE WHEN EXISTS (SELECT FROM dead_letter_actions a WHERE a.topic = t.topic AND a.partition = t.partition
           AND a.kafka_offset = t.kafka_offset AND (a.batch_id IS NULL OR a.batch_id < $first)) THEN t.redrive_state ELSE 'open' END`
      : `t.${column}`,
  );
  return { columns: both, sql: `SELECT ${selected.join(', ')} FROM ${table} t WHERE t.batch_id < $first` };
}

/** The holds that were open then. When one was to expire is known while it is open, and of one that did. */
const HOLDS_BEFORE: Selection = {
  columns: ['tenant_id', 'trace_id', 'amount', 'counted_on', 'expires_at'],
  sql: `SELECT e.tenant_id, e.trace_id, e.held_after - e.held_before, e.counted_on,
      coalesce(h.expires_at, x.occurred_at, e.recorded_at)
    FROM ledger_entries e
    LEFT JOIN open_holds h ON h.tenant_id = e.tenant_id AND h.trace_id = e.trace_id
    LEFT JOIN ledger_entries x ON x.tenant_id = e.tenant_id AND x.trace_id = e.trace_id AND x.status = 'EXPIRED'
    WHERE e.status = 'PENDING' AND e.batch_id < $first
      AND NOT EXISTS (SELECT FROM ledger_entries l WHERE l.tenant_id = e.tenant_id AND l.trace_id = e.trace_id
        AND l.status <> 'PENDING' AND l.batch_id < $first)`,
};

interface CopyEnds {
  readonly source: pg.ClientBase;
  readonly shadow: pg.Pool;
}

/** Triggers that hold rows back which came about otherwise are off while they are copied. */
async function copyRows(
  { source, shadow }: CopyEnds,
  { table, select, first }: { readonly table: string; readonly select: Selection; readonly first: number },
): Promise<void> {
  await withTransaction(shadow, async (target) => {
    await target.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
    // COPY takes no parameters; a batch id is a whole number.
    const reading = copyOut(source, `COPY (${select.sql.replaceAll('$first', String(first))}) TO STDOUT`);
    await copyIn(target, `COPY ${table} (${select.columns.join(', ')}) FROM STDIN`, reading);
    await target.query(`ALTER TABLE ${table} ENABLE TRIGGER USER`);
  });
}

/** Every source stands where its last batch before ended. */
async function copyCursors({ source, shadow }: CopyEnds, first: number): Promise<void> {
  const { rows } = await source.query<{ cursor: object }>(
    `SELECT to_json(r) AS cursor FROM (
       SELECT c.topic, c.partition, b.next_offset, b.batch_no, b.hash AS head, c.cluster_id FROM stream_cursors c
       CROSS JOIN LATERAL (SELECT next_offset, batch_no, hash FROM ledger_batches
         WHERE topic = c.topic AND partition = c.partition AND batch_id < $1 ORDER BY batch_no DESC LIMIT 1) AS b) AS r`,
    [first],
  );
  await shadow.query(
    `INSERT INTO stream_cursors (topic, partition, next_offset, batch_no, head, cluster_id)
     SELECT * FROM json_to_recordset($1) AS r(topic text, partition integer, next_offset bigint, batch_no bigint, head bytea,
       cluster_id text)`,
    [JSON.stringify(rows.map(({ cursor }) => cursor))],
  );
}

/** Folds every tenant's entries into its account. */
async function foldAccounts(shadow: pg.Pool): Promise<void> {
  let open: Fold | undefined;
  for (let after = { tenantId: '', seq: 0 }; ;) {
    const rows = await pageFoldRows(shadow, { after, upTo: LAST_TENANT }, FOLD_PAGE);
    for (const row of rows) {
      if (row.tenantId !== after.tenantId) {
        await keepAccount(shadow, open);
        open = undefined;
      }
      open = foldNext(open, row);
      after = row;
    }
    if (rows.length < FOLD_PAGE) break;
  }
  await keepAccount(shadow, open);
}

/** Above every identifier: they hold nothing beyond ASCII. */
const LAST_TENANT = '\u{10FFFD}';

async function keepAccount(shadow: pg.Pool, fold: Fold | undefined): Promise<void> {
  if (fold === undefined) return;
  const { account } = foldedOrCorrupt(fold);
  await putAccount(shadow, account, true);
}

function foldedOrCorrupt(fold: Fold): { readonly account: Account } {
  if (fold.kind === 'account') return fold;
  throw new TollbookError(
    'LEDGER_CORRUPT',
    `${fold.problem}; a replay can only begin on a ledger that "tollbook verify" finds sound`,
  );
}

/** One snapshot, for as long as it takes; plans may scan whole tables, since whole tables are read. */
function inLongSnapshot(pool: pg.Pool, work: (client: pg.ClientBase) => Promise<void>): Promise<void> {
  return readSnapshot(pool, async (client) => {
    await client.query(
      'SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on',
    );
    await client.query('SET LOCAL idle_in_transaction_session_timeout = 0');
    await work(client);
  });
}
