/**
 * Owns: replaying a journal of commands into a ledger: from where in the topic, up to where it ended when asked.
 * Does not own: what becomes of a record (src/command-journal/replay-commands.ts), how the result looks.
 */
import type { Kafka } from 'kafkajs';
import type pg from 'pg';
import { type ReplayResult, replayCommands } from '../command-journal/replay-commands.js';
import type { CommandPorts } from '../ledger/commands/book-command.js';
import { rowsThrough } from '../ledger/postgres/anchor-rows.js';
import { PostgresLedgerStore } from '../ledger/postgres/postgres-ledger-store.js';
import { readPortions } from '../reconciliation/topic/topic-portions.js';
import { type LogBounds, TopicReader } from '../reconciliation/topic/topic-reader.js';

/** What it works with. */
export interface JournalReplayPorts extends Pick<CommandPorts, 'clock' | 'defaults'> {
  readonly pool: pg.Pool;
  readonly kafka: Kafka;
  readonly topic: string;
}

/** Where in each partition of the journal to begin: with what was published at a time (ISO 8601), or at an offset. */
export type ReplayStart = { readonly at: string } | { readonly offset: bigint };

/** How it is done. */
export interface JournalReplayRequest {
  /** Default: everything that the topic has. */
  readonly from?: ReplayStart | undefined;
  readonly isDryRun: boolean;
  /** Hears how many offsets are done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Books what the ledger does not have. Throws KAFKA_UNAVAILABLE, TOPIC_MISSING, POSTGRES_*, CLOCK_SKEWED. */
export async function replayJournal(
  { pool, kafka, topic, clock, defaults }: JournalReplayPorts,
  { from, isDryRun, onProgress }: JournalReplayRequest,
): Promise<ReplayResult> {
  const reader = await TopicReader.open(kafka, [topic]);
  try {
    const bounds = await boundsFrom(reader, topic, from);
    const total = bounds.reduce((sum, { start, end }) => sum + Math.max(0, Number(end - start)), 0);
    const ports = { store: new PostgresLedgerStore(pool), rows: rowsThrough(pool), clock, defaults };
    return await replayCommands(ports, readPortions(reader, bounds), {
      isDryRun,
      onProgress: (done) => onProgress?.(done, total),
    });
  } finally {
    await reader.close();
  }
}

async function boundsFrom(reader: TopicReader, topic: string, from: ReplayStart | undefined): Promise<LogBounds[]> {
  const bounds = await reader.bounds(topic);
  if (from === undefined) return bounds;
  const starts = 'at' in from ? await reader.offsetsAt(topic, Date.parse(from.at)) : undefined;
  return bounds.map(({ source, start, end }) => {
    const wanted = 'at' in from ? (starts?.get(source.partition) ?? end) : from.offset;
    return { source, start: wanted > start ? wanted : start, end };
  });
}
