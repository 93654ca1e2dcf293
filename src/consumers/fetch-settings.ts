/** Owns: how the usage topics are fetched: sizes, waits and membership of the group, with the figures behind them. */
import type { ConsumerConfig } from 'kafkajs';

/** What the settings decide of it; times in milliseconds. */
export interface FetchOptions {
  readonly groupId: string;
  /** After how long without a heartbeat the group goes on without this consumer. */
  readonly sessionTimeoutMs: number;
  readonly partitionsConcurrent: number;
}

/** Partitions of one fetch that may wait to be charged together. */
export const FETCHED_PARTITIONS_MAX = 32;

const REBALANCE_TIMEOUT_MS = 60_000;
const HEARTBEAT_INTERVAL_MAX_MS = 3_000;
/** How soon partitions that were added to a topic are noticed; by default kafkajs looks every 5 minutes. */
const METADATA_AGE_MAX_MS = 10_000;
const FETCH_WAIT_MS = 100;
/** Moderate, since one fetch waits until all its batches are charged or have had their turn; large enough for a chunk of 4,000 events of 500 bytes. */
const FETCH_BYTES_PER_PARTITION = 2 * 1024 * 1024;
/**
 * A fetch brings the messages of so many partitions more than are charged at once: the next begins only when all of it is
 * charged, and at its end cores would be idle. Three more than three were 9 % faster than none; one more is as fast, and 20 MB
 * less: what waits is decoded, in memory.
 */
const FETCHED_PARTITIONS_MORE = 1;

/** The settings of the consumer. */
export function fetchSettings({ groupId, sessionTimeoutMs, partitionsConcurrent }: FetchOptions): ConsumerConfig {
  return {
    groupId,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    heartbeatInterval: Math.min(HEARTBEAT_INTERVAL_MAX_MS, sessionTimeoutMs / 3),
    metadataMaxAge: METADATA_AGE_MAX_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytesPerPartition: FETCH_BYTES_PER_PARTITION,
    maxBytes: FETCH_BYTES_PER_PARTITION * (partitionsConcurrent + FETCHED_PARTITIONS_MORE),
    allowAutoTopicCreation: false,
  };
}
