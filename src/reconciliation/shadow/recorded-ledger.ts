/**
 * Owns: reading from the live ledger what a replay takes from it: which batches there are, and what each of them records
 * about whatever no topic can tell again (Redis's refusals, commands, redrives, losses, the time of decoding).
 * Does not own: what is made of it.
 * Invariants: reads only, and nothing but what is committed for good; memory is bounded by a page of batches or by one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { EVENT_FUTURE_MAX_MS } from '../../consumers/intake.js';
import { type AccountTerms, termsOf } from '../../ledger/account.js';
import type { StreamSource } from '../../ledger/batch.js';
import { OPENING_TRACE_ID } from '../../ledger/charge.js';
import { COMMAND_TOPIC } from '../../ledger/commands/command-stream.js';
import type { CommandContent } from '../../ledger/commands/command-content.js';
import type { CommandKind } from '../../ledger/commands/command.js';
import { ENTRY_SELECT, type EntryRow, type StoredEntry, storedEntryOf } from '../../ledger/postgres/proof-rows.js';
import { safeInteger } from '../../ledger/postgres/rows.js';
import { type Clock, systemClock } from '../../runtime/clock.js';
import { TollbookError } from '../../runtime/errors.js';
import { type BatchSeal, rowsOf } from '../reconcile/ledger-batches.js';
import type { CommandRow } from '../../ledger/commands/recorded-command.js';

/** The batches of a replay: all with an id from `first` to `through`. */
export interface RecordedSpan {
  readonly first: number;
  readonly through: number;
  readonly batches: number;
  /** Messages, commands and expired holds in them. */
  readonly messages: number;
  /** About how many rows they have written. */
  readonly rows: number;
}

/** A redriven dead letter, in the order of its redrive. */
export interface RecordedRedrive {
  readonly position: StreamSource & { readonly kafkaOffset: bigint };
  readonly actor: string;
  readonly reason: string | null;
  readonly amendedValue: Buffer | null;
}

/** A loss that an operator accepted. */
export interface RecordedGap {
  readonly toOffset: bigint;
  readonly actor: string;
  readonly reason: string;
}

const FREEZE_POLL_MS = 20;
const FREEZE_WAIT_MAX_MS = 60_000;

/**
 * Freezes the span from a batch on: everything that is committed now. A batch id may be drawn before that of a batch that
 * is committed first, so whatever was under way when the last id was read is waited for; ids beyond it are left out.
 * Throws POSTGRES_CONFLICT when a database transaction goes on for a minute, POSTGRES_*.
 */
export async function freezeSpan(
  pool: pg.Pool,
  { first, through }: { readonly first: number; readonly through: number | undefined },
  clock: Clock = systemClock,
): Promise<RecordedSpan> {
  const [frozen] = await rowsOf<{ last: string | null; until: string }>(
    pool,
    'SELECT max(batch_id) AS last, pg_snapshot_xmax(pg_current_snapshot())::text AS until FROM ledger_batches',
  );
  const deadlineMs = clock.nowMs() + FREEZE_WAIT_MAX_MS;
  while (!(await isOver(pool, frozen?.until ?? '0'))) {
    if (clock.nowMs() > deadlineMs) {
      throw new TollbookError(
        'POSTGRES_CONFLICT',
        'a database transaction has been under way for a minute; end it first',
      );
    }
    await delay(FREEZE_POLL_MS);
  }
  const last = safeInteger(frozen?.last ?? '0');
  return countSpan(pool, { first, through: through === undefined ? last : Math.min(through, last) });
}

async function isOver(pool: pg.Pool, until: string): Promise<boolean> {
  const [row] = await rowsOf<{ over: boolean }>(
    pool,
    'SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 AS over',
    [until],
  );
  return row?.over === true;
}

async function countSpan(
  pool: pg.Pool,
  { first, through }: { readonly first: number; readonly through: number },
): Promise<RecordedSpan> {
  const [row] = await rowsOf<{ batches: string; messages: string; rows: string }>(
    pool,
    `SELECT count(*) AS batches,
       coalesce(sum(charged + duplicates + superseded + skipped + unpriced + dead_letters), 0) AS messages,
       coalesce(sum(charged + openings + skipped + unpriced + dead_letters + 1), 0)
         + coalesce(sum(charged) FILTER (WHERE topic = $3), 0) AS rows
     FROM ledger_batches WHERE batch_id BETWEEN $1 AND $2`,
    [first, through, COMMAND_TOPIC],
  );
  const countOf = (text: string | undefined): number => safeInteger(text ?? '0');
  const [batches, messages, rows] = [countOf(row?.batches), countOf(row?.messages), countOf(row?.rows)];
  return { first, through, batches, messages, rows };
}

/** Those batches of a range of ids that refused something. Throws POSTGRES_*. */
export async function refusingBatches(
  pool: pg.Pool,
  { first, through }: { readonly first: number; readonly through: number },
): Promise<ReadonlySet<number>> {
  const rows = await rowsOf<{ batch_id: string }>(
    pool,
    `SELECT DISTINCT batch_id FROM ledger_entries
     WHERE batch_id BETWEEN $1 AND $2 AND status IN ('REFUSED', 'FAILED')`,
    [first, through],
  );
  return new Set(rows.map(({ batch_id: id }) => safeInteger(id)));
}

/** The entries of a batch, in the order of its tree. Throws POSTGRES_*. */
export async function entriesOfBatch(pool: pg.Pool, batchId: number): Promise<StoredEntry[]> {
  const rows = await rowsOf<EntryRow>(
    pool,
    `SELECT ${ENTRY_SELECT} FROM ledger_entries e WHERE e.batch_id = $1 ORDER BY e.source_offset, e.tenant_id, e.seq`,
    [batchId],
  );
  return rows.map(storedEntryOf);
}

/** Under which settings accounts were opened: currency, and the terms of those that named none. */
export interface RecordedDefaults {
  readonly currency: string;
  readonly terms: AccountTerms;
}

/** The settings that the openings of a batch record; undefined when it has opened none. Throws POSTGRES_*, LEDGER_CORRUPT. */
export async function defaultsOf(pool: pg.Pool, batch: BatchSeal): Promise<RecordedDefaults | undefined> {
  const [row] = await rowsOf<{ currency: string; detail: Readonly<Record<string, string>> }>(
    pool,
    'SELECT currency, detail FROM ledger_entries WHERE batch_id = $1 AND trace_id = $2 LIMIT 1',
    [batch.batchId, OPENING_TRACE_ID],
  );
  return row === undefined ? undefined : { currency: row.currency, terms: termsOf(row.detail) };
}

interface CommandColumns {
  readonly tenant_id: string;
  readonly key: string;
  readonly kind: CommandKind;
  readonly actor: string;
  readonly content: CommandContent;
}

/** The command that became one of some entries; undefined when none of them is a command's. Throws POSTGRES_*. */
export async function commandOf(pool: pg.Pool, entries: readonly StoredEntry[]): Promise<CommandRow | undefined> {
  const [row] = await rowsOf<CommandColumns>(
    pool,
    `SELECT c.tenant_id, c.key, c.kind, c.actor, c.content FROM unnest($1::text[], $2::bigint[]) AS w(tenant_id, seq)
     JOIN ledger_commands c ON c.tenant_id = w.tenant_id COLLATE "C" AND c.seq = w.seq LIMIT 1`,
    [entries.map(({ entry }) => entry.tenantId), entries.map(({ entry }) => entry.seq)],
  );
  if (row === undefined) return undefined;
  const { tenant_id: tenantId, key, kind, actor, content } = row;
  return { tenantId, key, kind, actor, content };
}

interface RedriveColumns {
  readonly topic: string;
  readonly partition: number;
  readonly kafka_offset: string;
  readonly actor: string;
  readonly reason: string | null;
  readonly amended_value: Buffer | null;
}

/** The dead letters that a batch redrove, in order. Throws POSTGRES_*. */
export async function redrivesOf(pool: pg.Pool, { batchId }: BatchSeal): Promise<RecordedRedrive[]> {
  const rows = await rowsOf<RedriveColumns>(
    pool,
    `SELECT topic, partition, kafka_offset, actor, reason, amended_value FROM dead_letter_actions WHERE batch_id = $1
     ORDER BY source_offset`,
    [batchId],
  );
  return rows.map(({ topic, partition, kafka_offset: kafkaOffset, actor, reason, amended_value: amendedValue }) => ({
    position: { topic, partition, kafkaOffset: BigInt(kafkaOffset) },
    ...{ actor, reason, amendedValue },
  }));
}

/** The losses accepted before a batch of a source, from where the batch before it ended. Throws POSTGRES_*. */
export async function gapsBefore(
  pool: pg.Pool,
  { source, firstOffset }: BatchSeal,
  from: bigint,
): Promise<RecordedGap[]> {
  const rows = await rowsOf<{ to_offset: string; actor: string; reason: string }>(
    pool,
    `SELECT to_offset, actor, reason FROM stream_gaps
     WHERE topic = $1 AND partition = $2 AND from_offset >= $3 AND to_offset <= $4 ORDER BY from_offset`,
    [source.topic, source.partition, from, firstOffset],
  );
  return rows.map(({ to_offset: toOffset, actor, reason }) => ({ toOffset: BigInt(toOffset), actor, reason }));
}

/**
 * When a chunk was decoded, in milliseconds since the Unix epoch. Only a dead letter that was too old or in the future
 * tells it; without one it made no difference, and the time of the seal stands for it. Throws POSTGRES_*.
 */
export async function decodedAtMs(pool: pg.Pool, batch: BatchSeal, eventAgeMaxMs: number): Promise<number> {
  const sealedAtMs = Date.parse(batch.sealedAt);
  if (batch.counts.deadLetters === 0) return sealedAtMs;
  const { source, firstOffset, nextOffset } = batch;
  const [row] = await rowsOf<{ reason: string; instant: string | null }>(
    pool,
    `SELECT reason, substring(detail FROM 'at (?:most|least) (\\S+)') AS instant FROM dead_letters
     WHERE topic = $1 AND partition = $2 AND kafka_offset >= $3 AND kafka_offset < $4
       AND reason IN ('OCCURRED_AT_IN_FUTURE', 'OCCURRED_AT_TOO_OLD') LIMIT 1`,
    [source.topic, source.partition, firstOffset, nextOffset],
  );
  if (row === undefined || row.instant === null) return sealedAtMs;
  const boundMs = Date.parse(row.instant);
  return row.reason === 'OCCURRED_AT_IN_FUTURE' ? boundMs - EVENT_FUTURE_MAX_MS : boundMs + eventAgeMaxMs;
}

/** The Kafka cluster of each source that has one, by topic; command streams have none. Throws POSTGRES_*. */
export async function clustersOf(pool: pg.Pool, topics: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await rowsOf<{ cluster_id: string }>(
    pool,
    'SELECT DISTINCT cluster_id FROM stream_cursors WHERE topic = ANY($1)',
    [topics],
  );
  return new Set(rows.map(({ cluster_id: id }) => id));
}
