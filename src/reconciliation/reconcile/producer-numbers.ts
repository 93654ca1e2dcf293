/**
 * Owns: which numbers of which producer have been seen, and the holes between them: events that a gateway numbered and
 * that are in no topic.
 * Does not own: when a hole is final (producer-gaps.ts).
 * Invariants: memory is a bit a number within blocks, and nothing for blocks that are full; once producers are too many,
 * or their numbers too scattered, no hole is claimed at all rather than a wrong one.
 */
import type { EventProducer } from '../../ledger/events.js';

/** Numbers a block: 8 kB while it is not full. */
const BLOCK_NUMBERS = 65_536;
const BLOCK_WORDS = BLOCK_NUMBERS / 32;
/** All open blocks together: 32 MB. */
const BLOCKS_MAX = 4_096;
const PRODUCERS_MAX = 20_000;
const FULL = null;

interface Block {
  readonly words: Uint32Array;
  seen: number;
}

interface Numbers {
  readonly blocks: Map<number, Block | typeof FULL>;
  /** The lowest and highest number from which on, and up to which, every number must be there. */
  from: number;
  to: number;
}

/** Numbers that are missing of one producer: from, up to and with, to. */
export interface NumberGap {
  /** INSTANCE epoch EPOCH. */
  readonly producer: string;
  readonly from: number;
  readonly to: number;
}

/** The form in which the numbers seen are kept in a file. */
export interface ProducerNumbersDocument {
  readonly overflowed: boolean;
  readonly producers: readonly {
    readonly name: string;
    readonly from: number;
    readonly to: number;
    readonly full: readonly number[];
    readonly open: readonly (readonly [block: number, bits: string])[];
  }[];
}

/** The numbers seen. */
export class ProducerNumbers {
  readonly #producers = new Map<string, Numbers>();
  /** The producer noted last: messages of one come in runs. */
  #last: { readonly instance: string; readonly epoch: number; readonly numbers: Numbers } | undefined;
  #openBlocks = 0;
  #overflowed = false;

  /** True once too much would have to be kept: then nothing can be said. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** Notes a number; it bounds what must be there only when it `counts`, and otherwise fills a hole. */
  note({ instance, epoch, seq }: EventProducer, counts: boolean): void {
    if (this.#overflowed) return;
    const numbers = this.#numbersOf(instance, epoch);
    this.#mark(numbers, seq);
    if (!counts) return;
    if (seq < numbers.from) numbers.from = seq;
    if (seq > numbers.to) numbers.to = seq;
  }

  /** The holes; with `fromZero` a producer must have started with number 0. Lazily, in no particular order. */
  *gaps(fromZero: boolean): Generator<NumberGap> {
    if (this.#overflowed) return;
    for (const [producer, numbers] of this.#producers) {
      const start = fromZero && numbers.to >= 0 ? 0 : numbers.from;
      for (const { from, to } of holesOf(numbers, start)) yield { producer, from, to };
    }
  }

  /** What is to be kept in a file. */
  toDocument(): ProducerNumbersDocument {
    const producers = [...this.#producers].map(([name, { blocks, from, to }]) => ({
      ...{ name, from, to },
      full: [...blocks].flatMap(([index, block]) => (block === FULL ? [index] : [])),
      open: [...blocks].flatMap(([index, block]) => (block === FULL ? [] : [[index, bitsOf(block)] as const])),
    }));
    return { overflowed: this.#overflowed, producers };
  }

  /** What was kept in a file. */
  static fromDocument({ overflowed, producers }: ProducerNumbersDocument): ProducerNumbers {
    const numbers = new ProducerNumbers();
    numbers.#overflowed = overflowed;
    for (const { name, from, to, full, open } of producers) {
      const blocks = new Map<number, Block | typeof FULL>(full.map((index) => [index, FULL]));
      for (const [index, bits] of open) blocks.set(index, blockOf(bits));
      numbers.#openBlocks += open.length;
      numbers.#producers.set(name, { blocks, from, to });
    }
    return numbers;
  }

  #numbersOf(instance: string, epoch: number): Numbers {
    if (this.#last?.instance === instance && this.#last.epoch === epoch) return this.#last.numbers;
    const name = `${instance} epoch ${epoch}`;
    const numbers = this.#producers.get(name) ?? this.#newProducer(name);
    this.#last = { instance, epoch, numbers };
    return numbers;
  }

  #newProducer(name: string): Numbers {
    const numbers: Numbers = { blocks: new Map(), from: Number.MAX_SAFE_INTEGER, to: -1 };
    this.#producers.set(name, numbers);
    if (this.#producers.size > PRODUCERS_MAX) this.#overflow();
    return numbers;
  }

  #mark({ blocks }: Numbers, seq: number): void {
    const index = Math.floor(seq / BLOCK_NUMBERS);
    let block = blocks.get(index);
    if (block === FULL) return;
    if (block === undefined) {
      this.#openBlocks += 1;
      if (this.#openBlocks > BLOCKS_MAX) {
        this.#overflow();
        return;
      }
      blocks.set(index, (block = { words: new Uint32Array(BLOCK_WORDS), seen: 0 }));
    }
    if (!setBit(block, seq % BLOCK_NUMBERS) || block.seen < BLOCK_NUMBERS) return;
    blocks.set(index, FULL);
    this.#openBlocks -= 1;
  }

  #overflow(): void {
    this.#overflowed = true;
    this.#producers.clear();
  }
}

/** Sets a bit; false when it was set. */
function setBit(block: Block, bit: number): boolean {
  const [word, mask] = [bit >>> 5, 1 << (bit & 31)];
  const before = block.words[word] ?? 0;
  if ((before & mask) !== 0) return false;
  block.words[word] = before | mask;
  block.seen += 1;
  return true;
}

function isSeen({ blocks }: Numbers, seq: number): boolean {
  const block = blocks.get(Math.floor(seq / BLOCK_NUMBERS));
  if (block === FULL) return true;
  if (block === undefined) return false;
  const bit = seq % BLOCK_NUMBERS;
  return ((block.words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
}

function* holesOf(numbers: Numbers, start: number): Generator<{ from: number; to: number }> {
  let hole: number | undefined;
  for (let seq = start; seq <= numbers.to;) {
    const block = numbers.blocks.get(Math.floor(seq / BLOCK_NUMBERS));
    const blockEnd = (Math.floor(seq / BLOCK_NUMBERS) + 1) * BLOCK_NUMBERS;
    const isUniform = block === FULL || block === undefined;
    const seen = isUniform ? block === FULL : isSeen(numbers, seq);
    if (seen && hole !== undefined) {
      yield { from: hole, to: seq - 1 };
      hole = undefined;
    } else if (!seen) {
      hole ??= seq;
    }
    seq = isUniform ? blockEnd : seq + 1;
  }
  if (hole !== undefined) yield { from: hole, to: numbers.to };
}

function bitsOf({ words }: Block): string {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength).toString('base64');
}

function blockOf(bits: string): Block {
  const bytes = Buffer.from(bits, 'base64');
  const words = new Uint32Array(BLOCK_WORDS);
  words.forEach((_word, index) => (words[index] = bytes.readUInt32LE(index * 4)));
  let seen = 0;
  for (const word of words) for (let rest = word; rest !== 0; rest &= rest - 1) seen += 1;
  return { words, seen };
}
