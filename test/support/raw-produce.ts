/**
 * Owns: giving a broker record batches byte by byte, as no client of ours would write them.
 * Does not own: what is in them (record-batches.ts). A broker checks lengths, checksum, offsets and, where it has to
 * look into them, records: what it refuses fails the call.
 */
import { createRequire } from 'node:module';
import type { Kafka } from 'kafkajs';
import type { StreamSource } from '../../src/ledger/batch.js';
import { clusterOf, type KafkaCluster } from '../../src/runtime/kafka-cluster.js';

interface Encoder {
  writeString(text: string | null): this;
  writeInt16(value: number): this;
  writeInt32(value: number): this;
  writeBytes(bytes: Buffer): this;
  writeEncoder(encoder: Encoder): this;
}

const require = createRequire(import.meta.url);
const EncoderClass = require('kafkajs/src/protocol/encoder.js') as new () => Encoder;
const response = require('kafkajs/src/protocol/requests/produce/v7/response.js') as object;
const { Produce: apiKey } = require('kafkajs/src/protocol/requests/apiKeys.js') as { Produce: number };

const API_VERSION = 7;
const TIMEOUT_MS = 30_000;
const ALL_REPLICAS = -1;

interface ProduceAnswer {
  readonly topics: readonly { readonly partitions: readonly { readonly baseOffset: string }[] }[];
}

/** Sends each batch in a request of its own, in order; fails with what the broker says against one. */
export async function produceRaw(kafka: Kafka, source: StreamSource, batches: readonly Buffer[]): Promise<void> {
  const producer = await RawProducer.open(kafka, source);
  try {
    for (const batch of batches) await producer.append(batch);
  } finally {
    await producer.close();
  }
}

/** Gives batches to one partition, one after the other; close it when done. */
export class RawProducer {
  readonly #cluster: KafkaCluster;
  readonly #source: StreamSource;

  private constructor(cluster: KafkaCluster, source: StreamSource) {
    this.#cluster = cluster;
    this.#source = source;
  }

  static async open(kafka: Kafka, source: StreamSource): Promise<RawProducer> {
    const cluster = clusterOf(kafka, TIMEOUT_MS);
    await cluster.connect();
    await cluster.addMultipleTargetTopics([source.topic]);
    return new RawProducer(cluster, source);
  }

  /** Returns the offset that the broker gave the batch; fails with what it says against it. */
  async append(batch: Buffer): Promise<bigint> {
    const { topic, partition } = this.#source;
    const [nodeId = ''] = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]));
    const { connectionPool } = await this.#cluster.findBroker({ nodeId });
    const answer = await connectionPool.send({ request: requestOf(this.#source, batch), response });
    const [given] = (answer as ProduceAnswer).topics.flatMap(({ partitions }) => partitions);
    return BigInt(given?.baseOffset ?? -1);
  }

  close(): Promise<void> {
    return this.#cluster.disconnect();
  }
}

function requestOf({ topic, partition }: StreamSource, batch: Buffer): object {
  const encode = (): Promise<Encoder> =>
    Promise.resolve(
      new EncoderClass()
        .writeString(null)
        .writeInt16(ALL_REPLICAS)
        .writeInt32(TIMEOUT_MS)
        .writeInt32(1)
        .writeString(topic)
        .writeInt32(1)
        .writeInt32(partition)
        .writeBytes(batch),
    );
  return { apiKey, apiVersion: API_VERSION, apiName: 'Produce', expectResponse: () => true, encode };
}
