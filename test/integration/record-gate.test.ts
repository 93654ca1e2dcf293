/**
 * Owns: what reaches the ledger of record batches as the world sends them: compressed by any codec, with headers without end,
 * bombs, and bytes that are no records. Each is accounted for, and what stands beside it is charged.
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import type { Message } from 'kafkajs';
import { gzipSync } from 'node:zlib';
import { CODECS } from '../../src/records/decompress.js';
import { compressionType } from '../../src/records/kafkajs-codecs.js';
import { zstdReady } from '../../src/records/zstd-frame.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { sumOf } from '../support/planned-tenants.js';
import { produceRaw } from '../support/raw-produce.js';
import { varint, writeBatch, writeRecords, xerial } from '../support/record-batches.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completion, COMPLETION_COST, completions } from '../support/usage-messages.js';

const PER_CODEC = 50;
const MIB = 1024 * 1024;
const ZEROS = gzipSync(Buffer.alloc(4 * MIB));

interface LetterRow {
  readonly kafka_offset: string;
  readonly reason: string;
  readonly detail: string;
  readonly message_key: Buffer | null;
  readonly message_value: Buffer | null;
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

describe('record batches as the world sends them', function () {
  this.timeout(120_000);
  let world: LedgerWorld;
  let charged = 0;

  before(async () => {
    await zstdReady();
    world = await LedgerWorld.create({ partitions: 1 });
  });

  after(() => world.close());

  function source(): { topic: string; partition: number } {
    return { topic: world.config.topicCompleted, partition: 0 };
  }

  function eventsOf(tenantId: string, count: number): Buffer[] {
    return completions(tenantId, count, { partition: 0 }).map(({ value }) => value as Buffer);
  }

  async function produce(messages: Message[], compression = kafkajs.CompressionTypes.None): Promise<void> {
    const producer = world.kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    await producer.send({ topic: source().topic, messages, compression });
    await producer.disconnect();
  }

  /** Charges all that is published, and fails unless ledger and topic are equal, and the ledger is proven. */
  async function expectCharged(more: number): Promise<void> {
    charged += more;
    const ledger = await world.start();
    await world.drain();
    await world.stop(ledger);
    expect(await world.assertProven()).to.equal(sumOf(Array.from({ length: charged }, () => COMPLETION_COST)));
  }

  async function letters(): Promise<LetterRow[]> {
    return world.rows<LetterRow>('SELECT * FROM dead_letters ORDER BY kafka_offset');
  }

  it('are charged when compressed with any codec, and with snappy in the framing of Java', async () => {
    for (const codec of CODECS) {
      await produce(completions(`kafkajs-${codec}`, PER_CODEC, { partition: 0 }), compressionType(codec));
    }
    const records = eventsOf('java', PER_CODEC).map((value) => ({ value }));
    const packed = xerial(writeRecords(records));
    await produceRaw(world.kafka, source(), [writeBatch({ records, codec: 'snappy', packed })]);
    await expectCharged((CODECS.length + 1) * PER_CODEC);
    expect(await letters()).to.deep.equal([]);
  });

  it('put aside alone a message with 9,000 headers, or 25,000, and keep its bytes', async () => {
    const value = Buffer.from(JSON.stringify(completion('headers', 'between')));
    for (const count of [9_000, 25_000]) {
      const headers = Object.fromEntries(Array.from({ length: count }, (_, index) => [`h${index}`, '']));
      await produce([{ key: 'k', value, headers }, { value: JSON.stringify(completion('headers', `after-${count}`)) }]);
    }
    await expectCharged(2);
    const [few, many, ...others] = await letters();
    expect(others).to.deep.equal([]);
    expect(few).to.include({ reason: 'TOO_MANY_HEADERS' }).with.property('detail').that.includes('has 9000 headers');
    expect(many).to.include({ reason: 'TOO_MANY_HEADERS' }).with.property('detail').that.includes('has 25000 headers');
    expect(few?.message_value?.equals(value)).to.equal(true);
    const [kept = ''] = few?.headers['(raw)'] ?? [];
    expect(Buffer.from(kept, 'base64').subarray(0, 4)).to.deep.equal(Buffer.concat([varint(9_000), varint(2)]));
  });

  it('become one dead letter for all offsets of a batch that cannot be read, with its bytes, and the next is charged', async () => {
    const before = (await letters()).length;
    const next = Number((await world.admin.fetchTopicOffsets(source().topic))[0]?.high);
    // Members of a gzip file may follow each other: 100 times 4 MiB of zeros.
    const records = writeRecords([{ value: Buffer.alloc(400 * MIB) }]);
    const head = records.subarray(0, records.length - 400 * MIB);
    const bomb = Buffer.concat([gzipSync(head), ...Array.from({ length: 100 }, () => ZEROS)]);
    expect(bomb.length).to.be.below(MIB / 2);
    const good = writeBatch({ records: eventsOf('after-the-bomb', 3).map((value) => ({ value })) });
    await produceRaw(world.kafka, source(), [writeBatch({ codec: 'gzip', packed: bomb, recordCount: 1 }), good]);
    await expectCharged(3);
    const [letter, ...others] = (await letters()).slice(before);
    expect(others).to.deep.equal([]);
    expect(letter).to.include({ kafka_offset: String(next), reason: 'UNREADABLE_BATCH' });
    expect(letter?.detail).to.include(`offsets ${next} to ${next}: the records have more than ${16 * MIB} bytes`);
    expect(letter?.message_value?.subarray(61).equals(bomb)).to.equal(true);
  });

  it('reconcile, verify and replay as equal, dead letters of whole batches included', async () => {
    const environment = world.environment as Record<string, string>;
    for (const command of [['reconcile'], ['verify'], ['replay', '--into-shadow']]) {
      const { exitCode, stdout, stderr } = await runTollbook(command, environment);
      expect(exitCode, `${command.join(' ')}: ${stdout}${stderr}`).to.equal(0);
    }
  });
});
