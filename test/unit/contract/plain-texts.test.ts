/** Owns: that the scanner's classes of bytes and its keys are those of the published contract. */
import { expect } from 'chai';
import { ByteCursor } from '../../../src/contract/byte-cursor.js';
import {
  CURRENCY_FORM,
  IDENTIFIER_FORM,
  LABEL_FORM,
  PRICE_CLASS_FORM,
  TAG_NAME_FORM,
  TAG_VALUE_FORM,
  METER_NAME_FORM,
  REASON_FORM,
} from '../../../src/contract/byte-classes.js';
import type { TextForm } from '../../../src/contract/byte-classes.js';
import { eventSchema } from '../../../src/contract/json-schema.js';
import { NO_FIELD } from '../../../src/contract/key-table.js';
import type { KeyTable } from '../../../src/contract/key-table.js';
import {
  COMPLETED_KEYS,
  DECLARED_KEYS,
  ESTIMATE_KEYS,
  PENDING_KEYS,
  PRICING_KEYS,
  PRODUCER_KEYS,
  USAGE_KEYS,
} from '../../../src/contract/plain-fields.js';
import { passText } from '../../../src/contract/plain-texts.js';

interface PublishedField {
  readonly pattern?: string;
  readonly propertyNames?: { readonly pattern: string };
  readonly additionalProperties?: { readonly pattern?: string };
}

function fieldsOf(section: object): Readonly<Record<string, PublishedField>> {
  return (section as { readonly properties: Readonly<Record<string, PublishedField>> }).properties;
}

const { properties, definitions } = eventSchema('completed');
const USAGE = fieldsOf(definitions['UsageDto'] ?? {});
const PRICING = fieldsOf(definitions['PricingDto'] ?? {});
const EVENT = fieldsOf({ properties });

/** Tells whether a text passes as a value of a form. */
function passes(form: TextForm, text: string): boolean {
  const cursor = new ByteCursor();
  cursor.start(Buffer.from(`"${text}"`, 'latin1'));
  return passText(cursor, form) && cursor.isDone();
}

/** Tells which field a key names, when it stands in an object with a value. */
function fieldNamed(keys: KeyTable, key: string): number {
  const cursor = new ByteCursor();
  cursor.start(Buffer.from(`{"${key}":0}`));
  return cursor.enter(keys);
}

describe('the forms of texts that the scanner reads', () => {
  for (const [name, form, pattern] of [
    ['an identifier', IDENTIFIER_FORM, EVENT['trace_id']?.pattern],
    ['a label', LABEL_FORM, EVENT['model']?.pattern],
    ['a price class', PRICE_CLASS_FORM, EVENT['price_class']?.pattern],
    ['a name of a tag', TAG_NAME_FORM, EVENT['tags']?.propertyNames?.pattern],
    ['a tag', TAG_VALUE_FORM, EVENT['tags']?.additionalProperties?.pattern],
    ['a reason', REASON_FORM, EVENT['skip_reason']?.pattern],
    ['a currency', CURRENCY_FORM, PRICING['currency']?.pattern],
    ['a name of a meter', METER_NAME_FORM, USAGE['meters']?.propertyNames?.pattern],
  ] as const) {
    it(`accept for ${name} every ASCII character of the published pattern, at every place, and no other byte`, () => {
      const published = new RegExp(pattern ?? '', 'u');
      const letter = form === CURRENCY_FORM ? 'A' : 'a';
      for (let byte = 0; byte < 256; byte += 1) {
        const character = String.fromCharCode(byte);
        const isPlain = byte < 0x80 && character !== '"' && character !== '\\';
        for (const place of [0, 1, 2, 3, 4, 5]) {
          const text = letter.repeat(place) + character + letter.repeat(5 - place);
          expect(passes(form, text), JSON.stringify(text)).to.equal(isPlain && published.test(text));
        }
      }
    });

    it(`accept for ${name} every length of the published pattern, and no other`, () => {
      const published = new RegExp(pattern ?? '', 'u');
      const letter = form === CURRENCY_FORM ? 'A' : 'a';
      for (let length = 0; length < 262; length += 1) {
        expect(passes(form, letter.repeat(length)), `${length}`).to.equal(published.test(letter.repeat(length)));
      }
    });
  }
});

describe('the keys that the scanner knows', () => {
  const tables: readonly (readonly [string, KeyTable, readonly string[]])[] = [
    ['a pending event', PENDING_KEYS, Object.keys(eventSchema('pending').properties)],
    ['a completed event', COMPLETED_KEYS, Object.keys(properties)],
    ['an estimate', ESTIMATE_KEYS, Object.keys(fieldsOf(eventSchema('pending').definitions['EstimateDto'] ?? {}))],
    ['a usage', USAGE_KEYS, Object.keys(USAGE)],
    ['what is declared', DECLARED_KEYS, Object.keys(fieldsOf(definitions['DeclaredDto'] ?? {}))],
    ['a pricing', PRICING_KEYS, Object.keys(PRICING)],
    ['a producer', PRODUCER_KEYS, Object.keys(fieldsOf(definitions['ProducerDto'] ?? {}))],
  ];
  const allKeys = [...new Set(tables.flatMap(([, , keys]) => keys))];

  for (const [name, table, published] of tables) {
    it(`of ${name} are those of the published schema, each with a field of its own`, () => {
      const known = allKeys.filter((key) => fieldNamed(table, key) !== NO_FIELD);
      expect(known).to.have.members(published);
      expect(new Set(known.map((key) => fieldNamed(table, key))).size).to.equal(published.length);
    });

    it(`of ${name} are known whole and nothing else is`, () => {
      for (const key of published) {
        for (const other of [key.slice(0, -1), `${key}s`, `x${key}`, key.toUpperCase(), `${key.slice(0, -1)}\\`]) {
          expect(published.includes(other) || fieldNamed(table, other) === NO_FIELD, other).to.equal(true);
        }
      }
    });
  }
});
