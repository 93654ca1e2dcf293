/** Owns: that the numbers of producers come to exactly the holes between them, in any order, also when kept in a file. */
import { expect } from 'chai';
import fc from 'fast-check';
import { type NumberGap, ProducerNumbers } from '../../src/reconciliation/reconcile/producer-numbers.js';

/** Close together, and around the ends of blocks of 65,536. */
const seqs = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 65_530, max: 65_545 }),
  fc.integer({ min: 131_070, max: 131_075 }),
);
const notes = fc.array(
  fc.record({
    instance: fc.constantFrom('gw-1', 'gw-2'),
    epoch: fc.constantFrom(0, 1),
    seq: seqs,
    counts: fc.boolean(),
  }),
  { maxLength: 60 },
);
type Note = typeof notes extends fc.Arbitrary<(infer N)[]> ? N : never;

function holesOf(noted: readonly Note[], fromZero: boolean): NumberGap[] {
  const names = [...new Set(noted.map(({ instance, epoch }) => `${instance} epoch ${epoch}`))];
  return names.flatMap((producer) => {
    const own = noted.filter(({ instance, epoch }) => `${instance} epoch ${epoch}` === producer);
    const counted = own.filter(({ counts }) => counts).map(({ seq }) => seq);
    if (counted.length === 0) return [];
    const start = fromZero ? 0 : Math.min(...counted);
    const seen = [...new Set(own.map(({ seq }) => seq))].sort((one, other) => one - other);
    const bounded = seen.filter((seq) => seq >= start && seq <= Math.max(...counted));
    return bounded.flatMap((seq, index) => {
      const before = bounded[index - 1] ?? start - 1;
      return seq === before + 1 ? [] : [{ producer, from: before + 1, to: seq - 1 }];
    });
  });
}

describe('the numbers of producers', () => {
  it('come to the holes between those that count, whatever order they arrive in', () => {
    fc.assert(
      fc.property(notes, fc.boolean(), (noted, fromZero) => {
        const numbers = new ProducerNumbers();
        for (const { counts, ...producer } of noted) numbers.note(producer, counts);
        const kept = JSON.parse(JSON.stringify(numbers.toDocument())) as ReturnType<ProducerNumbers['toDocument']>;
        expect([...numbers.gaps(fromZero)]).to.deep.equal(holesOf(noted, fromZero));
        expect([...ProducerNumbers.fromDocument(kept).gaps(fromZero)]).to.deep.equal(holesOf(noted, fromZero));
      }),
    );
  });

  it('need no memory for blocks that are full', () => {
    const numbers = new ProducerNumbers();
    for (let seq = 0; seq < 200_000; seq += 1) {
      if (seq !== 70_000) numbers.note({ instance: 'gw', epoch: 0, seq }, true);
    }
    const [producer] = numbers.toDocument().producers;
    expect(producer?.full).to.deep.equal([0, 2]);
    expect([...numbers.gaps(true)]).to.deep.equal([{ producer: 'gw epoch 0', from: 70_000, to: 70_000 }]);
  });

  it('claim no hole of a producer that comes when there are too many, and count what it sent', () => {
    const numbers = new ProducerNumbers();
    numbers.note({ instance: 'first', epoch: 0, seq: 1 }, true);
    for (let index = 0; index < 20_000; index += 1) numbers.note({ instance: `gw-${index}`, epoch: 0, seq: 0 }, true);
    expect(numbers.turnedAway).to.equal(1);
    expect([...numbers.gaps(true)]).to.deep.equal([{ producer: 'first epoch 0', from: 0, to: 0 }]);
  });

  it('of one that scatters them leave that one out, and judge the others', () => {
    const numbers = new ProducerNumbers();
    for (const seq of [0, 2]) numbers.note({ instance: 'gw', epoch: 0, seq }, true);
    for (let index = 1; index <= 5_000; index += 1) {
      numbers.note({ instance: 'stranger', epoch: 0, seq: index * 1_000_000_007 }, true);
    }
    const kept = ProducerNumbers.fromDocument(numbers.toDocument());
    for (const each of [numbers, kept]) {
      expect(each.scattered).to.equal(1);
      expect([...each.gaps(true)]).to.deep.equal([{ producer: 'gw epoch 0', from: 1, to: 1 }]);
    }
  });

  it('are judged at once, however far the last one lies from the others', () => {
    const numbers = new ProducerNumbers();
    for (const seq of [0, 1, 3, Number.MAX_SAFE_INTEGER]) numbers.note({ instance: 'gw', epoch: 0, seq }, true);
    expect([...numbers.gaps(true)]).to.deep.equal([
      { producer: 'gw epoch 0', from: 2, to: 2 },
      { producer: 'gw epoch 0', from: 4, to: Number.MAX_SAFE_INTEGER - 1 },
    ]);
  });
});
