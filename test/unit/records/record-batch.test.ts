/**
 * Owns: what is read of a record batch: keys, values, headers and times byte for byte, and one verdict for a batch that
 * is not as the format says, whose cost its bytes bound.
 */
import { crc32 } from '@node-rs/crc32';
import { expect } from 'chai';
import { BATCH_RECORDS_MAX, HEADERS_MAX, KEPT_BYTES_MAX } from '../../../src/records/bounds.js';
import { CODECS, compress } from '../../../src/records/decompress.js';
import { FetchedLog } from '../../../src/records/fetched-log.js';
import type { FetchedMessage } from '../../../src/records/fetched-message.js';
import { zstdReady } from '../../../src/records/zstd-frame.js';
import { JAVA_LOG, JAVA_MESSAGES_PER_CODEC } from '../../support/java-batches.js';
import {
  varint,
  withChecksum,
  writeBatch,
  writeRecord,
  writeRecords,
  type WrittenBatch,
} from '../../support/record-batches.js';
import { expectCheap } from '../../support/worst-case.js';

const MIB = 1024 * 1024;

function messagesOf(bytes: Buffer, from = 0n): FetchedMessage[] {
  const log = FetchedLog.of(bytes, { topic: 'usage', partition: 0, from });
  return [...log.stretches()].flatMap((stretch) => (stretch.kind === 'read' ? [...stretch.messages] : []));
}

/** Why the one message that stands for a batch cannot be read. */
function problemOf(batch: Buffer, from = 0n): string {
  const messages = messagesOf(batch, from);
  expect(messages).to.have.length(1);
  expect(messages[0]?.unreadable?.reason).to.equal('UNREADABLE_BATCH');
  return messages[0]?.unreadable?.detail ?? '';
}

/** Overwrites bytes of a record within records of its length. */
function recordOf(body: Buffer): Buffer {
  return Buffer.concat([varint(body.length), body]);
}

describe('a record batch', () => {
  before(zstdReady);

  for (const codec of CODECS) {
    it(`gives keys, values, headers, offsets and times as they were sent (${codec})`, () => {
      const headers = [
        ['one', Buffer.from('text')],
        ['many', Buffer.of(255)],
        ['many', Buffer.alloc(0)],
        ['none', null],
        ['__proto__', Buffer.from('p')],
        ['constructor', Buffer.from('c')],
      ] as const;
      const records = [
        { key: Buffer.from('k'), value: Buffer.from('v'), headers, timestampDelta: 5 },
        { key: null, value: null },
        { key: Buffer.alloc(0), value: Buffer.alloc(300, 1), timestampDelta: -3 },
      ];
      const baseOffset = 9_007_199_254_740_993n;
      const batch = writeBatch({ baseOffset, records, codec, baseTimestampMs: 1_700_000_000_000 });
      const [first, second, third] = messagesOf(batch, baseOffset);
      expect(first).to.include({ kafkaOffset: baseOffset, timestampMs: 1_700_000_000_005, unreadable: undefined });
      expect([first?.key, first?.value]).to.deep.equal([Buffer.from('k'), Buffer.from('v')]);
      expect(Object.entries(first?.headers ?? {})).to.deep.equal([
        ['one', [Buffer.from('text')]],
        ['many', [Buffer.of(255), Buffer.alloc(0)]],
        ['none', []],
        ['__proto__', [Buffer.from('p')]],
        ['constructor', [Buffer.from('c')]],
      ]);
      expect([second?.key, second?.value]).to.deep.equal([null, null]);
      expect(Object.keys(second?.headers ?? { missing: [] })).to.deep.equal([]);
      expect(third).to.include({ kafkaOffset: baseOffset + 2n, timestampMs: 1_699_999_999_997 });
      expect([third?.key, third?.value]).to.deep.equal([Buffer.alloc(0), Buffer.alloc(300, 1)]);
    });
  }

  it('has one time for all messages when the broker gave it', () => {
    const batch = writeBatch({ records: [{ timestampDelta: 7 }], baseTimestampMs: 10, appendedAtMs: 99 });
    expect(messagesOf(batch)[0]).to.include({ timestampMs: 99 });
  });

  it('is read as the Java client writes it, with each of its codecs', () => {
    const messages = messagesOf(JAVA_LOG);
    expect(messages).to.have.length(4 * JAVA_MESSAGES_PER_CODEC);
    for (const [index, { key, value }] of messages.entries()) {
      expect(key?.toString()).to.equal('tenant-java');
      const event = JSON.parse(value?.toString() ?? '') as { trace_id: string };
      expect(event.trace_id).to.equal(`java-${index % JAVA_MESSAGES_PER_CODEC}`);
    }
  });

  const records = [{ value: Buffer.from('a') }, { value: Buffer.from('b') }];
  const malformed: Readonly<Record<string, WrittenBatch>> = {
    'fewer records than it counts': { records, recordCount: 3 },
    'more records than it counts': { records, recordCount: 1, lastOffsetDelta: 1 },
    'a negative number of records': { records, recordCount: -1, lastOffsetDelta: 1 },
    'two billion records': { records, recordCount: 0x7fffffff, lastOffsetDelta: 0x7fffffff },
    'more records than are allowed': { records, recordCount: BATCH_RECORDS_MAX + 1 },
    'a codec that does not exist': { records, codecNumber: 5 },
    'other bytes than its codec says': { records, codecNumber: 2 },
    'offsets that go back': { records: [{ offsetDelta: 1 }, { offsetDelta: 0 }] },
    'an offset there twice': { records: [{ offsetDelta: 0 }, { offsetDelta: 0 }] },
    'a negative offset': { records: [{ offsetDelta: -1 }] },
    'an offset beyond its last': { records: [{ offsetDelta: 2 }], lastOffsetDelta: 1 },
    'a record of no bytes': { packed: varint(0), recordCount: 1 },
    'a record of negative length': { packed: varint(-5), recordCount: 1 },
    'a record longer than the batch': { packed: Buffer.concat([varint(1_000), Buffer.alloc(9)]), recordCount: 1 },
    'a varint without end': { packed: Buffer.alloc(20, 0xff), recordCount: 1 },
    'a key longer than its record': { packed: recordOf(Buffer.concat([Buffer.alloc(3), varint(90)])), recordCount: 1 },
    'a value longer than its record': {
      packed: recordOf(Buffer.concat([Buffer.alloc(3), varint(-1), varint(0x7fffffff), varint(0)])),
      recordCount: 1,
    },
    'a negative number of headers': {
      packed: recordOf(Buffer.concat([Buffer.alloc(3), varint(-1), varint(-1), varint(-1)])),
      recordCount: 1,
    },
    'headers beyond its record': {
      packed: recordOf(Buffer.concat([Buffer.alloc(3), varint(-1), varint(-1), varint(2), varint(1), Buffer.alloc(2)])),
      recordCount: 1,
    },
    'bytes after the headers of a record': {
      packed: recordOf(Buffer.concat([Buffer.alloc(3), varint(-1), varint(-1), varint(0), Buffer.alloc(1)])),
      recordCount: 1,
    },
    'bytes after its records': { packed: Buffer.concat([writeRecords(records), Buffer.alloc(1)]), recordCount: 2 },
  };
  for (const [what, written] of Object.entries(malformed)) {
    it(`with ${what} is one dead letter, with its bytes`, () => {
      const batch = writeBatch({ baseOffset: 5n, lastOffsetDelta: 2, ...written });
      const [message] = messagesOf(batch, 5n);
      expect(problemOf(batch, 5n)).to.match(/^offsets 5 to \d+: the /);
      expect(message?.value?.equals(batch)).to.equal(true);
    });
  }

  it('of an old format is one dead letter, when its checksum is right', () => {
    const message = Buffer.concat([Buffer.alloc(16), Buffer.of(1, 0), Buffer.alloc(24)]);
    message.writeBigInt64BE(3n, 0);
    message.writeInt32BE(message.length - 12, 8);
    message.writeUInt32BE(crc32(message.subarray(16)), 12);
    expect(problemOf(message, 3n)).to.include('offsets 3 to 3: the format has version 1; allowed: 2');
  });

  it('that is larger than what is kept is told by its length and its SHA-256', () => {
    const batch = writeBatch({ records: [{ value: Buffer.alloc(KEPT_BYTES_MAX) }], recordCount: 2 });
    const [message] = messagesOf(batch);
    expect(message?.value).to.equal(null);
    expect(problemOf(batch)).to.match(new RegExp(`batch of ${batch.length} bytes, SHA-256 [0-9a-f]{64}, not kept`));
  });

  it('is read from the middle as its offsets from there on, also when it cannot be read', () => {
    const readable = writeBatch({ records: [{}, {}, {}] });
    expect(messagesOf(readable, 1n).map(({ kafkaOffset }) => kafkaOffset)).to.deep.equal([1n, 2n]);
    expect(problemOf(writeBatch({ records, recordCount: 9 }), 4n)).to.match(/^offsets 4 to 8: /);
  });

  it('with a message that has too many headers gives the others, and of that one key, value and raw headers', () => {
    const headers = Array.from({ length: HEADERS_MAX + 1 }, (_, index) => [`h${index}`, null] as const);
    const just = headers.slice(1);
    const large = [['h', Buffer.alloc(65 * 1024)]] as const;
    const batch = writeBatch({
      records: [{ headers, value: Buffer.from('v') }, { headers: just }, { headers: large }],
    });
    const [many, fine, wide] = messagesOf(batch);
    expect(many?.unreadable?.detail).to.include('has 257 headers of');
    expect(many?.value).to.deep.equal(Buffer.from('v'));
    expect(Object.keys(many?.headers ?? {})).to.deep.equal(['(raw)']);
    expect(fine?.unreadable).to.equal(undefined);
    expect(Object.keys(fine?.headers ?? {})).to.have.length(HEADERS_MAX);
    expect(wide?.unreadable).to.include({ reason: 'TOO_MANY_HEADERS' });
  });

  it('costs less than 100 ms and 100 MB, whatever a megabyte of it holds', () => {
    const name = Buffer.from('h');
    const header = Buffer.concat([varint(1), name, varint(-1)]);
    const headersOf = (count: number, offsetDelta = 0): Buffer => {
      const head = [Buffer.alloc(2), varint(offsetDelta), varint(-1), varint(-1), varint(count)];
      return recordOf(Buffer.concat([...head, Buffer.alloc(count * header.length, header)]));
    };
    const tiny = writeRecord({});
    const megabytes: Readonly<Record<string, WrittenBatch>> = {
      'the smallest records': { records: Array.from({ length: 140_000 }, () => ({})) },
      'one record of headers': { packed: headersOf(330_000), recordCount: 1 },
      'records of as many headers as are allowed': {
        packed: Buffer.concat(Array.from({ length: 1_300 }, (_, index) => headersOf(HEADERS_MAX, index))),
        recordCount: 1_300,
      },
      'varints without end': { packed: Buffer.alloc(MIB, 0xff), recordCount: BATCH_RECORDS_MAX },
      zeros: { packed: Buffer.alloc(MIB), recordCount: BATCH_RECORDS_MAX },
      'records at one offset, well packed': {
        packed: compress('gzip', Buffer.alloc(2 * MIB * tiny.length, tiny)),
        codec: 'gzip',
        recordCount: BATCH_RECORDS_MAX,
      },
    };
    for (const [what, written] of Object.entries(megabytes)) {
      const batch = writeBatch(written);
      let read = 0;
      expectCheap(() => {
        const log = FetchedLog.of(batch, { topic: 't', partition: 0, from: 0n });
        for (const stretch of log.stretches()) {
          if (stretch.kind === 'read')
            for (const message of stretch.messages) read += message.unreadable === undefined ? 1 : 2;
        }
      });
      expect(read, what).to.be.above(0);
    }
  }).timeout(60_000);

  it('is told as damaged, never as a letter, when any of its bytes changes', () => {
    const whole = writeBatch({ records, baseOffset: 4n });
    for (let at = 16; at < whole.length; at += 1) {
      const changed = Buffer.from(whole);
      changed[at]! ^= 1 << (at % 8);
      const [stretch] = FetchedLog.of(changed, { topic: 't', partition: 0, from: 4n }).stretches();
      expect(stretch?.kind, `byte ${at}`).to.equal('damaged');
    }
    const again = withChecksum(Buffer.from(whole));
    expect(messagesOf(again, 4n)).to.have.length(2);
  });
});
