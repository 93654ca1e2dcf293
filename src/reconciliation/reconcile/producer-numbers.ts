/**
 * Owns: which numbers of which producer have been seen, and the holes between them: events that a gateway numbered and
 * that are in no topic.
 * Does not own: when a hole is final (producer-gaps.ts).
 * Invariants: memory is a bit a number within blocks, and nothing for blocks that are full; the work is bounded by the numbers
 * noted, however far apart they lie. A producer whose numbers are too scattered, or that comes when there are too many, is left
 * out and counted: no hole of it is claimed rather than a wrong one, and the others are judged all the same.
 */
import type { EventProducer } from '../../ledger/events.js';

/** Numbers a block: 8 kB while it is not full. */
const BLOCK_NUMBERS = 65_536;
const WORD_NUMBERS = 32;
const BLOCK_WORDS = BLOCK_NUMBERS / WORD_NUMBERS;
const FULL_WORD = 0xffff_ffff;
/** All open blocks together: 32 MB. When there would be more, the producer with the most of them is left out. */
const BLOCKS_MAX = 4_096;
const PRODUCERS_MAX = 20_000;
const FULL = null;

interface Block {
  readonly words: Uint32Array;
  seen: number;
}

interface Numbers {
  /** Blocks that are not full. */
  open: number;
  /** Left out from here on. */
  isScattered: boolean;
  readonly blocks: Map<number, Block | typeof FULL>;
  /** The lowest and highest number from which on, and up to which, every number must be there. */
  from: number;
  to: number;
}

/** Numbers that are missing of one producer: from, up to and with, to. */
export interface NumberGap {
  /** As `producerName` writes it. */
  readonly producer: string;
  readonly from: number;
  readonly to: number;
}

/** A producer in one text: INSTANCE epoch EPOCH. */
export function producerName(instance: string, epoch: number): string {
  return `${instance} epoch ${epoch}`;
}

/** The form in which the numbers seen are kept in a file. */
export interface ProducerNumbersDocument {
  readonly turnedAway: number;
  readonly producers: readonly {
    readonly name: string;
    readonly from: number;
    readonly to: number;
    readonly isScattered: boolean;
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
  #scattered = 0;
  #turnedAway = 0;

  /** Producers whose numbers are too scattered to be judged. */
  get scattered(): number {
    return this.#scattered;
  }

  /** Messages of producers that came when there were too many already. */
  get turnedAway(): number {
    return this.#turnedAway;
  }

  /** Notes a number; it bounds what must be there only when it `counts`, and otherwise fills a hole. */
  note({ instance, epoch, seq }: EventProducer, counts: boolean): void {
    const numbers = this.#numbersOf(instance, epoch);
    if (numbers === undefined) this.#turnedAway += 1;
    if (numbers === undefined || numbers.isScattered) return;
    this.#mark(numbers, seq);
    if (!counts) return;
    if (seq < numbers.from) numbers.from = seq;
    if (seq > numbers.to) numbers.to = seq;
  }

  /** The holes; with `fromZero` a producer must have started with number 0. Lazily, in no particular order. */
  *gaps(fromZero: boolean): Generator<NumberGap> {
    for (const [producer, numbers] of this.#producers) {
      if (numbers.isScattered) continue;
      const start = fromZero && numbers.to >= 0 ? 0 : numbers.from;
      for (const { from, to } of holesOf(numbers, start)) yield { producer, from, to };
    }
  }

  /** What is to be kept in a file. */
  toDocument(): ProducerNumbersDocument {
    const producers = [...this.#producers].map(([name, { blocks, from, to, isScattered }]) => ({
      ...{ name, from, to, isScattered },
      full: [...blocks].flatMap(([index, block]) => (block === FULL ? [index] : [])),
      open: [...blocks].flatMap(([index, block]) => (block === FULL ? [] : [[index, bitsOf(block)] as const])),
    }));
    return { turnedAway: this.#turnedAway, producers };
  }

  /** What was kept in a file. */
  static fromDocument({ turnedAway, producers }: ProducerNumbersDocument): ProducerNumbers {
    const numbers = new ProducerNumbers();
    numbers.#turnedAway = turnedAway;
    for (const { name, from, to, isScattered, full, open } of producers) {
      const blocks = new Map<number, Block | typeof FULL>(full.map((index) => [index, FULL]));
      for (const [index, bits] of open) blocks.set(index, blockOf(bits));
      numbers.#openBlocks += open.length;
      if (isScattered) numbers.#scattered += 1;
      numbers.#producers.set(name, { blocks, from, to, isScattered, open: open.length });
    }
    return numbers;
  }

  /** Undefined: there are too many producers already. */
  #numbersOf(instance: string, epoch: number): Numbers | undefined {
    if (this.#last?.instance === instance && this.#last.epoch === epoch) return this.#last.numbers;
    const name = producerName(instance, epoch);
    const numbers = this.#producers.get(name) ?? this.#newProducer(name);
    if (numbers !== undefined) this.#last = { instance, epoch, numbers };
    return numbers;
  }

  #newProducer(name: string): Numbers | undefined {
    if (this.#producers.size >= PRODUCERS_MAX) return undefined;
    const numbers: Numbers = {
      blocks: new Map(),
      open: 0,
      isScattered: false,
      from: Number.MAX_SAFE_INTEGER,
      to: -1,
    };
    this.#producers.set(name, numbers);
    return numbers;
  }

  #mark(numbers: Numbers, seq: number): void {
    const { blocks } = numbers;
    const index = Math.floor(seq / BLOCK_NUMBERS);
    let block = blocks.get(index);
    if (block === FULL) return;
    if (block === undefined) {
      if (this.#openBlocks >= BLOCKS_MAX) this.#leaveOut(numbers);
      if (numbers.isScattered) return;
      this.#openBlocks += 1;
      numbers.open += 1;
      blocks.set(index, (block = { words: new Uint32Array(BLOCK_WORDS), seen: 0 }));
    }
    if (!setBit(block, seq % BLOCK_NUMBERS) || block.seen < BLOCK_NUMBERS) return;
    blocks.set(index, FULL);
    this.#openBlocks -= 1;
    numbers.open -= 1;
  }

  /** Leaves out the producer that needs the most blocks; where none needs more than one, the one that wants another. */
  #leaveOut(wanting: Numbers): void {
    let most = wanting;
    for (const numbers of this.#producers.values()) {
      if (numbers.open > Math.max(1, most.open)) most = numbers;
    }
    this.#scattered += 1;
    this.#openBlocks -= most.open;
    most.open = 0;
    most.isScattered = true;
    most.blocks.clear();
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

/** The numbers from one to another, both included. */
interface Run {
  readonly from: number;
  readonly to: number;
}

/** The holes between the numbers seen, from `start` on. Cost: the blocks, and the words and numbers of those not full. */
function* holesOf({ blocks, to }: Numbers, start: number): Generator<Run> {
  let next = start;
  for (const run of runsOf(blocks)) {
    if (run.to < next) continue;
    if (run.from > to) break;
    if (run.from > next) yield { from: next, to: run.from - 1 };
    next = run.to + 1;
  }
  if (next <= to) yield { from: next, to };
}

/** The numbers seen, ascending, as runs that may touch. */
function* runsOf(blocks: Numbers['blocks']): Generator<Run> {
  for (const index of [...blocks.keys()].sort((one, other) => one - other)) {
    const [first, block] = [index * BLOCK_NUMBERS, blocks.get(index)];
    if (block === FULL) yield { from: first, to: first + BLOCK_NUMBERS - 1 };
    else if (block !== undefined) yield* runsIn(block, first);
  }
}

function* runsIn({ words }: Block, first: number): Generator<Run> {
  for (const [place, word] of words.entries()) {
    const from = first + place * WORD_NUMBERS;
    if (word === FULL_WORD) yield { from, to: from + WORD_NUMBERS - 1 };
    for (let bit = 0; word !== 0 && word !== FULL_WORD && bit < WORD_NUMBERS; bit += 1) {
      if ((word & (1 << bit)) !== 0) yield { from: from + bit, to: from + bit };
    }
  }
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
