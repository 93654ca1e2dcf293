/**
 * Owns: what one sealed batch writes: entries by COPY, accounts, holds, what is set aside, the seal and the cursor.
 * Invariants: the cursor is advanced by compare-and-set, last; when it is not where it was read, FENCED is thrown and the
 * database transaction must be rolled back.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { TollbookError } from '../../runtime/errors.js';
import { faultPoint } from '../../runtime/fault-points.js';
import type { Account } from '../account.js';
import type { BatchStamp } from '../batch.js';
import type { HashedEntry } from '../entry.js';
import type { LedgerAppend, OpenHold, TraceKey } from '../ledger-store.js';
import { formatAmount } from '../money.js';
import { type ColumnOf, columnArrays, TRACE_KEY_COLUMNS } from './array-literal.js';
import { insertCommands } from './command-rows.js';
import { ENTRY_COLUMNS, entryRow, sealedFields } from './rows.js';
import { insertDeadLetters, insertSkipped, insertUnpriced } from './set-aside-writes.js';

/** Writes a sealed batch, its entries being written, in the database transaction of the client. Throws FENCED. */
export async function writeAppend(client: pg.ClientBase, append: LedgerAppend): Promise<void> {
  await updateAccounts(client, append.accounts);
  await openHolds(client, append);
  await closeHolds(client, append.holdsClosed);
  await insertDeadLetters(client, append);
  await insertSkipped(client, append);
  await insertUnpriced(client, append);
  await insertCommands(client, append);
  await sealBatch(client, append);
}

const COPY_ENTRIES = `COPY ledger_entries (${ENTRY_COLUMNS.join(', ')}) FROM STDIN`;

/** Characters of rows that are sent at once: enough to be worth a system call, few enough to keep the server at work. */
const ROWS_PIECE_LENGTH = 64 * 1024;

/** Writes the entries of a batch by COPY, those at the front while the others are still being made. */
export async function copyEntries(
  client: pg.ClientBase,
  entries: Iterable<HashedEntry>,
  stamp: BatchStamp,
): Promise<void> {
  await pipeline(Readable.from(rowPieces(entries, stamp)), client.query(copyFrom(COPY_ENTRIES)));
  await faultPoint('ledger.entries-written');
}

function* rowPieces(entries: Iterable<HashedEntry>, stamp: BatchStamp): Generator<Buffer, void> {
  const sealed = sealedFields(stamp);
  let rows = '';
  for (const entry of entries) {
    rows += entryRow(entry, sealed);
    if (rows.length < ROWS_PIECE_LENGTH) continue;
    yield Buffer.from(rows);
    rows = '';
  }
  if (rows !== '') yield Buffer.from(rows);
}

const ACCOUNT_COLUMNS: readonly ColumnOf<Account>[] = [
  (account) => account.tenantId,
  (account) => formatAmount(account.balanceNano),
  (account) => formatAmount(account.heldNano),
  (account) => formatAmount(account.creditLimitNano),
  (account) => account.dailyQuota,
  (account) => account.dailyUsed,
  (account) => account.dailyDate,
  (account) => account.monthlyQuota,
  (account) => account.monthlyUsed,
  (account) => account.monthlyMonth,
  (account) => account.holdPolicy,
  (account) => account.seq,
];

async function updateAccounts(client: pg.ClientBase, accounts: readonly Account[]): Promise<void> {
  if (accounts.length === 0) return;
  await client.query({
    name: 'update-accounts',
    text: `UPDATE accounts a SET balance = n.balance, held = n.held, credit_limit = n.credit_limit,
       daily_quota = n.daily_quota, daily_used = n.daily_used, daily_date = n.daily_date,
       monthly_quota = n.monthly_quota, monthly_used = n.monthly_used, monthly_month = n.monthly_month,
       hold_policy = n.hold_policy, seq = n.seq
     FROM unnest($1::text[], $2::numeric[], $3::numeric[], $4::numeric[], $5::bigint[], $6::bigint[], $7::date[],
       $8::bigint[], $9::bigint[], $10::text[], $11::hold_policy[], $12::bigint[])
       AS n(tenant_id, balance, held, credit_limit, daily_quota, daily_used, daily_date, monthly_quota, monthly_used,
         monthly_month, hold_policy, seq)
     WHERE a.tenant_id = n.tenant_id COLLATE "C"`,
    values: columnArrays(accounts, ACCOUNT_COLUMNS),
  });
}

const HOLD_COLUMNS: readonly ColumnOf<OpenHold>[] = [
  (hold) => hold.tenantId,
  (hold) => hold.traceId,
  (hold) => formatAmount(hold.amountNano),
  (hold) => hold.countedOn,
  (hold) => hold.expiresAt,
];

async function openHolds(client: pg.ClientBase, { holdsOpened }: LedgerAppend): Promise<void> {
  if (holdsOpened.length === 0) return;
  await client.query({
    name: 'open-holds',
    text: `INSERT INTO open_holds (tenant_id, trace_id, amount, counted_on, expires_at)
     SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::date[], $5::timestamptz[])`,
    values: columnArrays(holdsOpened, HOLD_COLUMNS),
  });
}

async function closeHolds(client: pg.ClientBase, closed: readonly TraceKey[]): Promise<void> {
  if (closed.length === 0) return;
  await client.query({
    name: 'close-holds',
    text: `DELETE FROM open_holds h USING unnest($1::text[], $2::text[]) AS closed(tenant_id, trace_id)
     WHERE h.tenant_id = closed.tenant_id COLLATE "C" AND h.trace_id = closed.trace_id COLLATE "C"`,
    values: columnArrays(closed, TRACE_KEY_COLUMNS),
  });
}

/** Seals the batch and advances the cursor by compare-and-set: the fence. */
async function sealBatch(client: pg.ClientBase, { batch, cursorBefore }: LedgerAppend): Promise<void> {
  const { source, counts } = batch;
  const { rowCount } = await client.query({
    name: 'seal-batch',
    text: `WITH advanced AS (
       UPDATE stream_cursors SET next_offset = $6, batch_no = $3, head = $15
       WHERE topic = $1 AND partition = $2 AND next_offset = $18 AND batch_no = $17
       RETURNING topic)
     INSERT INTO ledger_batches (topic, partition, batch_no, batch_id, first_offset, next_offset, charged, openings,
       duplicates, superseded, skipped, unpriced, dead_letters, merkle_root, hash, sealed_at, prev_hash)
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $19 FROM advanced`,
    values: [
      ...[source.topic, source.partition, batch.batchNo, batch.batchId, batch.firstOffset, batch.nextOffset],
      ...[counts.charged, counts.openings, counts.duplicates, counts.superseded, counts.skipped],
      ...[counts.unpriced, counts.deadLetters, batch.merkleRoot, batch.hash, batch.sealedAt],
      ...[cursorBefore.batchNo, cursorBefore.nextOffset, batch.prevHash],
    ],
  });
  if (rowCount === 1) return;
  throw new TollbookError(
    'FENCED',
    `another writer advanced ${source.topic}/${source.partition} past ${cursorBefore.nextOffset}`,
    {
      context: { topic: source.topic, partition: source.partition, nextOffset: cursorBefore.nextOffset },
    },
  );
}
