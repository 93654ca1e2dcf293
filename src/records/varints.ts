/**
 * Owns: reading the zigzag varints of records.
 * Invariants: at most 5 bytes for an int and 10 for a long, as the format has it, so no input makes a read long; what is no
 * varint is told by `isBroken`, which stays true: the caller checks once after several reads.
 */

/** Reads varints one after the other; bounds beyond `end` count as broken. */
export class VarintReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  at: number;
  #isBroken = false;

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  /** Whether a read since the beginning found no varint, or ended beyond the bytes. */
  isBroken(): boolean {
    return this.#isBroken;
  }

  /** An int of 32 bits. */
  int(): number {
    const bytes = this.#bytes;
    let raw = 0;
    for (let shift = 0; shift < 35 && this.at < this.#end; shift += 7) {
      const byte = bytes[this.at++] as number;
      raw |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (raw >>> 1) ^ -(raw & 1);
    }
    this.#isBroken = true;
    return 0;
  }

  /** A long of 64 bits, as a number: exact up to 2^53, which covers every time. */
  long(): number {
    const bytes = this.#bytes;
    let raw = 0;
    let scale = 1;
    for (let length = 0; length < 10 && this.at < this.#end; length += 1) {
      const byte = bytes[this.at++] as number;
      raw += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2;
    }
    this.#isBroken = true;
    return 0;
  }

  /** Passes over so many bytes; a negative length passes over none, since it stands for null. */
  skip(length: number): void {
    if (length <= 0) return;
    this.at += length;
    if (this.at > this.#end) this.#isBroken = true;
  }
}
