/**
 * Owns: what the journal of commands reads and writes in PostgreSQL: how far it is, and the commands after that.
 * Does not own: the journal itself (src/command-journal).
 * Invariants:
 * - Commands are read in the order of their chain, which is the order they were committed in; none is passed over.
 * - A position moves only under its lock, so that two processes never publish the same commands at the same time.
 */
import type pg from 'pg';
import { withTransaction } from '../../runtime/postgres.js';
import type { CommandContent } from '../commands/command-content.js';
import { COMMAND_TOPIC } from '../commands/command-stream.js';
import type { CommandKind } from '../commands/command.js';
import type { ReadRows } from './anchor-rows.js';
import { safeInteger } from './rows.js';

/** A journal: the name of its topic, and the id that Kafka gave it, where it gives one. */
export interface Journal {
  readonly topic: string;
  readonly topicId: string | null;
}

/** A command stream with batches that are not in the journal. */
export interface StreamBehind {
  readonly partition: number;
  /** The last batch of the stream. */
  readonly headNo: number;
}

/** A booked command with its batch, and what is needed to book it again. */
export interface JournalRow {
  readonly tenantId: string;
  readonly key: string;
  readonly kind: CommandKind;
  readonly actor: string;
  readonly content: CommandContent;
  readonly seq: number;
  readonly bookedAt: string;
  readonly batchNo: number;
  /** As 64 hexadecimal digits. */
  readonly hash: string;
  /** The trace of the entry that it refers to. */
  readonly referenceTraceId: string | null;
  /** The terms of the account, where this command opened it. */
  readonly openedWith: Readonly<Record<string, string>> | null;
}

/** How much is committed and not in the journal. */
export interface JournalLag {
  readonly commands: number;
  /** Age of the oldest in seconds, by the clock of the database; 0 without one. */
  readonly oldestS: number;
}

/** The command streams that go beyond what is in a journal; all of them where its topic was made anew. Throws POSTGRES_*. */
export async function readStreamsBehind(rowsOf: ReadRows, { topic, topicId }: Journal): Promise<StreamBehind[]> {
  const rows = await rowsOf<{ partition: number; batch_no: string }>(
    `SELECT c.partition, c.batch_no FROM stream_cursors c
     LEFT JOIN journal_positions p ON p.journal = $1 COLLATE "C" AND p.partition = c.partition
     WHERE c.topic = $2 COLLATE "C" AND c.batch_no > 0
       AND (c.batch_no > coalesce(p.batch_no, 0) OR p.topic_id IS DISTINCT FROM coalesce($3, p.topic_id))
     ORDER BY c.partition`,
    [topic, COMMAND_TOPIC, topicId],
  );
  return rows.map(({ partition, batch_no: headNo }) => ({ partition, headNo: safeInteger(headNo) }));
}

/**
 * Moves the position of a stream in a journal under its lock, by what `publish` returns; it begins anew where the topic was
 * made anew. Returns false, and calls nothing, while another process has the lock. Atomic: what `publish` throws leaves the position as it was. Throws POSTGRES_*.
 */
export async function movePosition(
  pool: pg.Pool,
  { topic: journal, topicId, partition }: Journal & { readonly partition: number },
  publish: (client: pg.PoolClient, afterBatchNo: number) => Promise<number>,
): Promise<boolean> {
  // By itself: whoever inserts the same row waits for the end of that database transaction.
  await pool.query('INSERT INTO journal_positions (journal, partition) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    journal,
    partition,
  ]);
  return withTransaction(pool, async (client) => {
    const { rows } = await client.query<{ batch_no: string; topic_id: string | null }>(
      'SELECT batch_no, topic_id FROM journal_positions WHERE journal = $1 AND partition = $2 FOR UPDATE SKIP LOCKED',
      [journal, partition],
    );
    const [row] = rows;
    if (row === undefined) return false;
    const isSameTopic = topicId === null || row.topic_id === topicId;
    const batchNo = await publish(client, isSameTopic ? safeInteger(row.batch_no) : 0);
    await client.query(
      `UPDATE journal_positions SET batch_no = $3, topic_id = coalesce($4, topic_id)
       WHERE journal = $1 AND partition = $2`,
      [journal, partition, batchNo, topicId],
    );
    return true;
  });
}

/** Reads the commands of some batches of a command stream, in their order. Throws POSTGRES_*. */
export async function readJournalRows(
  client: pg.ClientBase,
  { partition, after, through }: { readonly partition: number; readonly after: number; readonly through: number },
): Promise<JournalRow[]> {
  const { rows } = await client.query<{
    tenant_id: string;
    key: string;
    kind: CommandKind;
    actor: string;
    content: CommandContent;
    seq: string;
    recorded_at: Date;
    batch_no: string;
    hash: Buffer;
    reference_trace: string | null;
    opened_with: Readonly<Record<string, string>> | null;
  }>(
    `SELECT c.tenant_id, c.key, c.kind, c.actor, c.content, c.seq, c.recorded_at, b.batch_no, b.hash,
       r.trace_id AS reference_trace, o.detail AS opened_with
     FROM ledger_batches b
     JOIN ledger_commands c ON c.batch_id = b.batch_id
     JOIN ledger_entries e ON e.tenant_id = c.tenant_id AND e.seq = c.seq
     LEFT JOIN ledger_entries r ON r.tenant_id = e.tenant_id AND r.seq = e.reference_seq
     LEFT JOIN ledger_entries o ON o.tenant_id = e.tenant_id AND o.seq = 1 AND o.batch_id = b.batch_id
     WHERE b.topic = $1 COLLATE "C" AND b.partition = $2 AND b.batch_no > $3 AND b.batch_no <= $4
     ORDER BY b.batch_no, c.seq`,
    [COMMAND_TOPIC, partition, after, through],
  );
  return rows.map((row) => ({
    ...{ tenantId: row.tenant_id, key: row.key, kind: row.kind, actor: row.actor, content: row.content },
    ...{ seq: safeInteger(row.seq), bookedAt: row.recorded_at.toISOString() },
    ...{ batchNo: safeInteger(row.batch_no), hash: row.hash.toString('hex') },
    ...{ referenceTraceId: row.reference_trace, openedWith: row.opened_with },
  }));
}

/** How much is committed and not in a journal yet. Throws POSTGRES_*. */
export async function readJournalLag(rowsOf: ReadRows, journal: string): Promise<JournalLag> {
  const [row] = await rowsOf<{ commands: string; oldest_s: number | null }>(
    `SELECT count(*) AS commands, extract(epoch FROM now() - min(k.recorded_at))::double precision AS oldest_s
     FROM stream_cursors c
     LEFT JOIN journal_positions p ON p.journal = $1 COLLATE "C" AND p.partition = c.partition
     JOIN ledger_batches b ON b.topic = c.topic AND b.partition = c.partition AND b.batch_no > coalesce(p.batch_no, 0)
     JOIN ledger_commands k ON k.batch_id = b.batch_id
     WHERE c.topic = $2 COLLATE "C"`,
    [journal, COMMAND_TOPIC],
  );
  return { commands: safeInteger(row?.commands ?? '0'), oldestS: Math.max(0, row?.oldest_s ?? 0) };
}

/** A command that the ledger has under the key of another, to be compared with it. */
export interface KnownCommand {
  readonly kind: CommandKind;
  readonly actor: string;
  readonly content: CommandContent;
  readonly seq: number;
}

/** What the ledger has under each of the keys, in their order; undefined where a key is free. Throws POSTGRES_*. */
export async function readKnownCommands(
  rowsOf: ReadRows,
  keys: readonly { readonly tenantId: string; readonly key: string }[],
): Promise<(KnownCommand | undefined)[]> {
  const rows = await rowsOf<Omit<KnownCommand, 'seq'> & { at: string; seq: string }>(
    `SELECT w.at, c.kind, c.actor, c.content, c.seq
     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(tenant_id, key, at)
     JOIN ledger_commands c ON c.tenant_id = w.tenant_id COLLATE "C" AND c.key = w.key COLLATE "C"`,
    [keys.map(({ tenantId }) => tenantId), keys.map(({ key }) => key)],
  );
  const known = new Map(rows.map(({ at, seq, ...row }) => [Number(at), { ...row, seq: safeInteger(seq) }]));
  return keys.map((_, index) => known.get(index + 1));
}
