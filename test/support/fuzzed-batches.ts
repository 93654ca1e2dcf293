/**
 * Owns: record batches as a hostile or broken producer, broker or disk might write them: whole ones of every codec, and ones
 * that are spoiled in their header, in their packed bytes, in their records, or that unpack without end.
 * Does not own: the messages in them (fuzzed-messages.ts), nor who takes them.
 * Invariants: a function of the seed, the number of the part and the clock alone; `zstdReady` has resolved.
 */
import fc from 'fast-check';
import { CODECS, compress, type Codec } from '../../src/records/decompress.js';
import { type FuzzOptions, type FuzzedMessage, fuzzedMessages } from './fuzzed-messages.js';
import {
  varint,
  withChecksum,
  writeBatch,
  writeRecord,
  writeRecords,
  type WrittenRecord,
  xerial,
} from './record-batches.js';

/** What was done to a batch. */
export const BATCH_SPOILS = [
  ...['nothing', 'tombstones', 'headers without end', 'unpacks without end'],
  ...['header field', 'packed bytes', 'records before packing', 'control bit', 'checksum', 'prefix'],
] as const;
export type BatchSpoil = (typeof BATCH_SPOILS)[number];

/** A batch, and what was done to it. */
export interface FuzzedBatch {
  readonly spoil: BatchSpoil;
  readonly bytes: Buffer;
}

/** Of these no broker takes a batch, for it checks just what they spoil. */
export const NEVER_TAKEN: ReadonlySet<BatchSpoil> = new Set(['control bit', 'checksum', 'prefix']);

/** As many as are made at once. */
export const FUZZED_BATCHES_PER_PART = 1_000;

const RECORDS_MAX = 5;
const PENDING_EVERY = 20;
const BOMB_BYTES = 20 * 1024 * 1024;
const HEADERS_END = 61;
type HeaderField = readonly [at: number, bytes: number];
/** The fields behind the checksum. */
const HEADER_FIELDS: readonly HeaderField[] = [
  [21, 2],
  [23, 4],
  [27, 8],
  [35, 8],
  [43, 8],
  [51, 2],
  [53, 4],
  [57, 4],
];
/** Base offset, length, leader epoch and the version of the format. */
const PREFIX_FIELDS: readonly HeaderField[] = [
  [0, 8],
  [8, 4],
  [12, 4],
  [16, 1],
];
const CODEC_BITS = 0x07;
const CONTROL_BIT = 0x20;

/** Lengths that no record can have, and varints that do not end. */
const ODD_VARINTS = [
  ...[-1, -2, 0, 1, 2 ** 31 - 1, -(2 ** 31), 2 ** 40, -(2 ** 52)].map(varint),
  Buffer.alloc(10, 0xff),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]),
];

interface Choices {
  readonly spoil: BatchSpoil;
  readonly codec: Codec | 'xerial';
  readonly records: number;
  readonly at: number;
  readonly pick: number;
  readonly bytes: Uint8Array;
}

const choices: fc.Arbitrary<Choices> = fc.record({
  spoil: fc.oneof(
    { weight: 300, arbitrary: fc.constant<BatchSpoil>('nothing') },
    { weight: 30, arbitrary: fc.constantFrom<BatchSpoil>('tombstones', 'headers without end', 'control bit') },
    { weight: 3, arbitrary: fc.constant<BatchSpoil>('unpacks without end') },
    { weight: 200, arbitrary: fc.constant<BatchSpoil>('header field') },
    { weight: 250, arbitrary: fc.constantFrom<BatchSpoil>('packed bytes', 'records before packing') },
    { weight: 120, arbitrary: fc.constantFrom<BatchSpoil>('checksum', 'prefix') },
  ),
  codec: fc.constantFrom(...CODECS, 'xerial' as const),
  records: fc.integer({ min: 1, max: RECORDS_MAX }),
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  pick: fc.nat(),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
});

/** Makes a part of the endless sequence of batches. */
export function fuzzedBatches(options: FuzzOptions): FuzzedBatch[] {
  const made = fc.sample(choices, { seed: options.seed + options.part, numRuns: options.count });
  const needed = made.reduce((sum, { records }) => sum + records, 0);
  // As many of each kind: the topic is that of completions, where a pending event is no more than another dead letter.
  const both = fuzzedMessages({ ...options, count: 2 * needed });
  const messages = both.filter(({ kind }, index) => kind === 'completed' || index % PENDING_EVERY === 0);
  let taken = 0;
  return made.map((choice) => {
    const own = messages.slice(taken, (taken += choice.records)).map(recordOf);
    return { spoil: choice.spoil, bytes: SPOILS[choice.spoil](own, choice) };
  });
}

function recordOf({ message }: FuzzedMessage): WrittenRecord {
  const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [name, bufferOf(value)] as const);
  return { key: bufferOf(message.key), value: bufferOf(message.value), headers };
}

function bufferOf(value: unknown): Buffer | null {
  if (Buffer.isBuffer(value)) return value;
  return typeof value === 'string' ? Buffer.from(value) : null;
}

type Spoil = (records: readonly WrittenRecord[], choice: Choices) => Buffer;

const SPOILS: Readonly<Record<BatchSpoil, Spoil>> = {
  nothing: (records, { codec }) => batchOf(records, writeRecords(records), codec),
  tombstones: (records, { codec }) => {
    const empty = records.map((record) => ({ ...record, value: null }));
    return batchOf(empty, writeRecords(empty), codec);
  },
  'headers without end': (records, { codec, pick }) => {
    const headers = Array.from({ length: 200 + (pick % 400) }, (_, index) => [`h${index}`, null] as const);
    const many = records.map((record, index) => (index === 0 ? { ...record, headers } : record));
    return batchOf(many, writeRecords(many), codec);
  },
  'unpacks without end': (_records, { pick }) => {
    const codec = CODECS[1 + (pick % (CODECS.length - 1))] as Exclude<Codec, 'none'>;
    return writeBatch({ codec, packed: bombOf(codec), recordCount: 1, baseTimestampMs: Date.now() });
  },
  'header field': (records, choice) => withField(batchOf(records, writeRecords(records), choice.codec), choice),
  'packed bytes': (records, choice) => {
    const batch = batchOf(records, writeRecords(records), choice.codec);
    return rebuilt(batch, changed(batch.subarray(HEADERS_END), choice, Buffer.from(choice.bytes)));
  },
  'records before packing': (records, choice) => batchOf(records, oddRecords(records, choice), choice.codec),
  'control bit': (records, { codec }) => {
    const batch = batchOf(records, writeRecords(records), codec);
    batch.writeInt16BE(batch.readInt16BE(21) | CONTROL_BIT, 21);
    return withChecksum(batch);
  },
  checksum: (records, { codec, at, pick }) => {
    const batch = batchOf(records, writeRecords(records), codec);
    const place = 17 + Math.floor(at * (batch.length - 17));
    batch.writeUInt8((batch.readUInt8(place) ^ (1 + (pick % 255))) & 0xff, place);
    return batch;
  },
  prefix: (records, choice) => {
    const batch = batchOf(records, writeRecords(records), choice.codec);
    overwrite(batch, PREFIX_FIELDS, choice);
    return batch;
  },
};

function batchOf(records: readonly WrittenRecord[], body: Buffer, codec: Choices['codec']): Buffer {
  const facts = { recordCount: records.length, baseTimestampMs: Date.now() };
  if (codec === 'xerial') return writeBatch({ ...facts, codec: 'snappy', packed: xerial(body, 1_024) });
  return writeBatch({ ...facts, codec, packed: codec === 'none' ? body : compress(codec, body) });
}

const bombs = new Map<Codec, Buffer>();

function bombOf(codec: Exclude<Codec, 'none'>): Buffer {
  const known = bombs.get(codec);
  if (known !== undefined) return known;
  const bomb = compress(codec, writeRecords([{ value: Buffer.alloc(BOMB_BYTES) }]));
  bombs.set(codec, bomb);
  return bomb;
}

/** A field of the header changed, and the checksum made anew: the broker's checks and the gate's are what is left. */
function withField(batch: Buffer, choice: Choices): Buffer {
  const codecOnly = choice.pick % 4 === 0;
  if (codecOnly) batch.writeInt16BE((batch.readInt16BE(21) & ~CODEC_BITS) | ((choice.pick >> 2) % 8), 21);
  else overwrite(batch, HEADER_FIELDS, choice);
  return withChecksum(batch);
}

function overwrite(batch: Buffer, fields: readonly HeaderField[], { pick, at, bytes }: Choices): void {
  const [place, size] = fields[pick % fields.length] ?? [0, 1];
  // Small changes are the ones that come near to being right.
  const value = at < 0.5 ? Buffer.from(bytes).subarray(0, size) : Buffer.of((pick >> 4) % 8);
  value.copy(batch, place + size - value.length);
}

/** Overwrites, removes, repeats or inserts bytes somewhere. */
function changed(bytes: Buffer, { at, pick }: Choices, drawn: Buffer): Buffer {
  const place = Math.floor(at * bytes.length);
  const [head, tail] = [bytes.subarray(0, place), bytes.subarray(place)];
  const ways = [
    (): Buffer => Buffer.concat([head, drawn, tail.subarray(drawn.length)]),
    (): Buffer => Buffer.concat([head, drawn, tail]),
    (): Buffer => Buffer.concat([head, tail.subarray(drawn.length)]),
    (): Buffer => Buffer.concat([bytes, tail]),
    (): Buffer => head,
  ];
  return (ways[pick % ways.length] as () => Buffer)();
}

/** The batch with other bytes behind its header; length and checksum are right again. */
function rebuilt(batch: Buffer, packed: Buffer): Buffer {
  const whole = Buffer.concat([batch.subarray(0, HEADERS_END), packed]);
  whole.writeInt32BE(whole.length - 12, 8);
  return withChecksum(whole);
}

/** Records with a length that is none, most often where lengths stand: at the beginning and before the headers. */
function oddRecords(records: readonly WrittenRecord[], choice: Choices): Buffer {
  const written = records.map((record, index) => writeRecord({ offsetDelta: index, ...record }));
  const index = choice.pick % written.length;
  const record = written[index] ?? Buffer.alloc(0);
  const place = choice.at < 0.5 ? choice.at / 10 : choice.at;
  const odd = ODD_VARINTS[choice.pick % ODD_VARINTS.length] ?? Buffer.alloc(0);
  written[index] = changed(record, { ...choice, at: place }, odd);
  return Buffer.concat(written);
}
