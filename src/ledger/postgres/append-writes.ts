/**
 * Owns: what one sealed batch writes: entries by COPY, accounts, holds, what is set aside, the seal and the cursor.
 * Invariants: the cursor is advanced by compare-and-set, last; when it is not where it was read, FENCED is thrown and the
 * database transaction must be rolled back.
 */
import type pg from 'pg';
import { invariant, TollbookError } from '../../runtime/errors.js';
import { faultPoint } from '../../runtime/fault-points.js';
import { copyIn } from '../../runtime/postgres-copy.js';
import type { Account } from '../account.js';
import type { BatchAppend, LedgerAppend, OpenHold, StampedEntries, TraceKey } from '../ledger-store.js';
import { formatAmount } from '../money.js';
import { type ColumnOf, columnArrays, TRACE_IDS, tracesByTenant } from './array-literal.js';
import { insertCommands } from './command-rows.js';
import { rowPieces } from './entry-rows.js';
import { ENTRY_COLUMNS } from './rows.js';
import { writeAside } from './set-aside-writes.js';

/** Writes sealed batches, their entries being written, in the database transaction of the client. Throws FENCED. */
export async function writeAppend(client: pg.ClientBase, append: LedgerAppend): Promise<void> {
  await updateAccounts(client, append);
  await openHolds(client, append);
  await closeHolds(client, append.holdsClosed);
  for (const batch of append.batches) {
    await writeAside(client, batch);
    await insertCommands(client, batch);
  }
  await sealBatches(client, append.batches);
}

const COPY_ENTRIES = `COPY ledger_entries (${ENTRY_COLUMNS.join(', ')}) FROM STDIN`;

/** Writes the entries of a batch by COPY, those at the front while the others are still being made. */
export async function copyEntries(client: pg.ClientBase, batches: readonly StampedEntries[]): Promise<void> {
  await copyIn(client, COPY_ENTRIES, rowPieces(batches));
  await faultPoint('ledger.entries-written');
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
  (account) => account.pastCounts,
  (account) => account.holdPolicy,
  (account) => account.seq,
];

/** Batches that are written together were sealed at one time. */
async function updateAccounts(client: pg.ClientBase, { accounts, batches }: LedgerAppend): Promise<void> {
  if (accounts.length === 0) return;
  await client.query({
    name: 'update-accounts',
    text: `UPDATE accounts a SET balance = n.balance, held = n.held, credit_limit = n.credit_limit,
       daily_quota = n.daily_quota, daily_used = n.daily_used, daily_date = n.daily_date,
       monthly_quota = n.monthly_quota, monthly_used = n.monthly_used, monthly_month = n.monthly_month,
       past_counts = n.past_counts, hold_policy = n.hold_policy, seq = n.seq, last_recorded_at = $14
     FROM unnest($1::text[], $2::numeric[], $3::numeric[], $4::numeric[], $5::bigint[], $6::bigint[], $7::date[],
       $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::hold_policy[], $13::bigint[])
       AS n(tenant_id, balance, held, credit_limit, daily_quota, daily_used, daily_date, monthly_quota, monthly_used,
         monthly_month, past_counts, hold_policy, seq)
     WHERE a.tenant_id = n.tenant_id COLLATE "C"`,
    values: [...columnArrays(accounts, ACCOUNT_COLUMNS), batches[0]?.batch.sealedAt],
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

/**
 * The rows are found first, tenant by tenant, and deleted by their place: no plan can go through all holds instead. A hold is
 * never updated, and closed only under the lock of its account, so that in between nobody else can come to its place.
 */
export const CLOSE_HOLDS = `
  DELETE FROM open_holds WHERE ctid = ANY (ARRAY (
    SELECT found.ctid FROM unnest($1::text[], $2::text[]) AS closed(tenant_id, traces)
    CROSS JOIN LATERAL (
      SELECT ctid FROM open_holds WHERE tenant_id = closed.tenant_id COLLATE "C" AND trace_id = ANY (${TRACE_IDS})
      OFFSET 0) AS found))`;

async function closeHolds(client: pg.ClientBase, closed: readonly TraceKey[]): Promise<void> {
  if (closed.length === 0) return;
  await client.query({ name: 'close-holds', text: CLOSE_HOLDS, values: [...tracesByTenant(closed).values] });
}

const BATCH_COLUMNS: readonly ColumnOf<BatchAppend>[] = [
  ({ batch }) => batch.source.topic,
  ({ batch }) => batch.source.partition,
  ({ batch }) => batch.batchNo,
  ({ batch }) => batch.batchId,
  ({ batch }) => batch.firstOffset.toString(),
  ({ batch }) => batch.nextOffset.toString(),
  ({ batch }) => batch.counts.charged,
  ({ batch }) => batch.counts.openings,
  ({ batch }) => batch.counts.duplicates,
  ({ batch }) => batch.counts.superseded,
  ({ batch }) => batch.counts.skipped,
  ({ batch }) => batch.counts.unpriced,
  ({ batch }) => batch.counts.deadLetters,
  ({ batch }) => byteaOf(batch.merkleRoot),
  ({ batch }) => byteaOf(batch.asideRoot),
  ({ batch }) => byteaOf(batch.hash),
  ({ batch }) => batch.sealedAt,
  ({ batch }) => byteaOf(batch.prevHash),
  ({ cursorBefore }) => cursorBefore.batchNo,
  ({ cursorBefore }) => cursorBefore.nextOffset.toString(),
  ({ log }) => log?.topicId ?? null,
  ({ log }) => log?.lastRecord?.position.toString() ?? null,
  ({ log }) => (log?.lastRecord ? byteaOf(log.lastRecord.digest) : null),
];

function byteaOf(value: Buffer): string {
  return `\\x${value.toString('hex')}`;
}

/** Seals batches and advances their cursors by compare-and-set: the fence. */
async function sealBatches(client: pg.ClientBase, batches: readonly BatchAppend[]): Promise<void> {
  const { rows } = await client.query<{ topic: string; partition: number }>({
    name: 'seal-batches',
    text: `WITH sealed AS (
       SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::int[],
         $8::int[], $9::int[], $10::int[], $11::int[], $12::int[], $13::int[], $14::bytea[], $15::bytea[],
         $16::bytea[], $17::timestamptz[], $18::bytea[], $19::bigint[], $20::bigint[], $21::text[], $22::bigint[],
         $23::bytea[])
         AS s(topic, partition, batch_no, batch_id, first_offset, next_offset, charged, openings, duplicates, superseded,
           skipped, unpriced, dead_letters, merkle_root, aside_root, hash, sealed_at, prev_hash, batch_no_before,
           next_offset_before, topic_id, last_position, last_digest)),
     advanced AS (
       UPDATE stream_cursors c SET next_offset = s.next_offset, batch_no = s.batch_no, head = s.hash,
         topic_id = coalesce(s.topic_id, c.topic_id), last_position = coalesce(s.last_position, c.last_position),
         last_digest = coalesce(s.last_digest, c.last_digest)
       FROM sealed s
       WHERE c.topic = s.topic COLLATE "C" AND c.partition = s.partition AND c.next_offset = s.next_offset_before
         AND c.batch_no = s.batch_no_before
       RETURNING c.topic, c.partition)
     INSERT INTO ledger_batches (topic, partition, batch_no, batch_id, first_offset, next_offset, charged, openings,
       duplicates, superseded, skipped, unpriced, dead_letters, merkle_root, aside_root, hash, sealed_at, prev_hash)
     SELECT s.topic, s.partition, s.batch_no, s.batch_id, s.first_offset, s.next_offset, s.charged, s.openings,
       s.duplicates, s.superseded, s.skipped, s.unpriced, s.dead_letters, s.merkle_root, s.aside_root, s.hash, s.sealed_at,
       s.prev_hash
     FROM sealed s JOIN advanced a ON a.topic = s.topic COLLATE "C" AND a.partition = s.partition
     RETURNING topic, partition`,
    values: columnArrays(batches, BATCH_COLUMNS),
  });
  if (rows.length === batches.length) return;
  const lost = batches.find(
    ({ batch: { source } }) =>
      !rows.some(({ topic, partition }) => topic === source.topic && partition === source.partition),
  );
  invariant(lost !== undefined, 'of batches that are not all sealed, one is missing');
  const { source, nextOffset } = lost.cursorBefore;
  throw new TollbookError('FENCED', `another writer advanced ${source.topic}/${source.partition} past ${nextOffset}`, {
    context: { topic: source.topic, partition: source.partition, nextOffset },
  });
}
