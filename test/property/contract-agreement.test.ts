/**
 * Owns: the property that the compiled schema and class-validator give the same verdict on every event, and that the
 * gate survives every input. A failure prints the seed; set it in FC_SEED to replay.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { USAGE_KINDS } from '../../src/contract/dto-kinds.js';
import { contractProblems } from '../../src/contract/dto-report.js';
import { decodeCompleted, decodePending } from '../../src/contract/event-gate.js';
import { isWireObject } from '../../src/contract/found-value.js';
import type { WireObject } from '../../src/contract/found-value.js';
import { schemaChecks } from '../../src/contract/schema-check.js';
import { validWire } from './wire-events.js';

const seed = process.env['FC_SEED'];
const RUNS = { numRuns: 3000, ...(seed === undefined ? {} : { seed: Number(seed) }) };
const LIMITS = { eventBytesMax: 65_536 };

const kinds = fc.constantFrom(...USAGE_KINDS);

const times = fc.constantFrom(
  '2026-02-30T00:00:00Z',
  '2026-02-29T00:00:00Z',
  '2024-02-29T23:59:59.999999999+14:00',
  '2100-02-29T00:00:00Z',
  '2000-02-29T00:00:00-00:00',
  '2026-04-31T00:00:00Z',
  '2026-06-30T23:59:60Z',
  '2026-06-30T24:00:00Z',
  '2026-06-30T23:59:59',
  '2026-06-30t23:59:59z',
  '2026-06-30 23:59:59Z',
  '2026-06-30T23:59:59.Z',
  '2026-06-30T23:59:59+24:00',
  '1999-12-31T23:59:59Z',
  '2026-00-10T00:00:00Z',
  '2026-06-30T23:59:59Z\n',
);

const numbers = fc.oneof(
  fc.constantFrom(0, -0, 1, 2, -1, 1.5, 1e-9, 1e12, 1e12 + 1, 2 ** 53 - 1, 2 ** 53, Infinity, -Infinity, NaN),
  fc.double(),
  fc.integer(),
);

const texts = fc.oneof(
  times,
  fc.constantFrom(
    '',
    'a',
    'A',
    '{x}',
    'a b',
    'a+b',
    ' a',
    'a\u0000',
    '\ud800',
    '😀',
    '\ufe0f',
    'USD',
    'usd',
    'succeeded',
  ),
  fc.constantFrom(
    '0.003',
    '-1',
    '+1',
    '1e3',
    '.5',
    '5.',
    '007',
    '٣',
    `${'9'.repeat(18)}.${'9'.repeat(30)}`,
    '9'.repeat(19),
  ),
  fc.constantFrom(64, 65, 127, 128, 129, 200, 201, 256, 257).map((length) => 'x'.repeat(length)),
  fc.constantFrom(199, 200, 201).map((length) => '😀'.repeat(length)),
  fc.string({ unit: 'binary', maxLength: 12 }),
);

const meterMaps = fc.dictionary(
  fc.oneof(
    fc.constantFrom('constructor', 'a', 'Bad', '', 'a-b', 'x'.repeat(63), 'x'.repeat(64)),
    fc.string({ maxLength: 4 }),
  ),
  fc.oneof(fc.constantFrom(1, '1', '0.5', -1, null), numbers, texts),
  { maxKeys: 18 },
);

/** Maps of one value, of any size around the bounds; whether it fits depends on the section they are put into. */
const evenMeterMaps = fc
  .tuple(fc.constantFrom(0, 1, 15, 16, 17), fc.constantFrom(0, 1, 1e12, 1e12 + 1, 1.5, -1, '1', '1.', '1'.repeat(19)))
  .map(([size, value]) => Object.fromEntries(Array.from({ length: size }, (_, index) => [`meter_${index}`, value])));

const values: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: numbers },
  { weight: 4, arbitrary: texts },
  { weight: 2, arbitrary: fc.constantFrom(null, true, false) },
  { weight: 2, arbitrary: fc.constantFrom({}, [], [[]], [{}], [1], { a: { b: 1 } }) },
  { weight: 2, arbitrary: meterMaps },
);

const strangeKeys = fc.constantFrom(
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '__defineGetter__',
  'length',
  '',
  'allow_negatve',
  'eventId',
  'definitions',
);

/** One change of an event: which object of it, what to do there, with which value. */
const changes = fc.array(
  fc.record({
    pick: fc.nat(),
    action: fc.constantFrom('remove', 'replace', 'replace', 'replace', 'add', 'fill', 'meters', 'meters'),
    value: values,
    meters: fc.oneof(meterMaps, evenMeterMaps, evenMeterMaps),
    strangeKey: strangeKeys,
  }),
  { minLength: 0, maxLength: 3 },
);

type Change = { pick: number; action: string; value: unknown; meters: unknown; strangeKey: string };

/** Every place in an event that holds a value, as the object that holds it and the key. */
function places(node: unknown): { holder: object; key: string }[] {
  if (!isWireObject(node)) return [];
  return Object.entries(node).flatMap(([key, value]) => [{ holder: node, key }, ...places(value)]);
}

function put(holder: object, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
}

const OPTIONAL_KEYS = [
  ...['tenant_id', 'pricing', 'producer', 'allow_negative', 'skip_reason', 'meters', 'price_version'],
  ...['price_class', 'user_id', 'project_id', 'tags', 'declared'],
];

function change(event: WireObject, { pick, action, value, meters, strangeKey }: Change): void {
  const all = places(event);
  const place = all[pick % all.length];
  if (place === undefined) return;
  const metered = [event['usage'], event['estimate'], event['pricing']].filter(isWireObject);
  if (action === 'remove') Reflect.deleteProperty(place.holder, place.key);
  else if (action === 'replace') put(place.holder, place.key, value);
  else if (action === 'add') put(place.holder, strangeKey, value);
  else if (action === 'meters') put(metered[pick % metered.length] ?? event, 'meters', meters);
  else put(place.holder, OPTIONAL_KEYS[pick % OPTIONAL_KEYS.length] ?? 'meters', value);
}

describe('the two validators of the contract', () => {
  it('both accept every valid event', () => {
    const property = fc.property(
      kinds.chain((kind) => fc.tuple(fc.constant(kind), validWire(kind))),
      ([kind, wire]) => {
        expect(contractProblems(kind, wire)).to.deep.equal([]);
        expect(schemaChecks()[kind](wire), JSON.stringify(schemaChecks()[kind].errors)).to.equal(true);
      },
    );
    fc.assert(property, { ...RUNS, numRuns: 1000 });
  });

  it('agree on every event that was changed in up to three places', () => {
    const verdicts = { accepted: 0, refused: 0 };
    const events = kinds.chain((kind) => fc.tuple(fc.constant(kind), validWire(kind), changes));
    const property = fc.property(events, ([kind, valid, list]) => {
      const wire = structuredClone(valid);
      // Cloned one by one: a later change may reach into the value of an earlier one, which fast-check uses again.
      for (const one of list) change(wire, structuredClone(one));
      const bySchema = schemaChecks()[kind](wire);
      const problems = contractProblems(kind, wire);
      verdicts[bySchema ? 'accepted' : 'refused'] += 1;
      expect(
        problems.length === 0,
        `schema says ${String(bySchema)}, class-validator: ${problems.join('; ')}`,
      ).to.equal(bySchema);
    });
    fc.assert(property, RUNS);
    expect(Math.min(verdicts.accepted, verdicts.refused), 'both verdicts are exercised').to.be.greaterThan(200);
  }).timeout(30_000);
});

describe('the event gate', () => {
  it('returns a verdict for any bytes and never throws', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json({ maxDepth: 6 }).map((text) => new TextEncoder().encode(text)),
    );
    const property = fc.property(bytes, (array) => {
      for (const decode of [decodePending, decodeCompleted]) {
        const result = decode(Buffer.from(array), LIMITS);
        if (!result.ok) expect(result.detail.length).to.be.within(1, 1000);
      }
    });
    fc.assert(property, RUNS);
  });
});
