/**
 * Owns: asking the brokers which id a topic has now: a topic that was deleted and created again has another.
 * Does not own: what follows from it (consumers/charge-protocol.ts).
 * Why not kafkajs' own metadata: it speaks version 6, ids came with version 10 (Kafka 2.8). Same protocol, same connections.
 * Invariants: the leader of the partition is asked, which learns of a new topic before it serves it: an id that is still the
 * old one after a fetch proves that the fetch was from the old log; questions of one turn of the event loop go together.
 */
import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import { TollbookError } from './errors.js';
import { clusterOf, type ClusterBroker, type KafkaCluster } from './kafka-cluster.js';

/** The topic and partition that are asked about. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

interface Encoder {
  writeUVarInt(value: number): Encoder;
  writeUVarIntString(value: string): Encoder;
  writeBoolean(value: boolean): Encoder;
  writeBuffer(value: Buffer): Encoder;
}

interface Decoder {
  offset: number;
  readonly buffer: Buffer;
  readInt16(): number;
  readInt32(): number;
  readBoolean(): boolean;
  readUVarIntString(): string | null;
  readUVarIntArray<T>(read: (decoder: Decoder) => T): T[] | null;
  readTaggedFields(): unknown;
}

interface Request {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  readonly encode: () => Promise<Encoder>;
}

interface Response<T> {
  readonly decode: (raw: Buffer) => Promise<T>;
  readonly parse: (data: T) => Promise<T>;
}

const METADATA_KEY = 3;

/** What a broker says which versions it speaks. */
interface Speaking {
  readonly versions: { readonly [METADATA_KEY]: { readonly maxVersion: number } } | null;
}

const require = createRequire(import.meta.url);
const EncoderClass = require('kafkajs/src/protocol/encoder.js') as new () => Encoder;
const DecoderClass = require('kafkajs/src/protocol/decoder.js') as new (raw: Buffer) => Decoder;

/** The first version whose answer has the ids of topics. */
const METADATA_VERSION = 10;
const UUID_BYTES = 16;
const ATTEMPTS = 3;
const METADATA_AGE_MAX_MS = 300_000;

/** Ids by topic; null where the broker knows none. */
type Ids = ReadonlyMap<string, string | null>;

/** Asks for ids; close it when done. */
export class TopicIds {
  readonly #cluster: KafkaCluster;
  readonly #topics: readonly string[];
  readonly #asked = new Map<string, Promise<Ids>>();

  private constructor(cluster: KafkaCluster, topics: readonly string[]) {
    this.#cluster = cluster;
    this.#topics = topics;
  }

  /** Connects with the settings of a client. Throws KAFKA_UNAVAILABLE, INVARIANT_BROKEN with another kafkajs than 2.2. */
  static async open(kafka: Kafka, topics: readonly string[]): Promise<TopicIds> {
    const cluster = clusterOf(kafka, METADATA_AGE_MAX_MS);
    try {
      await cluster.connect();
      await cluster.addMultipleTargetTopics(topics);
    } catch (error) {
      await cluster.disconnect();
      throw unanswered(topics.join(', '), error);
    }
    return new TopicIds(cluster, topics);
  }

  /**
   * The id of a topic as the leader of a partition knows it now; null where brokers give none.
   * Throws KAFKA_UNAVAILABLE when the leader does not answer, or does not know the topic.
   */
  async of({ topic, partition }: TopicPartition): Promise<string | null> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const [nodeId] = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]));
        if (nodeId === undefined) throw new TollbookError('KAFKA_UNAVAILABLE', `${topic}/${partition} has no leader`);
        const id = (await this.#ask(nodeId)).get(topic);
        if (id === undefined) throw new TollbookError('KAFKA_UNAVAILABLE', `topic ${topic} is not served now`);
        return id;
      } catch (error) {
        if (attempt === ATTEMPTS) throw unanswered(topic, error);
        await this.#cluster.refreshMetadata().catch(() => undefined);
      }
    }
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect();
  }

  #ask(nodeId: string): Promise<Ids> {
    const underWay = this.#asked.get(nodeId);
    if (underWay !== undefined) return underWay;
    const asked = nextTurn().then(() => {
      this.#asked.delete(nodeId);
      return this.#request(nodeId);
    });
    this.#asked.set(nodeId, asked);
    return asked;
  }

  async #request(nodeId: string): Promise<Ids> {
    const broker = (await this.#cluster.findBroker({ nodeId })) as ClusterBroker & Speaking;
    const versionMax = broker.versions?.[METADATA_KEY].maxVersion ?? 0;
    if (versionMax < METADATA_VERSION) return new Map(this.#topics.map((topic) => [topic, null]));
    const asked = { request: metadataRequest(this.#topics), response: METADATA_RESPONSE };
    return (await broker.connectionPool.send(asked)) as Ids;
  }
}

/** A request of a flexible version: kafkajs writes the header of before, to which the empty tagged fields are added here. */
function metadataRequest(topics: readonly string[]): Request {
  const encode = (): Promise<Encoder> => {
    const encoder = new EncoderClass().writeUVarInt(0).writeUVarInt(topics.length + 1);
    for (const topic of topics) encoder.writeBuffer(Buffer.alloc(UUID_BYTES)).writeUVarIntString(topic).writeUVarInt(0);
    const [createsTopics, tellsClusterRights, tellsTopicRights] = [false, false, false];
    encoder.writeBoolean(createsTopics).writeBoolean(tellsClusterRights).writeBoolean(tellsTopicRights).writeUVarInt(0);
    return Promise.resolve(encoder);
  };
  return { apiKey: METADATA_KEY, apiVersion: METADATA_VERSION, apiName: 'Metadata', encode };
}

const METADATA_RESPONSE: Response<Ids> = {
  decode: (raw) => Promise.resolve(idsIn(new DecoderClass(raw))),
  parse: (ids) => Promise.resolve(ids),
};

function idsIn(decoder: Decoder): Ids {
  decoder.readTaggedFields();
  decoder.readInt32(); // throttle time
  decoder.readUVarIntArray(skipBroker);
  decoder.readUVarIntString(); // cluster id
  decoder.readInt32(); // controller
  const topics = decoder.readUVarIntArray(readTopic) ?? [];
  return new Map(topics.flatMap(({ name, id, error }) => (error === 0 && name !== null ? [[name, id]] : [])));
}

function skipBroker(decoder: Decoder): void {
  decoder.readInt32();
  decoder.readUVarIntString();
  decoder.readInt32();
  decoder.readUVarIntString();
  decoder.readTaggedFields();
}

function readTopic(decoder: Decoder): { name: string | null; id: string | null; error: number } {
  const error = decoder.readInt16();
  const name = decoder.readUVarIntString();
  const id = readId(decoder);
  decoder.readBoolean(); // internal
  decoder.readUVarIntArray(skipPartition);
  decoder.readInt32(); // authorized operations
  decoder.readTaggedFields();
  return { name, id, error };
}

function skipPartition(decoder: Decoder): void {
  decoder.readInt16();
  for (let field = 0; field < 3; field += 1) decoder.readInt32(); // partition, leader, leader epoch
  for (let field = 0; field < 3; field += 1) decoder.readUVarIntArray((each) => each.readInt32()); // replicas
  decoder.readTaggedFields();
}

/** As 32 hexadecimal digits; zero stands for none. */
function readId(decoder: Decoder): string | null {
  const id = decoder.buffer.toString('hex', decoder.offset, decoder.offset + UUID_BYTES);
  decoder.offset += UUID_BYTES;
  return /^0+$/.test(id) ? null : id;
}

function unanswered(topic: string, cause: unknown): TollbookError {
  if (cause instanceof TollbookError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TollbookError('KAFKA_UNAVAILABLE', `Kafka does not tell the id of ${topic}: ${why}`, { cause });
}
