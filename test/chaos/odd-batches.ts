/**
 * Owns: record batches that other producers write: compressed by every codec, and one that cannot be read.
 * Invariants: their events belong to no tenant, so nothing is charged for them and each is accounted for all the same.
 */
import { gzipSync } from 'node:zlib';
import { CODECS } from '../../src/records/decompress.js';
import { zstdReady } from '../../src/records/zstd-frame.js';
import { isPassing } from '../support/after-fault.js';
import type { LedgerWorld } from '../support/ledger-world.js';
import { produceRaw } from '../support/raw-produce.js';
import { writeBatch, writeRecords } from '../support/record-batches.js';
import { completion } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const RECORDS = 5;
/** More than a batch may hold once it is decompressed. */
const BOMB_BYTES = 20 * 1024 * 1024;
const PUBLISHED_MAX_MS = 30_000;

let bomb: Buffer | undefined;
let sent = 0;

/** Publishes them to a partition of the completed topic, again while Kafka is not back yet. */
export async function publishOddBatches({ kafka, topics, admin }: LedgerWorld, partition: number): Promise<void> {
  await zstdReady();
  const [, topic] = topics;
  bomb ??= gzipSync(writeRecords([{ value: Buffer.alloc(BOMB_BYTES) }]));
  const batches = CODECS.map((codec) => writeBatch({ codec, records: recordsOfNobody(), baseTimestampMs: Date.now() }));
  batches.push(writeBatch({ codec: 'gzip', packed: bomb, recordCount: 1, baseTimestampMs: Date.now() }));
  await waitUntil(
    'Kafka takes odd batches',
    async () => {
      try {
        const partitions = (await admin.fetchTopicOffsets(topic)).length;
        await produceRaw(kafka, { topic, partition: partition % partitions }, batches);
        return true;
      } catch (error) {
        if (isPassing(error)) return false;
        throw error;
      }
    },
    PUBLISHED_MAX_MS,
  );
}

function recordsOfNobody(): { value: Buffer }[] {
  return Array.from({ length: RECORDS }, () => {
    sent += 1;
    const event = completion('nobody', `odd-${sent}`, { tenant_id: undefined });
    return { value: Buffer.from(JSON.stringify(event)) };
  });
}
