/**
 * Owns: what each codec of a record batch brings back, and that no input costs more than 100 ms and 100 MB: neither what
 * expands without end, nor what lies about its size, nor what is broken anywhere.
 */
import { expect } from 'chai';
import { gzipSync } from 'node:zlib';
import { CODECS, compress, type Codec, decompress } from '../../../src/records/decompress.js';
import { zstdReady } from '../../../src/records/zstd-frame.js';
import { xerial } from '../../support/record-batches.js';
import { expectCheap } from '../../support/worst-case.js';

const MIB = 1024 * 1024;
const BYTES_MAX = 16 * MIB;
const PACKING = CODECS.filter((codec): codec is Exclude<Codec, 'none'> => codec !== 'none');

/** Text that packs about as well as usage events do. */
const TEXT = Buffer.from(Array.from({ length: 20_000 }, (_, index) => `{"trace_id":"${index * 7919}"},`).join(''));

/** A megabyte, or less where it needs none, that unpacks to as much as its format can be brought to. */
function bombOf(codec: Exclude<Codec, 'none'>): Buffer {
  return codec === 'gzip' ? gzipSync(Buffer.alloc(400 * MIB), { level: 1 }) : compress(codec, Buffer.alloc(200 * MIB));
}

describe('decompressing the records of a batch', function () {
  this.timeout(60_000);

  before(zstdReady);

  for (const codec of PACKING) {
    it(`brings back what was packed with ${codec}, up to just as many bytes as are allowed`, () => {
      const packed = compress(codec, TEXT);
      expect(packed.length).to.be.below(TEXT.length / 2);
      const unpacked = decompress(codec, packed, BYTES_MAX);
      expect('bytes' in unpacked && unpacked.bytes.equals(TEXT)).to.equal(true);
      // An LZ4 frame is refused by the sum of what its blocks may hold; all others to the byte.
      if (codec === 'lz4') return;
      expect('bytes' in decompress(codec, packed, TEXT.length)).to.equal(true);
      expect(decompress(codec, packed, TEXT.length - 1)).to.deep.equal({ problem: 'tooLarge' });
    });

    it(`refuses what unpacks to hundreds of megabytes with ${codec}, in 100 ms and 100 MB`, () => {
      const bomb = bombOf(codec);
      expectCheap(() => expect(decompress(codec, bomb, BYTES_MAX)).to.deep.equal({ problem: 'tooLarge' }));
    });

    it(`never throws, whatever is broken in what was packed with ${codec}`, () => {
      const packed = compress(codec, TEXT.subarray(0, 400));
      for (let at = 0; at < packed.length; at += 1) {
        const [cut, changed] = [packed.subarray(0, at), Buffer.from(packed)];
        changed[at]! ^= 0xff;
        for (const broken of [cut, changed]) expect(decompress(codec, broken, MIB)).to.be.an('object');
      }
      expect(decompress(codec, packed.subarray(0, packed.length / 2), MIB)).to.deep.equal({ problem: 'damaged' });
      expect(decompress(codec, Buffer.alloc(0), MIB)).to.deep.equal({ problem: 'damaged' });
    });

    it(`takes no longer for a megabyte of noise under the name of ${codec}`, () => {
      const noise = Buffer.alloc(MIB);
      for (let at = 0, state = 1; at < MIB; at += 1) noise[at] = (state = (state * 48_271) % 0x7fffffff) & 0xff;
      const head = compress(codec, TEXT).subarray(0, 40);
      for (const bytes of [noise, Buffer.concat([head, noise])]) {
        expectCheap(() => expect(decompress(codec, bytes, BYTES_MAX)).to.have.property('problem'));
      }
    });
  }

  it('reads both framings of snappy: raw, and that of Java in blocks of any size', () => {
    for (const packed of [
      xerial(TEXT),
      xerial(TEXT, 1_000),
      Buffer.concat([xerial(TEXT.subarray(0, 9)), xerial(TEXT.subarray(9))]),
    ]) {
      const unpacked = decompress('snappy', packed, TEXT.length);
      expect('bytes' in unpacked && unpacked.bytes.equals(TEXT)).to.equal(true);
    }
    expect(decompress('snappy', xerial(TEXT, 1_000), TEXT.length - 1)).to.deep.equal({ problem: 'tooLarge' });
  });

  it('takes no longer for a megabyte of tiny blocks of snappy, or of LZ4', () => {
    const snappy = Buffer.concat([
      xerial(Buffer.alloc(0)),
      ...Array.from({ length: 16_000 }, () => xerial(Buffer.alloc(1)).subarray(16)),
    ]);
    const [head, blocks] = [compress('lz4', Buffer.alloc(0)).subarray(0, 7), Buffer.alloc(MIB)];
    for (let at = 0; at + 5 <= MIB; at += 5) blocks.writeUInt32LE(0x80000001, at);
    expectCheap(() => expect(decompress('snappy', snappy, BYTES_MAX)).to.have.property('bytes'));
    expectCheap(() =>
      expect(decompress('lz4', Buffer.concat([head, blocks]), BYTES_MAX)).to.deep.equal({ problem: 'damaged' }),
    );
  });

  it('believes no size: a block of snappy, a frame of LZ4 or zstd that claims gigabytes', () => {
    const zstd = Buffer.alloc(100);
    zstd.writeUInt32LE(0xfd2fb528, 0);
    zstd[4] = 0xe0;
    zstd.writeBigUInt64LE(2n ** 62n, 5);
    const unsaid = Buffer.from(zstd);
    unsaid[4] = 0;
    const lz4 = compress('lz4', TEXT);
    lz4.writeUInt32LE(0x7fffffff, 7);
    for (const [codec, bytes] of [
      ['snappy', Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3])],
      ['snappy', Buffer.concat([xerial(TEXT).subarray(0, 16), Buffer.from([0x7f, 0xff, 0xff, 0xff]), TEXT])],
      ['snappy', Buffer.concat([xerial(TEXT).subarray(0, 16), Buffer.from([0xff, 0xff, 0xff, 0xff]), TEXT])],
      ['lz4', lz4],
      ['zstd', zstd],
      ['zstd', unsaid],
    ] as const) {
      expectCheap(() => expect(decompress(codec, bytes, BYTES_MAX)).to.have.property('problem'));
    }
  });
});
