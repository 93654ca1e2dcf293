/**
 * Owns: zstd: loading its WebAssembly once, and the bound on what a frame unpacks to.
 * Invariants: the library writes into a buffer of the size it is given and never beyond; that size is what the frame says,
 * when it is within the bound, and the bound itself when the frame does not say, as Java's never do. One frame, and no
 * window larger than the bound is asked for, since unpacking at once needs none.
 * Why not Node's own: it has zstd from 22.15 on, and two decoders could differ in what they refuse.
 * Source of the format: RFC 8878, section 3.1.1.
 */
import { compress, decompress, init } from '@bokuweb/zstd-wasm';
import type { Decompressed } from './decompress.js';

const MAGIC = 0xfd2fb528;
const SINGLE_SEGMENT = 0x20;
/** How the library tells ZSTD_error_dstSize_tooSmall. */
const OUTPUT_FULL = 'code -70';
const DICTIONARY_BITS = 0x03;
/** Bytes of the content size, by the two highest bits of the descriptor; the first counts only in a single segment. */
const CONTENT_SIZE_BYTES = [1, 2, 4, 8] as const;

let loading: Promise<void> | undefined;

/** Resolves when zstd can be used: 10 ms the first time. */
export function zstdReady(): Promise<void> {
  loading ??= init();
  return loading;
}

/** Packs as one frame. */
export function compressZstd(bytes: Buffer): Buffer {
  return Buffer.from(compress(bytes, COMPRESSION_LEVEL));
}

const COMPRESSION_LEVEL = 3;

/** Unpacks one frame. */
export function decompressZstd(bytes: Buffer, bytesMax: number): Decompressed {
  const size = contentSize(bytes);
  if (size === undefined) return { problem: 'damaged' };
  if (size !== 'unsaid' && size > bytesMax) return { problem: 'tooLarge' };
  try {
    const unpacked = decompress(bytes, { defaultHeapSize: bytesMax });
    return { bytes: Buffer.from(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength) };
  } catch (error) {
    const isTooLarge = error instanceof Error && error.message.endsWith(OUTPUT_FULL);
    return { problem: isTooLarge ? 'tooLarge' : 'damaged' };
  }
}

/** What a frame says it unpacks to; undefined when it is none, or needs a dictionary. */
function contentSize(bytes: Buffer): number | 'unsaid' | undefined {
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const descriptor = bytes.readUInt8(4);
  const isSingleSegment = (descriptor & SINGLE_SEGMENT) !== 0;
  if ((descriptor & DICTIONARY_BITS) !== 0) return undefined;
  const at = isSingleSegment ? 5 : 6;
  const length = CONTENT_SIZE_BYTES[(descriptor >> 6) as 0 | 1 | 2 | 3];
  if (length === 1 && !isSingleSegment) return 'unsaid';
  if (bytes.length < at + length) return undefined;
  if (length === 8) return Number(bytes.readBigUInt64LE(at));
  return bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0);
}
