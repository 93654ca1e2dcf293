/** Owns: random valid usage events in their wire form, for property tests. */
import fc from 'fast-check';
import type { UsageKind } from '../../src/contract/dto-kinds.js';
import type { WireObject } from '../../src/contract/found-value.js';
import { tokensOf } from '../../src/contract/declared-totals.js';
import { TAG_VALUE_PATTERN } from '../../src/contract/tag-map.js';

/** Names that every plain object answers to. */
export const PROTOTYPE_NAMES = ['constructor', 'toString', 'valueOf', 'hasOwnProperty', '__proto__'] as const;

/** Those of them that the contract allows as the name of a meter. */
export const METER_NAMES_OF_PROTOTYPES = PROTOTYPE_NAMES.filter((name) => /^[a-z][a-z0-9_]{0,62}$/.test(name));

const namesOfPrototypes = fc.constantFrom(...PROTOTYPE_NAMES.filter((name) => /^[A-Za-z0-9]/.test(name)));

/** Mostly any text of a form, now and then a name that every object answers to. */
function orOfPrototypes(texts: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.oneof({ weight: 9, arbitrary: texts }, { weight: 1, arbitrary: namesOfPrototypes });
}

/** Texts of a pattern, mostly short: what is long is slow to make, and no longer text is told apart by more of it. */
function sized(first: string, rest: string): fc.Arbitrary<string> {
  const short = fc.stringMatching(new RegExp(`^[${first}][${rest}]{0,40}$`));
  return fc.oneof(
    { weight: 30, arbitrary: short },
    { weight: 1, arbitrary: short.map((text) => text.padEnd(256, '7')) },
  );
}

const identifiers = orOfPrototypes(sized('A-Za-z0-9._:@/|=+%#!$&*-', 'A-Za-z0-9._:@/|=+~%#!$&*-'));
const labels = orOfPrototypes(sized('A-Za-z0-9._:@/|=+~%#!$&*[\\](),-', 'A-Za-z0-9._:@/|=+~%#!$&*[\\](), -'));
const words = orOfPrototypes(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/));
const tagValues = fc.oneof(
  fc.stringMatching(/^[ !#-[\]-~]{1,20}$/),
  fc.constant('x'.repeat(128)),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => TAG_VALUE_PATTERN.test(text)),
);
const prices = fc.stringMatching(/^[0-9]{1,18}(\.[0-9]{1,30})?$/);
const quantities = fc.oneof(fc.integer({ min: 0, max: 1e12 }), fc.constantFrom(0, -0, 1e12));
const counters = fc.oneof(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), fc.constant(Number.MAX_SAFE_INTEGER));
const meterNames = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9_]{0,62}$/),
  fc.constantFrom(...METER_NAMES_OF_PROTOTYPES, 'cached'),
);
const reasons = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 60 })
  // eslint-disable-next-line no-control-regex
  .filter((text) => /^[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,200}$/u.test(text));

const instants = fc
  .tuple(
    fc.date({ min: new Date('2000-01-02T00:00:00Z'), max: new Date('2999-12-30T00:00:00Z'), noInvalidDate: true }),
    fc.constantFrom('', '.5', '.25', '.123456789'),
    fc.constantFrom('Z', '+00:00', '-00:00', '+05:30', '-11:45', '+14:00'),
  )
  .map(([date, decimals, offset]) => `${date.toISOString().slice(0, 19)}${decimals}${offset}`);

const pricings = fc.record(
  {
    input_per_1k: prices,
    output_per_1k: prices,
    currency: fc.stringMatching(/^[A-Z]{3,8}$/),
    meters: fc.dictionary(meterNames, prices, { maxKeys: 16 }),
    price_version: labels,
  },
  { requiredKeys: ['currency'] },
);

const identity = {
  schema_version: fc.constant(1),
  event_id: identifiers,
  trace_id: identifiers,
  tenant_id: identifiers,
  api_key_id: identifiers,
  occurred_at: instants,
  provider: labels,
  model: labels,
  price_class: words,
  preset_item_id: identifiers,
  user_id: identifiers,
  project_id: identifiers,
  tags: fc.dictionary(words, tagValues, { maxKeys: 8 }),
  stream: fc.boolean(),
  pricing: pricings,
  producer: fc.record({ instance: identifiers, epoch: counters, seq: counters }),
};

const required = ['schema_version', 'event_id', 'trace_id', 'occurred_at', 'provider', 'model', 'stream'] as const;

const pendings = fc.record(
  {
    ...identity,
    estimate: fc.record(
      {
        input_tokens: quantities,
        max_output_tokens: quantities,
        meters: fc.dictionary(meterNames, quantities, { maxKeys: 16 }),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [...required, 'estimate'] },
);

interface WireUsage {
  input_tokens: number;
  output_tokens: number;
  meters?: Record<string, number>;
  declared?: { input_tokens?: number; output_tokens?: number };
}

/** Declares, now and then, a total that is not below what the meters of a side add up to. */
function withDeclared([usage, side, more]: [WireUsage, 'input_tokens' | 'output_tokens', number]): WireUsage {
  const total = tokensOf(side, usage[side], usage.meters) + more;
  return more > 1_000 || total > 1e12 ? usage : { ...usage, declared: { [side]: total } };
}

const usages = fc
  .tuple(
    fc.record(
      {
        input_tokens: quantities,
        output_tokens: quantities,
        meters: fc.dictionary(
          fc.oneof(meterNames, fc.constantFrom('cached_input_tokens', 'reasoning_output_tokens')),
          quantities,
          { maxKeys: 16 },
        ),
      },
      { requiredKeys: ['input_tokens', 'output_tokens'] },
    ) as fc.Arbitrary<WireUsage>,
    fc.constantFrom('input_tokens' as const, 'output_tokens' as const),
    fc.oneof(fc.constantFrom(0, 1), fc.nat(3_000)),
  )
  .map(withDeclared);

const completions = fc.record(
  {
    ...identity,
    outcome: fc.constantFrom('succeeded', 'failed', 'cancelled'),
    usage: usages,
    allow_negative: fc.boolean(),
    skip_reason: reasons,
  },
  { requiredKeys: [...required, 'outcome', 'usage'] },
);

/** Generates valid wire events of a kind: optional fields come and go, values reach their bounds. */
export function validWire(kind: UsageKind): fc.Arbitrary<WireObject> {
  return kind === 'pending' ? pendings : completions;
}
