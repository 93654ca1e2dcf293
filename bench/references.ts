/**
 * Owns: what the same run is compared with: reading and parsing the same messages, the fastest way this PostgreSQL accepts
 * the very same rows into the very same table and indexes, with nothing else, and both at once: what a ledger is built between.
 */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Kafka } from 'kafkajs';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { Config } from '../src/runtime/config.js';
import { invariant } from '../src/runtime/errors.js';
import { createKafka } from '../src/runtime/kafka.js';

const FETCH_BYTES = 2 * 1024 * 1024;
const CONNECTIONS = 4;
const CHUNK_ROWS = 4_000;
/** They are kept in memory, about 600 bytes each. */
const ROWS_MAX = 500_000;

/** Messages a second that kafkajs fetches and JSON.parse reads, nothing else. */
export async function consumeRate(config: Readonly<Config>): Promise<number> {
  let startedMs = 0;
  const messages = await readAndParse(config, () => (startedMs = performance.now()));
  return (messages * 1000) / (performance.now() - startedMs);
}

/** Reads and parses every message of both topics; returns how many there are. Tells when the first batch has come. */
async function readAndParse(config: Readonly<Config>, onFirst: () => void): Promise<number> {
  const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-bench' });
  const topics = [config.topicPending, config.topicCompleted];
  const messages = await messagesIn(kafka, topics);
  const consumer = kafka.consumer({
    groupId: `${config.consumerGroup}.reference.${Date.now()}`,
    maxWaitTimeInMs: 100,
    maxBytesPerPartition: FETCH_BYTES,
  });
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        autoCommit: false,
        eachBatch: ({ batch }) => {
          if (seen === 0) onFirst();
          for (const { value } of batch.messages) {
            JSON.parse(value?.toString() ?? 'null');
            seen += 1;
          }
          if (seen >= messages) resolve();
          return Promise.resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return messages;
}

async function messagesIn(kafka: Kafka, topics: readonly string[]): Promise<number> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const offsets = await Promise.all(topics.map((topic) => admin.fetchTopicOffsets(topic)));
    return offsets.flat().reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0);
  } finally {
    await admin.disconnect();
  }
}

/**
 * Rows a second by COPY in transactions of 4,000 rows on four connections, into an empty table with the columns and
 * indexes of ledger_entries: the append ceiling.
 */
export function copyCeiling(config: Readonly<Config>): Promise<number> {
  return withLedgerRows(config, async ({ clients, chunks, rows }) => {
    const startedMs = performance.now();
    await Promise.all(clients.map((client) => copyAll(client, chunks)));
    return (rows * 1000) / (performance.now() - startedMs);
  });
}

/**
 * Messages a second when they are read and parsed and, in the same process at the same time, the rows that the ledger made of
 * them are appended as for the append ceiling: what is left of the work without a look-up, a price, a decision, Redis,
 * hashes, a chain or a projection. Undefined where the ledger has more rows than are kept in memory.
 */
export function readAndAppendRate(config: Readonly<Config>, messages: number): Promise<number | undefined> {
  return withLedgerRows(config, async ({ clients, chunks, rows }) => {
    if (rows >= ROWS_MAX) return undefined;
    let startedMs = 0;
    let onFirst = (): void => undefined;
    const first = new Promise<void>((resolve) => (onFirst = resolve));
    const append = async (): Promise<void> => {
      await first;
      startedMs = performance.now();
      await Promise.all(clients.map((client) => copyAll(client, chunks)));
    };
    await Promise.all([readAndParse(config, () => onFirst()), append()]);
    return (messages * 1000) / (performance.now() - startedMs);
  });
}

interface LedgerRows {
  readonly clients: readonly pg.Client[];
  readonly chunks: CopyChunk[];
  readonly rows: number;
}

/** Runs work with an empty table like ledger_entries, `bench_ceiling`, and the ledger's rows in memory. */
async function withLedgerRows<T>(config: Readonly<Config>, work: (rows: LedgerRows) => Promise<T>): Promise<T> {
  const clients = Array.from(
    { length: CONNECTIONS },
    () => new pg.Client({ connectionString: config.databaseOwnerUrl }),
  );
  await Promise.all(clients.map((client) => client.connect()));
  try {
    const [first] = clients;
    invariant(first !== undefined, 'there is a connection');
    await first.query('CREATE TABLE bench_ceiling (LIKE ledger_entries INCLUDING ALL)');
    const chunks = await readChunks(first);
    const result = await work({ clients, chunks, rows: chunks.reduce((sum, chunk) => sum + chunk.rows, 0) });
    await first.query('DROP TABLE bench_ceiling');
    return result;
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

interface CopyChunk {
  readonly text: Buffer;
  readonly rows: number;
}

/** Rows of the ledger in the order they were written, cut into chunks as the ledger would write them. */
async function readChunks(client: pg.Client): Promise<CopyChunk[]> {
  const chunks: CopyChunk[] = [];
  let rows: string[] = [];
  const cut = (): void => {
    if (rows.length > 0) chunks.push({ text: Buffer.from(rows.join('')), rows: rows.length });
    rows = [];
  };
  const sql = `COPY (SELECT * FROM (SELECT * FROM ledger_entries LIMIT ${ROWS_MAX}) e
    ORDER BY batch_id, source_offset, seq) TO STDOUT`;
  for await (const row of createInterface({ input: client.query(copyTo(sql)), crlfDelay: Infinity })) {
    rows.push(`${row}\n`);
    if (rows.length === CHUNK_ROWS) cut();
  }
  cut();
  return chunks;
}

async function copyAll(client: pg.Client, chunks: CopyChunk[]): Promise<void> {
  for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) {
    await pipeline(Readable.from([chunk.text]), client.query(copyFrom('COPY bench_ceiling FROM STDIN')));
  }
}
