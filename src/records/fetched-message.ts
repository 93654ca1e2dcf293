/**
 * Owns: a message as it lies in a batch: key and headers are found in its bytes when they are asked for, which is seldom.
 * Invariants: nothing is copied; a message keeps its batch's bytes in memory as long as it lives; headers of one name
 * are in the order in which they were sent, and no name reaches a prototype.
 */
import type { UnreadableReason } from '../ledger/dead-letter.js';
import { nameMap } from '../runtime/name-map.js';
import { VarintReader } from './varints.js';

/** Header values by name. */
export type MessageHeaders = Readonly<Record<string, readonly Buffer[]>>;

/** Why a message, or the batch that it stands for, cannot be read. */
export interface Unreadable {
  readonly reason: UnreadableReason;
  readonly detail: string;
}

/** One message of a fetch. */
export interface FetchedMessage {
  readonly kafkaOffset: bigint;
  /** As its producer gave it, or as the broker appended it; in milliseconds since the Unix epoch. */
  readonly timestampMs: number;
  /** Of the whole record: key, value and headers. */
  readonly sizeBytes: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: MessageHeaders;
  readonly unreadable?: Unreadable | undefined;
}

/** Where a record lies in the bytes of all records of its batch. */
export interface RecordPlace {
  /** Where its key's length stands. */
  readonly keyAt: number;
  readonly valueAt: number;
  /** -1 is null. */
  readonly valueLength: number;
  readonly end: number;
}

/** The name under which headers stand that are too many to be read. */
export const RAW_HEADERS = '(raw)';

const NO_HEADERS: MessageHeaders = Object.freeze(nameMap<readonly Buffer[]>([]));

/** A message of a readable batch. */
export class RecordMessage implements FetchedMessage {
  readonly kafkaOffset: bigint;
  readonly timestampMs: number;
  readonly sizeBytes: number;
  readonly value: Buffer | null;
  readonly unreadable: Unreadable | undefined;
  readonly #records: Buffer;
  readonly #keyAt: number;

  constructor(
    records: Buffer,
    { keyAt, valueAt, valueLength, end }: RecordPlace,
    facts: Pick<FetchedMessage, 'kafkaOffset' | 'timestampMs' | 'unreadable'>,
  ) {
    this.kafkaOffset = facts.kafkaOffset;
    this.timestampMs = facts.timestampMs;
    this.unreadable = facts.unreadable;
    this.sizeBytes = end - keyAt;
    this.value = valueLength < 0 ? null : records.subarray(valueAt, valueAt + valueLength);
    this.#records = records;
    this.#keyAt = keyAt;
  }

  get key(): Buffer | null {
    return readBytes(this.#reader(), this.#records);
  }

  /** Of a message with too many headers, all of them as they are, under one name that says so. */
  get headers(): MessageHeaders {
    const reader = this.#reader();
    reader.skip(reader.int());
    reader.skip(reader.int());
    const headersAt = reader.at;
    const count = reader.int();
    if (count === 0) return NO_HEADERS;
    if (this.unreadable === undefined) return readHeaders(reader, count, this.#records);
    return { [RAW_HEADERS]: [this.#records.subarray(headersAt, this.#end)] };
  }

  get #end(): number {
    return this.#keyAt + this.sizeBytes;
  }

  #reader(): VarintReader {
    return new VarintReader(this.#records, this.#keyAt, this.#end);
  }
}

function readBytes(reader: VarintReader, records: Buffer): Buffer | null {
  const length = reader.int();
  if (length < 0) return null;
  const at = reader.at;
  reader.skip(length);
  return records.subarray(at, at + length);
}

/** A header may have no value (null): then its name stands with none. */
function readHeaders(reader: VarintReader, count: number, records: Buffer): MessageHeaders {
  const headers = new Map<string, Buffer[]>();
  for (let index = 0; index < count; index += 1) {
    const name = readBytes(reader, records)?.toString('utf8') ?? '';
    const values = headers.get(name) ?? [];
    headers.set(name, values);
    const value = readBytes(reader, records);
    if (value !== null) values.push(value);
  }
  return nameMap(headers);
}
