/**
 * Owns: the property that the scanner of plain messages changes no verdict and no event: what it decodes is what the
 * published schema decodes, whatever the bytes.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { USAGE_KINDS } from '../../src/contract/dto-kinds.js';
import type { UsageKind } from '../../src/contract/dto-kinds.js';
import { decodeCompletedBySchema, decodePendingBySchema } from '../../src/contract/event-gate.js';
import { scanCompleted, scanPending } from '../../src/contract/event-scanner.js';
import { EXAMPLES } from '../../src/contract/examples.js';
import type { UsageEvent } from '../../src/ledger/events.js';
import { propertySeed } from '../model/property-seed.js';
import { validWire } from './wire-events.js';
import { anyLiterals, edited, literals, sortOf, textEdits, valuesIn, write, writings } from './wire-texts.js';

const RUNS = 4_000;
const RUNS_OF_VALUES = 12_000;

const kinds = fc.constantFrom(...USAGE_KINDS);

/** A kind and a valid event of it, or one of the contract's examples, which have what publishers write. */
const wires = kinds.chain((kind) => {
  return fc.tuple(fc.constant(kind), fc.oneof(validWire(kind), fc.constantFrom(...EXAMPLES[kind])));
});

function scan(kind: UsageKind, bytes: Buffer): UsageEvent | undefined {
  return kind === 'pending' ? scanPending(bytes) : scanCompleted(bytes);
}

function bySchema(kind: UsageKind, bytes: Buffer): UsageEvent | undefined {
  const decoded = kind === 'pending' ? decodePendingBySchema(bytes) : decodeCompletedBySchema(bytes);
  return decoded.ok ? decoded.event : undefined;
}

/** All that tells two values apart: prototypes, own keys in their order, and -0. */
function shapeOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? 'minus zero' : value;
  const prototype: unknown = Object.getPrototypeOf(value);
  const fields = Reflect.ownKeys(value).map((key) => [key, shapeOf(Reflect.get(value, key))]);
  return { prototype: prototype === Object.prototype ? 'of objects' : prototype, fields };
}

/** Holds the scanner against the schema, twice: the second time all that recurs is known. Tells whether it was scanned. */
function expectAgreement(kind: UsageKind, bytes: Buffer): boolean {
  const expected = bySchema(kind, bytes);
  const [first, second] = [scan(kind, bytes), scan(kind, bytes)];
  for (const scanned of [first, second]) {
    if (scanned === undefined) continue;
    expect(expected, `scanned, but refused by the schema: ${bytes.toString()}`).to.not.equal(undefined);
    expect(shapeOf(scanned), bytes.toString()).to.deep.equal(shapeOf(expected));
  }
  expect(first === undefined, 'the second scan says what the first did').to.equal(second === undefined);
  return first !== undefined;
}

/** Counts which messages were scanned and which were left to the gate, so that a property says when it has tried both. */
class Tally {
  scanned = 0;
  left = 0;

  add(kind: UsageKind, text: string): void {
    if (expectAgreement(kind, Buffer.from(text))) this.scanned += 1;
    else this.left += 1;
  }

  expectBoth(): void {
    expect(Math.min(this.scanned, this.left), `${this.scanned} scanned, ${this.left} left`).to.be.greaterThan(100);
  }
}

describe('the scanner of plain messages', () => {
  it('decodes what the schema decodes, in every order, with blanks and escapes', () => {
    const tally = new Tally();
    const property = fc.property(wires, writings, ([kind, wire], writing) => {
      tally.add(kind, write(wire, writing));
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
    tally.expectBoth();
  }).timeout(120_000);

  it('decodes what the schema decodes when a value is another one, at the bounds of what is allowed and beyond', () => {
    const tally = new Tally();
    const property = fc.property(wires, fc.nat(), literals, ([kind, wire], pick, literal) => {
      const text = JSON.stringify(wire);
      const values = valuesIn(text);
      const { at, value } = values[pick % values.length]!;
      tally.add(kind, text.slice(0, at) + literal[sortOf(value)] + text.slice(at + value.length));
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS_OF_VALUES });
    tally.expectBoth();
  }).timeout(120_000);

  it('decodes what the schema decodes when bytes are lost, added or changed, and when the end is missing', () => {
    const tally = new Tally();
    const property = fc.property(wires, textEdits, fc.nat(), ([kind, wire], edits, cut) => {
      const text = JSON.stringify(wire);
      tally.add(kind, edited(text, edits));
      tally.add(kind, text.slice(0, cut % text.length));
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
    tally.expectBoth();
  }).timeout(120_000);

  it('decodes what the schema decodes with strange, misplaced and second keys, and of the other kind', () => {
    const strange = fc.constantFrom('__proto__', 'constructor', 'toString', 'pricings', 'event_i', 'seq', 'meters', '');
    const property = fc.property(
      wires,
      strange,
      fc.nat(),
      anyLiterals,
      kinds,
      ([kind, wire], key, pick, literal, other) => {
        const text = JSON.stringify(wire);
        const keys = [...text.matchAll(/"(\w+)":/gu)];
        const { index, 1: second } = keys[pick % keys.length]!;
        expectAgreement(kind, Buffer.from(`${text.slice(0, index)}"${key}":${literal},${text.slice(index)}`));
        const repeated = Buffer.from(`${text.slice(0, index)}"${second!}":${literal},${text.slice(index)}`);
        expectAgreement(kind, repeated);
        expect(bySchema(kind, repeated), 'no event has the same key twice').to.equal(undefined);
        expectAgreement(kind, Buffer.from(`${text.slice(0, -1)},"${second!}":${literal}}`));
        expectAgreement(other, Buffer.from(text));
      },
    );
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  }).timeout(120_000);

  it('survives any bytes, whatever message was scanned before', () => {
    const json = fc.json({ maxDepth: 5 }).map((text) => new TextEncoder().encode(text));
    const property = fc.property(
      kinds,
      wires,
      fc.oneof(fc.uint8Array({ maxLength: 300 }), json),
      (kind, [before, wire], bytes) => {
        scan(before, Buffer.from(JSON.stringify(wire)));
        expectAgreement(kind, Buffer.from(bytes));
      },
    );
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  }).timeout(120_000);

  it('scans every valid event as publishers write it, and leaves none to the gate but for escapes and other alphabets', () => {
    const property = fc.property(wires, ([kind, wire]) => {
      const text = JSON.stringify(wire);
      fc.pre(/^[ -~]*$/u.test(text) && !text.includes('\\'));
      expect(expectAgreement(kind, Buffer.from(text)), text).to.equal(true);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  }).timeout(120_000);
});
