/** Owns: the memory for what recurs in messages: it is bounded, and a collision never gives a wrong value. */
import { expect } from 'chai';
import { RecurringValues } from '../../../src/contract/recurring-values.js';

/** A message of one text with its closing quote, readable behind its end. */
function messageOf(text: string): { message: DataView; end: number } {
  const bytes = Buffer.alloc(256);
  const end = bytes.write(`${text}"`, 'latin1');
  return { message: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), end };
}

/** A memory of texts in which the test chooses the hashes. */
class Memory {
  readonly #values: RecurringValues<string>;

  constructor(placesLog2: number) {
    this.#values = new RecurringValues<string>({ placesLog2, bytesMax: 32 });
  }

  remember(hash: number, text: string): void {
    const { message, end } = messageOf(text);
    this.#values.remember({ hash, start: 0, end }, message, text);
  }

  find(hash: number, text: string): string | undefined {
    return this.#values.find(hash, messageOf(text).message, 0);
  }
}

describe('the memory for recurring values', () => {
  it('gives the value of the same bytes, and nothing for bytes that only begin or end like them', () => {
    const memory = new Memory(4);
    for (const text of ['a', 'abc', 'abcd', 'tenant-0087', 'x'.repeat(31)]) {
      memory.remember(7, text);
      expect(memory.find(7, text)).to.equal(text);
      for (const other of [`${text}x`, text.slice(0, -1), `x${text}`, `${text.slice(0, -1)}y`, '']) {
        expect(memory.find(7, other), other).to.equal(undefined);
      }
    }
  });

  it('keeps two values of one hash, and of any more gives each or none, never another', () => {
    const memory = new Memory(4);
    const texts = Array.from({ length: 10 }, (_, index) => `tenant-${index}`);
    memory.remember(1, 'tenant-0');
    memory.remember(1, 'tenant-1');
    expect(memory.find(1, 'tenant-0')).to.equal('tenant-0');
    expect(memory.find(1, 'tenant-1')).to.equal('tenant-1');
    for (const text of texts) memory.remember(1, text);
    const found = texts.filter((text) => memory.find(1, text) !== undefined);
    expect(found).to.have.length(2);
    for (const text of found) expect(memory.find(1, text)).to.equal(text);
  });

  it('holds at most as many values as it has places, the latest among them', () => {
    const memory = new Memory(4);
    const texts = Array.from({ length: 1000 }, (_, index) => `tenant-${index}`);
    for (const [hash, text] of texts.entries()) {
      memory.remember(hash, text);
      expect(memory.find(hash, text)).to.equal(text);
    }
    const held = texts.filter((text, hash) => memory.find(hash, text) === text);
    expect(held.length).to.be.within(8, 16);
  });

  it('does not remember bytes that have no room in a place', () => {
    const memory = new Memory(4);
    memory.remember(3, 'x'.repeat(32));
    expect(memory.find(3, 'x'.repeat(32))).to.equal(undefined);
    memory.remember(3, 'x'.repeat(31));
    expect(memory.find(3, 'x'.repeat(31))).to.equal('x'.repeat(31));
  });

  it('finds nothing before anything is remembered', () => {
    expect(new Memory(4).find(0, '')).to.equal(undefined);
  });
});
