/**
 * Owns: what the same run is compared with: reading and parsing the same messages, and the fastest way this PostgreSQL
 * accepts the very same rows into the very same table and indexes, with nothing else.
 */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Kafka } from 'kafkajs';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { Config } from '../src/runtime/config.js';
import { createKafka } from '../src/runtime/kafka.js';

const FETCH_BYTES = 2 * 1024 * 1024;
const CONNECTIONS = 4;
const CHUNK_ROWS = 4_000;
/** They are kept in memory, about 600 bytes each. */
const ROWS_MAX = 500_000;

/** Messages a second that kafkajs fetches and JSON.parse reads, nothing else. */
export async function consumeRate(config: Readonly<Config>): Promise<number> {
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
  let [seen, startedMs] = [0, 0];
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        autoCommit: false,
        eachBatch: ({ batch }) => {
          if (startedMs === 0) startedMs = performance.now();
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
  const elapsedMs = performance.now() - startedMs;
  await consumer.disconnect();
  return (messages / elapsedMs) * 1000;
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
export async function copyCeiling(config: Readonly<Config>): Promise<number> {
  const clients = Array.from(
    { length: CONNECTIONS },
    () => new pg.Client({ connectionString: config.databaseOwnerUrl }),
  );
  await Promise.all(clients.map((client) => client.connect()));
  try {
    const [first] = clients;
    if (first === undefined) return 0;
    await first.query('CREATE TABLE bench_ceiling (LIKE ledger_entries INCLUDING ALL)');
    const chunks = await readChunks(first);
    const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
    const startedMs = performance.now();
    await Promise.all(clients.map((client) => copyAll(client, chunks)));
    const elapsedMs = performance.now() - startedMs;
    await first.query('DROP TABLE bench_ceiling');
    return (rows / elapsedMs) * 1000;
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
