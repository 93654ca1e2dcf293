/**
 * Owns: the bound on an LZ4 frame: what it may unpack to is added up from its block headers before it is unpacked.
 * Does not own: unpacking, checksums of blocks and content included (lz4-napi).
 * Invariants: one frame, with nothing behind it. A block is at most as large as the frame says, and at most 255 times as
 * large as it is packed, by the format; a frame that is honest by these bounds costs what it says.
 * Source of the format: lz4_Frame_format.md of the LZ4 project.
 */
import { decompressFrameSync } from 'lz4-napi';
import type { Decompressed } from './decompress.js';

const MAGIC = 0x184d2204;
const VERSION_BITS = 0xc0;
const VERSION = 0x40;
const HAS_BLOCK_CHECKSUM = 0x10;
const HAS_CONTENT_SIZE = 0x08;
const HAS_CONTENT_CHECKSUM = 0x04;
const HAS_DICTIONARY = 0x01;
const NOT_PACKED = 0x80000000;
/** By the number in the block descriptor, from 4: 64 KiB, 256 KiB, 1 MiB, 4 MiB. */
const BLOCK_SIZES = [64, 256, 1024, 4096].map((kib) => kib * 1024);
const RATIO_MAX = 255;
/** Every block costs a buffer of its own. Writers fill their blocks, so 16 MiB are 256 of the smallest kind. */
const BLOCKS_MAX = 4_096;

/** Unpacks one frame. */
export function decompressLz4(bytes: Buffer, bytesMax: number): Decompressed {
  const size = sizeAtMost(bytes);
  if (size === undefined) return { problem: 'damaged' };
  return size > bytesMax ? { problem: 'tooLarge' } : { bytes: decompressFrameSync(bytes) };
}

/** What a frame may unpack to; undefined when it is none, or does not end with its bytes. */
function sizeAtMost(bytes: Buffer): number | undefined {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const flags = bytes.readUInt8(4);
  const blockMax = BLOCK_SIZES[((bytes.readUInt8(5) >> 4) & 7) - 4];
  if ((flags & VERSION_BITS) !== VERSION || (flags & HAS_DICTIONARY) !== 0 || blockMax === undefined) return undefined;
  const checksumBytes = (flags & HAS_BLOCK_CHECKSUM) === 0 ? 0 : 4;
  let at = 7 + ((flags & HAS_CONTENT_SIZE) === 0 ? 0 : 8);
  let size = 0;
  for (let blocks = 0; at + 4 <= bytes.length && blocks <= BLOCKS_MAX; blocks += 1) {
    const header = bytes.readUInt32LE(at);
    at += 4;
    if (header === 0) return at + ((flags & HAS_CONTENT_CHECKSUM) === 0 ? 0 : 4) === bytes.length ? size : undefined;
    const packed = header % NOT_PACKED;
    size += header >= NOT_PACKED ? packed : Math.min(blockMax, packed * RATIO_MAX);
    at += packed + checksumBytes;
  }
  return undefined;
}
