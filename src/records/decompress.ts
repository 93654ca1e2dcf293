/**
 * Owns: the four codecs of Kafka's record batches, and the bound on what each may bring forth.
 * Does not own: the framings of snappy and LZ4 (snappy-frames.ts, lz4-frame.ts), nor what the records mean.
 * Invariants: never throws, whatever the bytes; no more than the bound is ever in memory: it is checked before, or by
 * the library itself while it works; a refusal is worded here, since the words of libraries change with their versions.
 */
import { constants, gunzipSync, gzipSync } from 'node:zlib';
import { compressFrameSync } from 'lz4-napi';
import { compressSync } from 'snappy';
import { decompressLz4 } from './lz4-frame.js';
import { decompressSnappy } from './snappy-frames.js';
import { compressZstd, decompressZstd } from './zstd-frame.js';

/** The names of the codecs, in the order of their numbers in a batch's attributes. */
export const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

/** How the records of a batch are compressed. */
export type Codec = (typeof CODECS)[number];

/** Bytes that were compressed, or why they cannot be had. */
export type Decompressed = { readonly bytes: Buffer } | { readonly problem: 'damaged' | 'tooLarge' };

/** With 16 KiB, its default, zlib takes 60 ms for 16 MiB of output; with this 15. */
const GUNZIP_CHUNK_BYTES = 256 * 1024;

/** Decompresses at most `bytesMax` bytes; zstd needs `zstdReady` to have resolved. */
export function decompress(codec: Codec, bytes: Buffer, bytesMax: number): Decompressed {
  if (codec === 'none') return bytes.length > bytesMax ? { problem: 'tooLarge' } : { bytes };
  try {
    return DECOMPRESSORS[codec](bytes, bytesMax);
  } catch {
    return { problem: 'damaged' };
  }
}

/** Compresses as producers do: snappy raw, which every client reads, LZ4 and zstd as a frame; zstd needs `zstdReady`. */
export function compress(codec: Exclude<Codec, 'none'>, bytes: Buffer): Buffer {
  return COMPRESSORS[codec](bytes);
}

const DECOMPRESSORS: Readonly<Record<Exclude<Codec, 'none'>, (bytes: Buffer, bytesMax: number) => Decompressed>> = {
  gzip: decompressGzip,
  snappy: decompressSnappy,
  lz4: decompressLz4,
  zstd: decompressZstd,
};

const COMPRESSORS: Readonly<Record<Exclude<Codec, 'none'>, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => gzipSync(bytes),
  snappy: (bytes) => compressSync(bytes),
  lz4: (bytes) => compressFrameSync(bytes),
  zstd: compressZstd,
};

function decompressGzip(bytes: Buffer, bytesMax: number): Decompressed {
  try {
    const options = { maxOutputLength: bytesMax, chunkSize: GUNZIP_CHUNK_BYTES, finishFlush: constants.Z_FINISH };
    return { bytes: gunzipSync(bytes, options) };
  } catch (error) {
    const isTooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
    return { problem: isTooLarge ? 'tooLarge' : 'damaged' };
  }
}
