/**
 * Owns: the end of the journal, as a memory that outlives every process: which of its commands the ledger does not have.
 * Does not own: booking them again (replay-commands.ts).
 * Invariants: reads only; the last RECORDS_MAX offsets of each partition, whatever the size of the journal.
 */
import type { Kafka } from 'kafkajs';
import { COMMAND_TOPIC } from '../ledger/commands/command-stream.js';
import type { ReadRows } from '../ledger/postgres/anchor-rows.js';
import { readKnownCommands } from '../ledger/postgres/journal-rows.js';
import { readPortions } from '../reconciliation/topic/topic-portions.js';
import { TopicReader } from '../reconciliation/topic/topic-reader.js';
import type { LostBatches } from './chain-memory.js';
import { type JournalRecord, readRecord } from './journal-record.js';

/** The end of a journal, held against the ledger. */
export interface JournalTail {
  /** Of each command stream, what the ledger lacks. */
  readonly lost: readonly LostBatches[];
  /** Every batch that the tail has a command of. */
  readonly records: readonly JournalRecord[];
}

const RECORDS_MAX = 2_000n;

/** Reads the end of a journal. Throws KAFKA_UNAVAILABLE, TOPIC_MISSING, POSTGRES_*. */
export async function readJournalTail(kafka: Kafka, rows: ReadRows, topic: string): Promise<JournalTail> {
  const records = await readTailRecords(kafka, topic);
  const known = await readKnownCommands(
    rows,
    records.map(({ command }) => command),
  );
  return { records, lost: lostOf(records.filter((_, index) => known[index] === undefined)) };
}

async function readTailRecords(kafka: Kafka, topic: string): Promise<JournalRecord[]> {
  const reader = await TopicReader.open(kafka, [topic]);
  try {
    const bounds = (await reader.bounds(topic)).map((each) => ({
      ...each,
      start: each.end - RECORDS_MAX > each.start ? each.end - RECORDS_MAX : each.start,
    }));
    const records: JournalRecord[] = [];
    for await (const { messages } of readPortions(reader, bounds)) {
      for (const { value } of messages) {
        const found = readRecord(value);
        if (found.kind === 'record') records.push(found.record);
      }
    }
    return records;
  } finally {
    await reader.close();
  }
}

function lostOf(records: readonly JournalRecord[]): LostBatches[] {
  const byPartition = new Map<number, JournalRecord[]>();
  for (const record of records) {
    const { partition } = record.batch;
    byPartition.set(partition, [...(byPartition.get(partition) ?? []), record]);
  }
  return [...byPartition].flatMap(([partition, lost]) => {
    const numbers = [...new Set(lost.map(({ batch }) => batch.batchNo))].sort((left, right) => left - right);
    const [from, to] = [numbers[0], numbers.at(-1)];
    const last = lost.find(({ batch }) => batch.batchNo === to);
    if (from === undefined || to === undefined || last === undefined) return [];
    return [
      {
        ...{ source: { topic: COMMAND_TOPIC, partition }, from, to },
        ...{ lastHash: last.batch.hash, lastSealedAt: last.bookedAt },
        commandHashes: lost.map(({ batch }) => batch.hash),
      },
    ];
  });
}
