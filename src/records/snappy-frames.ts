/**
 * Owns: snappy as it is found in Kafka: raw, and in the framing of Java's SnappyOutputStream ("xerial"): a header of 16
 * bytes, then blocks, each behind its length. Blocks of several such streams may follow each other, header included.
 * Invariants: every block tells its size first, and nothing is unpacked unless the sum is within the bound.
 * Source of the framing: org.xerial.snappy.SnappyCodec and SnappyInputStream.
 */
import { uncompressSync } from 'snappy';
import type { Decompressed } from './decompress.js';

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
/** The magic bytes, a version and the oldest version that can read it. */
const XERIAL_HEADER_BYTES = 16;
const BLOCK_LENGTH_BYTES = 4;
/** Java's blocks hold 32 KiB; a block costs a call, so a batch of tiny ones would take long. */
const BLOCKS_MAX = 16_384;

/** Unpacks either framing. */
export function decompressSnappy(bytes: Buffer, bytesMax: number): Decompressed {
  const blocks = isXerial(bytes, 0) ? xerialBlocks(bytes) : [bytes];
  if (blocks === undefined) return { problem: 'damaged' };
  let total = 0;
  for (const block of blocks) {
    const size = declaredSize(block);
    if (size === undefined) return { problem: 'damaged' };
    total += size;
    if (total > bytesMax) return { problem: 'tooLarge' };
  }
  const unpacked = blocks.map((block) => uncompressSync(block, { asBuffer: true }) as Buffer);
  const [only] = unpacked;
  return { bytes: unpacked.length === 1 && only !== undefined ? only : Buffer.concat(unpacked, total) };
}

function isXerial(bytes: Buffer, at: number): boolean {
  return bytes.length - at >= XERIAL_HEADER_BYTES && bytes.compare(XERIAL_MAGIC, 0, 8, at, at + 8) === 0;
}

/** The blocks of a framed stream; undefined when the framing is broken. */
function xerialBlocks(bytes: Buffer): Buffer[] | undefined {
  const blocks: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (isXerial(bytes, at)) {
      at += XERIAL_HEADER_BYTES;
      continue;
    }
    if (bytes.length - at < BLOCK_LENGTH_BYTES || blocks.length === BLOCKS_MAX) return undefined;
    const end = at + BLOCK_LENGTH_BYTES + bytes.readInt32BE(at);
    if (end <= at + BLOCK_LENGTH_BYTES || end > bytes.length) return undefined;
    blocks.push(bytes.subarray(at + BLOCK_LENGTH_BYTES, end));
    at = end;
  }
  return blocks;
}

const VARINT_BYTES_MAX = 5;

/** What a block says it unpacks to: an unsigned varint at its start. */
function declaredSize(block: Buffer): number | undefined {
  let size = 0;
  for (let index = 0; index < VARINT_BYTES_MAX; index += 1) {
    const byte = block[index];
    if (byte === undefined) return undefined;
    size += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return size;
  }
  return undefined;
}
