/**
 * Owns: the codecs that kafkajs lacks for producing: it brings gzip alone.
 * Invariants: registered for the whole process, as kafkajs has it, and the same however often.
 */
import kafkajs from 'kafkajs';
import { type Codec, compress, decompress } from './decompress.js';
import { TollbookError } from '../runtime/errors.js';
import { BATCH_BYTES_MAX } from './bounds.js';
import { zstdReady } from './zstd-frame.js';

const { CompressionCodecs, CompressionTypes } = kafkajs;

/** kafkajs' number of each codec. */
const TYPES: Readonly<Record<Codec, kafkajs.CompressionTypes>> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

interface KafkajsCodec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(bytes: Buffer): Promise<Buffer>;
}

function codecOf(codec: 'snappy' | 'lz4' | 'zstd'): KafkajsCodec {
  return {
    compress: async ({ buffer }) => {
      await zstdReady();
      return compress(codec, buffer);
    },
    decompress: async (bytes) => {
      await zstdReady();
      const found = decompress(codec, bytes, BATCH_BYTES_MAX);
      if ('bytes' in found) return found.bytes;
      throw new TollbookError('KAFKA_UNAVAILABLE', `a batch cannot be decompressed (${codec}): ${found.problem}`);
    },
  };
}

/** What a producer of kafkajs is told to compress with a codec; makes sure that it can. */
export function compressionType(codec: Codec): kafkajs.CompressionTypes {
  if (codec === 'snappy' || codec === 'lz4' || codec === 'zstd') {
    const codecs = CompressionCodecs as Record<number, () => KafkajsCodec>;
    codecs[TYPES[codec]] = () => codecOf(codec);
  }
  return TYPES[codec];
}
