/**
 * Owns: what a producer makes of each answer that kafkajs can give. The answers are scripted, since a cluster gives the
 * rare ones only in a run of many failures (test/chaos/brokers.ts).
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import type { Kafka, Message, PartitionerArgs, ProducerBatch, RecordMetadata } from 'kafkajs';
import { DurableProducer } from '../../../src/runtime/durable-producer.js';
import { isTollbookError } from '../../../src/runtime/errors.js';

const PARTITIONS = 2;

/** One request: which producer was asked to send how many messages to which partitions. */
interface Sent {
  readonly producer: number;
  readonly partitions: readonly number[];
}

/** What a request is answered with: records for some partitions at an offset, or an error. */
type Answer = Error | { readonly partitions: readonly number[]; readonly at: number };

/** A client that answers as it is told, and notes what it was asked. */
class ScriptedKafka {
  readonly sent: Sent[] = [];
  #made = 0;

  constructor(readonly answers: Answer[]) {}

  producer({ createPartitioner }: { createPartitioner: () => (args: PartitionerArgs) => number }): object {
    this.#made += 1;
    const [number, partitioner] = [this.#made, createPartitioner()];
    return {
      connect: () => Promise.resolve(),
      disconnect: () => Promise.resolve(),
      sendBatch: ({ topicMessages = [] }: ProducerBatch) => {
        const messages = topicMessages.flatMap(({ messages: some }) => some);
        const partitions = new Set(messages.map((message) => partitioner({ topic: 'usage', ...metadata(), message })));
        this.sent.push({ producer: number, partitions: [...partitions].sort() });
        const answer = this.answers.shift() ?? { partitions: [...partitions], at: 1_000 };
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(recordsOf(answer));
      },
    };
  }
}

function metadata(): Pick<PartitionerArgs, 'partitionMetadata'> {
  const partitionMetadata = Array.from({ length: PARTITIONS }, (_, partitionId) => ({
    ...{ partitionErrorCode: 0, partitionId, leader: partitionId + 1, replicas: [], isr: [] },
  }));
  return { partitionMetadata };
}

function recordsOf({ partitions, at }: Exclude<Answer, Error>): RecordMetadata[] {
  return partitions.map((partition) => ({ topicName: 'usage', partition, errorCode: 0, baseOffset: String(at) }));
}

function protocolError(type: string, retriable: boolean): Error {
  return Object.assign(new kafkajs.KafkaJSProtocolError(new Error(type)), { type, retriable });
}

/** What kafkajs says once a request that may be repeated has failed. */
function failedOnce(message: string): Error {
  return new kafkajs.KafkaJSNumberOfRetriesExceeded(new Error(message), { retryCount: 0, retryTime: 0 });
}

describe('a producer whose acknowledgements are checked', () => {
  let kafka: ScriptedKafka;
  let producer: DurableProducer;

  function script(...answers: Answer[]): void {
    kafka = new ScriptedKafka(answers);
    producer = new DurableProducer({ kafka: kafka as unknown as Kafka, retries: 3 });
  }

  async function send(): Promise<void> {
    const messages: Message[] = [0, 1].map((partition) => ({ key: 'tenant', value: 'event', partition }));
    await producer.send([{ topic: 'usage', messages }]);
  }

  async function codeOfSend(): Promise<string> {
    const error: unknown = await send().catch((caught: unknown) => caught);
    return isTollbookError(error) ? error.code : String(error);
  }

  it('sends once what every partition has answered for, and keeps its producer', async () => {
    script({ partitions: [0, 1], at: 0 }, { partitions: [0, 1], at: 1 });
    await send();
    await send();
    expect(kafka.sent).to.deep.equal([
      { producer: 1, partitions: [0, 1] },
      { producer: 1, partitions: [0, 1] },
    ]);
  });

  it('sends a partition again that no broker has spoken of, although kafkajs resolved', async () => {
    script({ partitions: [0], at: 0 });
    await send();
    expect(kafka.sent.map(({ partitions }) => partitions)).to.deep.equal([[0, 1], [1]]);
  });

  it('takes an offset that it was told before for a batch that was not stored', async () => {
    script({ partitions: [0, 1], at: 5 }, { partitions: [0, 1], at: 5 });
    await send();
    await send();
    expect(kafka.sent.map(({ producer: number }) => number)).to.deep.equal([1, 1, 2, 2]);
  });

  it('sends each partition by itself after a failure, with the same producer, and the next batch with another', async () => {
    script(failedOnce('NOT_LEADER_FOR_PARTITION'));
    await send();
    await send();
    expect(kafka.sent).to.deep.equal([
      { producer: 1, partitions: [0, 1] },
      { producer: 1, partitions: [0] },
      { producer: 1, partitions: [1] },
      { producer: 2, partitions: [0, 1] },
    ]);
  });

  for (const type of ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID']) {
    it(`tries again with a fresh producer after ${type}`, async () => {
      script(protocolError(type, false));
      await send();
      expect(kafka.sent.map(({ producer: number }) => number)).to.deep.equal([1, 2, 2]);
    });
  }

  it('gives up at once what no repetition can mend', async () => {
    script(protocolError('MESSAGE_TOO_LARGE', false));
    expect(await codeOfSend()).to.equal('PUBLISH_FAILED');
    expect(kafka.sent).to.have.lengthOf(1);
  });

  it('gives up after its retries, and a later batch begins with a fresh producer', async () => {
    script(...Array.from({ length: 7 }, () => failedOnce('NOT_ENOUGH_REPLICAS')));
    expect(await codeOfSend()).to.equal('PUBLISH_FAILED');
    await send();
    expect(kafka.sent.at(-1)).to.deep.equal({ producer: 2, partitions: [0, 1] });
  });

  it('sends a message again to the partition that it chose first', async () => {
    script(failedOnce('closed'));
    const messages: Message[] = [{ key: null, value: 'event' }];
    await producer.send([{ topic: 'usage', messages }]);
    expect(new Set(kafka.sent.map(({ partitions }) => partitions[0])).size).to.equal(1);
    expect(messages[0]?.partition).to.equal(kafka.sent[0]?.partitions[0]);
  });
});
