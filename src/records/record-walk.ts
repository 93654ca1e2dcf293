/**
 * Owns: going through the records of a batch, one by one, in a time and memory that their bytes bound.
 * Invariants: never throws; allocates nothing for a record; a record that does not lie within its batch as the format says
 * breaks the whole walk, since nothing after it can be trusted; headers beyond their bounds are passed over unread, and
 * belong to that record alone.
 * Source of the format: https://kafka.apache.org/documentation/#record
 */
import { HEADER_BYTES_MAX, HEADERS_MAX } from './bounds.js';
import { VarintReader } from './varints.js';

/** Goes through records; the fields tell the record that `next` found. */
export class RecordWalk {
  readonly #bytes: Buffer;
  readonly #reader: VarintReader;
  keyAt = 0;
  valueAt = 0;
  valueLength = -1;
  end = 0;
  offsetDelta = 0;
  timestampDelta = 0;
  headerCount = 0;
  headerBytes = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#reader = new VarintReader(bytes, 0, bytes.length);
  }

  /** Whether all bytes have been gone through. */
  get isAtEnd(): boolean {
    return this.end === this.#bytes.length;
  }

  get hasTooManyHeaders(): boolean {
    return this.headerCount > HEADERS_MAX || this.headerBytes > HEADER_BYTES_MAX;
  }

  /** Reads the next record; false when it is none. */
  next(): boolean {
    const reader = this.#reader;
    reader.at = this.end;
    const length = reader.int();
    const end = reader.at + length;
    if (reader.isBroken() || length <= 0 || end > this.#bytes.length) return false;
    this.end = end;
    reader.at += 1; // attributes of a record, without use so far
    this.timestampDelta = reader.long();
    this.offsetDelta = reader.int();
    this.keyAt = reader.at;
    reader.skip(reader.int());
    this.valueLength = reader.int();
    this.valueAt = reader.at;
    reader.skip(this.valueLength);
    this.headerCount = reader.int();
    this.headerBytes = end - reader.at;
    if (reader.isBroken() || this.headerCount < 0 || this.headerBytes < 0) return false;
    return this.hasTooManyHeaders || this.#headersEndTheRecord();
  }

  #headersEndTheRecord(): boolean {
    const reader = this.#reader;
    for (let index = 0; index < this.headerCount; index += 1) {
      if (reader.at >= this.end) return false;
      const nameLength = reader.int();
      if (nameLength < 0) return false;
      reader.skip(nameLength);
      reader.skip(reader.int());
    }
    return !reader.isBroken() && reader.at === this.end;
  }
}
