/**
 * Owns: where kafkajs' way from a broker's answer to messages is left: every cluster of a client that is gated reads the
 * answers to Fetch requests with our own decoder, and hands on the logs they brought.
 * Does not own: the group, the requests, retries and connections: all of that stays kafkajs'.
 * Invariants: kafkajs sees one message for each log that holds anything, with the last offset of the log; so its positions
 * move as they should, it has nothing to decode or to filter, and a log of nothing but markers reaches whoever consumes.
 */
import { createRequire } from 'node:module';
import type { Batch, Kafka, KafkaMessage } from 'kafkajs';
import { invariant, TollbookError } from '../runtime/errors.js';
import { createClusterSymbol } from '../runtime/kafka-cluster.js';
import { FETCH_VERSION_MIN, logOf, type PartitionAnswer, readFetchAnswer } from './fetch-response.js';
import type { FetchedLog } from './fetched-log.js';
import { zstdReady } from './zstd-frame.js';

/** What stands in kafkajs' list of messages for all messages of a log. */
export type LogCarrier = KafkaMessage & {
  readonly log: FetchedLog;
  readonly isControlRecord: false;
  readonly batchContext: { readonly inTransaction: false };
};

/** What kafkajs makes of an answer for one partition. */
export interface GatedAnswer {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: string;
  readonly lastStableOffset: string;
  readonly preferredReadReplica: number;
  readonly abortedTransactions: readonly [];
  readonly messages: readonly LogCarrier[];
}

interface FetchArguments {
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string }[];
  }[];
}

interface Protocol {
  readonly request: { readonly apiVersion: number };
  readonly response: { decode(bytes: Buffer): Promise<object>; parse(answer: object): Promise<object> };
}

type Lookup = (apiKey: number, definitions: object) => (options: FetchArguments) => Protocol;

interface Broker {
  readonly nodeId: number | string | null;
  lookupRequest: Lookup;
}

interface Cluster {
  readonly brokerPool: { createBroker: (options: object) => Broker };
}

type ClusterFactory = (options: object) => Cluster;

const { Fetch: FETCH } = createRequire(import.meta.url)('kafkajs/src/protocol/requests/apiKeys.js') as {
  Fetch: number;
};

const gated = new WeakSet<Kafka>();

/** Makes all clusters that a client opens from now on read fetches through the gate. Throws INVARIANT_BROKEN without kafkajs 2.2. */
export function gateFetches(kafka: Kafka): Kafka {
  if (gated.has(kafka)) return kafka;
  const symbol = createClusterSymbol(kafka);
  const factories = kafka as unknown as Record<symbol, ClusterFactory>;
  const create = factories[symbol];
  invariant(create !== undefined, 'kafkajs has a function of this name');
  factories[symbol] = (options) => withGate(create(options));
  gated.add(kafka);
  return kafka;
}

/** The log that a batch of a gated client carries. */
export function fetchedLogOf(batch: Pick<Batch, 'messages'>): FetchedLog {
  const carrier = batch.messages[0] as LogCarrier | undefined;
  invariant(carrier?.log !== undefined, 'a batch of a gated client carries a log');
  return carrier.log;
}

function withGate(cluster: Cluster): Cluster {
  const { brokerPool } = cluster;
  const create = brokerPool.createBroker;
  brokerPool.createBroker = (options) => gateBroker(create(options));
  return cluster;
}

/** kafkajs sets `lookupRequest` whenever a broker has told its versions: what it sets is wrapped where it is read. */
function gateBroker(broker: Broker): Broker {
  let lookup = broker.lookupRequest;
  Object.defineProperty(broker, 'lookupRequest', {
    get: (): Lookup => (apiKey, definitions) => {
      const protocolOf = lookup(apiKey, definitions);
      return apiKey === FETCH ? (options) => gateProtocol(protocolOf(options), options, broker) : protocolOf;
    },
    set: (set: Lookup) => (lookup = set),
  });
  return broker;
}

function gateProtocol(protocol: Protocol, asked: FetchArguments, { nodeId }: Broker): Protocol {
  const { apiVersion } = protocol.request;
  if (apiVersion < FETCH_VERSION_MIN) {
    throw new TollbookError(
      'KAFKA_UNAVAILABLE',
      'the broker is older than Kafka 0.11, which is the oldest that can be read',
    );
  }
  const broker = nodeId === null ? undefined : Number(nodeId);
  const decode = async (bytes: Buffer): Promise<object> => {
    await zstdReady();
    const { responses, throttleTimeMs, errorCode, sessionId } = readFetchAnswer(bytes, apiVersion);
    const read = responses.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map((answer) => gatedAnswer(topicName, answer, { asked, broker })),
    }));
    // kafkajs takes a throttle time of its own for a request to wait; the broker has waited already.
    return { throttleTime: 0, clientSideThrottleTime: throttleTimeMs, errorCode, sessionId, responses: read };
  };
  return { ...protocol, response: { ...protocol.response, decode } };
}

function gatedAnswer(
  topic: string,
  answer: PartitionAnswer,
  { asked, broker }: { asked: FetchArguments; broker: number | undefined },
): GatedAnswer {
  const { partition, errorCode, highWatermark, lastStableOffset, preferredReadReplica } = answer;
  const log = logOf(answer, { topic, from: askedOffset(asked, topic, partition), broker });
  return {
    ...{ partition, errorCode, highWatermark, lastStableOffset, preferredReadReplica, abortedTransactions: [] },
    messages: log.isEmpty ? [] : [carrierOf(log)],
  };
}

function askedOffset({ topics }: FetchArguments, topic: string, partition: number): bigint {
  // kafkajs shuffles what it asks for: a topic may be there several times.
  const ofTopic = topics.filter((each) => each.topic === topic).flatMap(({ partitions }) => partitions);
  const found = ofTopic.find((each) => each.partition === partition);
  invariant(found !== undefined, 'a broker answers for what it was asked', { topic, partition });
  return BigInt(found.fetchOffset);
}

function carrierOf(log: FetchedLog): LogCarrier {
  return {
    log,
    offset: (log.endOffset - 1n).toString(),
    ...{ key: null, value: null, headers: {}, timestamp: '0', attributes: 0 },
    isControlRecord: false,
    batchContext: { inTransaction: false },
  };
}
