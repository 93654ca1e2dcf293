/**
 * Owns: the part of kafkajs below its clients: the cluster that sends a request to the broker that leads a partition.
 * Why: kafkajs offers no way to read a log without a consumer group, nor to see what a transaction holds back.
 * Invariants: it connects with the very settings of the client it is given.
 */
import type { Kafka } from 'kafkajs';
import { TollbookError } from './errors.js';

/** A partition with an offset. */
export interface PartitionOffset {
  readonly partition: number;
  readonly offset: string;
}

/** A request and how its answer is read, as kafkajs sends them. */
export interface ProtocolRequest {
  readonly request: object;
  readonly response: object;
}

/** A broker of the cluster. */
export interface ClusterBroker {
  readonly connectionPool: { send(request: ProtocolRequest): Promise<unknown> };
}

/** The part of kafkajs' cluster that is used here. */
export interface KafkaCluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  refreshMetadata(): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number }[];
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, number[]>>;
  findBroker(wanted: { nodeId: string }): Promise<ClusterBroker>;
  fetchTopicsOffset(
    topics: readonly { topic: string; partitions: readonly { partition: number }[]; fromBeginning: boolean }[],
  ): Promise<readonly { readonly topic: string; readonly partitions: readonly PartitionOffset[] }[]>;
}

type ClusterFactory = (options: { metadataMaxAge: number; allowAutoTopicCreation: boolean }) => KafkaCluster;

const CREATE_CLUSTER = 'private:Kafka:createCluster';

/** The name under which a client of kafkajs 2.2 has the function that makes its clusters. Throws INVARIANT_BROKEN. */
export function createClusterSymbol(kafka: Kafka): symbol {
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === CREATE_CLUSTER);
  if (symbol !== undefined) return symbol;
  throw new TollbookError('INVARIANT_BROKEN', 'the inside of this version of kafkajs is not known; needed: 2.2');
}

/** A cluster of its own, not connected yet. Throws INVARIANT_BROKEN with another kafkajs than 2.2. */
export function clusterOf(kafka: Kafka, metadataMaxAgeMs: number): KafkaCluster {
  const factories = kafka as unknown as Readonly<Record<symbol, ClusterFactory>>;
  const create = factories[createClusterSymbol(kafka)] as ClusterFactory;
  return create({ metadataMaxAge: metadataMaxAgeMs, allowAutoTopicCreation: false });
}
