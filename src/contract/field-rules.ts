/**
 * Owns: the field rules of the wire contract, each one decorator that carries the class-validator checks, the JSON
 * Schema keywords and the sentence that says what is allowed.
 * Does not own: which field of which event follows which rule (the *-dto.ts files).
 * Invariants: a rule says the same to class-validator and to a JSON Schema validator (a property test compares the
 * two); patterns are compiled with the `u` flag, as JSON Schema validators do; lengths are written into patterns,
 * because the two validators count characters outside the basic plane differently.
 */
import 'reflect-metadata';
import {
  Equals,
  IsBoolean,
  IsIn,
  IsInt,
  IsObject,
  Matches,
  Max,
  Min,
  ValidateBy,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { JSONSchema } from 'class-validator-jsonschema';
import { IDENTIFIER, IDENTIFIER_ALLOWED } from '../ledger/identifier.js';
import { INSTANT_ALLOWED, INSTANT_PATTERN, hasRealCalendarDay, isInstant } from './instant.js';
import { METER_NAME_PATTERN, METERS_MAX, PRICE_PATTERN, QUANTITY_MAX, meterMapProblem } from './meter-map.js';
import type { MeterMapRule } from './meter-map.js';
import { TAG_NAME_PATTERN, TAG_VALUE_PATTERN, TAGS_MAX, tagProblem } from './tag-map.js';

/** What the published schema says about one field besides its rule. */
export interface FieldText {
  readonly description: string;
  readonly example?: string | number | boolean;
  readonly default?: string | number | boolean;
}

/** The names of the rules that class-validator does not know; their JSON Schema keywords are given here in full. */
export const CUSTOM_RULES = ['instant', 'meterMap', 'tagMap'] as const;

/** What the name of a provider or a model looks like. */
export const LABEL_PATTERN =
  /^[A-Za-z0-9._:@/|=+~%#!$&*[\](),-][A-Za-z0-9._:@/|=+~%#!$&*[\](), -]{0,255}$/u;
/** LABEL_PATTERN in words. */
export const LABEL_ALLOWED = '1 to 256 of A-Z a-z 0-9 . _ : @ / | = + ~ % # ! $ & * [ ] ( ) , - and blank, no blank first';
/** What a price class looks like: one word. */
export const PRICE_CLASS_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/u;
const REASON_PATTERN = /^[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,200}$/u; // eslint-disable-line no-control-regex
const CURRENCY_PATTERN = /^[A-Z]{3,8}$/u;
const QUANTITY_ALLOWED = `an integer from 0 to ${QUANTITY_MAX}`;
const PRICE_ALLOWED =
  'a decimal string without sign or exponent, at most 18 digits before and 30 after the point, such as "0.003"';

/** `keywords` adds to what class-validator-jsonschema derives from the checks. */
function rule(text: FieldText, keywords: object, checks: readonly PropertyDecorator[]): PropertyDecorator {
  const { example, ...annotations } = text;
  const schema = JSONSchema({
    ...keywords,
    ...annotations,
    ...(example === undefined ? {} : { examples: [example] }),
  });
  return (target, propertyName) => {
    for (const decorate of [...checks, schema as PropertyDecorator]) decorate(target, propertyName);
  };
}

function textRule(text: FieldText, pattern: RegExp, allowed: string): PropertyDecorator {
  return rule(text, {}, [Matches(pattern, { message: allowed })]);
}

/** Lets a field be left out. An explicit null is refused: it is no value of any field. */
export function Optional(): PropertyDecorator {
  return ValidateIf((_event: object, value: unknown) => value !== undefined);
}

/** Requires an identifier: it becomes part of keys in Kafka, PostgreSQL and Redis, so blanks and braces are refused. */
export function Identifier(text: FieldText): PropertyDecorator {
  return textRule(text, IDENTIFIER, IDENTIFIER_ALLOWED);
}

/** Requires a name such as a provider's or a model's: like an identifier, with blanks, commas and brackets as well. */
export function Label(text: FieldText): PropertyDecorator {
  return textRule(text, LABEL_PATTERN, LABEL_ALLOWED);
}

/** Requires the name of a price class: one word. */
export function PriceClass(text: FieldText): PropertyDecorator {
  return textRule(text, PRICE_CLASS_PATTERN, '1 to 64 of A-Z a-z 0-9 . _ + -, a letter or digit first');
}

/** Requires 1 to 200 characters of plain text; control characters and lone surrogates are refused. */
export function Reason(text: FieldText): PropertyDecorator {
  return textRule(text, REASON_PATTERN, '1 to 200 characters without control characters');
}

/** Requires a currency code of three to eight capitals. */
export function Currency(text: FieldText): PropertyDecorator {
  return textRule(text, CURRENCY_PATTERN, '3 to 8 of A-Z, such as "USD"');
}

/** Requires a price per 1,000 units as a decimal string; a JSON number is refused, for money is never a float. */
export function Price(text: FieldText): PropertyDecorator {
  return textRule(text, PRICE_PATTERN, PRICE_ALLOWED);
}

/** Requires one word of a closed set. */
export function OneOf(text: FieldText, words: readonly string[]): PropertyDecorator {
  return rule(text, {}, [IsIn([...words], { message: `one of ${words.join(', ')}` })]);
}

/** Requires exactly this number. */
export function Exactly(text: FieldText, number: number): PropertyDecorator {
  return rule(text, { type: 'integer' }, [Equals(number, { message: `${number}` })]);
}

/** Requires true or false. */
export function Flag(text: FieldText): PropertyDecorator {
  return rule(text, {}, [IsBoolean({ message: 'true or false' })]);
}

function integerRule(text: FieldText, maximum: number): PropertyDecorator {
  const message = `an integer from 0 to ${maximum}`;
  return rule(text, { type: 'integer' }, [
    IsInt({ message }),
    Min(0, { message }),
    Max(maximum, { message }),
  ]);
}

/** Requires a count of tokens or other units: an integer from 0 to 1e12. */
export function Quantity(text: FieldText): PropertyDecorator {
  return integerRule(text, QUANTITY_MAX);
}

/** Requires a counter of the producer: a non-negative integer that a JSON number holds exactly. */
export function Counter(text: FieldText): PropertyDecorator {
  return integerRule(text, Number.MAX_SAFE_INTEGER);
}

/** Requires an RFC 3339 time with an offset, on a day that the calendar has, in the years 2000 to 2999. */
export function Instant(text: FieldText): PropertyDecorator {
  const message = INSTANT_ALLOWED;
  return rule(text, { format: 'date-time' }, [
    Matches(INSTANT_PATTERN, { message }),
    ValidateBy(
      { name: 'instant', validator: { validate: (value) => isInstant(value) && hasRealCalendarDay(value) } },
      { message },
    ),
  ]);
}

function meterMap(text: FieldText, meters: MeterMapRule, values: object): PropertyDecorator {
  const names = { type: 'string', pattern: METER_NAME_PATTERN.source };
  const keywords = { type: 'object', maxProperties: METERS_MAX, propertyNames: names, additionalProperties: values };
  const check = ValidateBy(
    { name: 'meterMap', validator: { validate: (value) => meterMapProblem(value, meters) === undefined } },
    { message: ({ value }) => meterMapProblem(value, meters) ?? '' },
  );
  return rule(text, keywords, [check]);
}

/** Requires a map of meter names to quantities. */
export function MeterQuantities(text: FieldText): PropertyDecorator {
  const values = { type: 'integer', minimum: 0, maximum: QUANTITY_MAX };
  return meterMap(text, { holds: 'quantity', allowed: QUANTITY_ALLOWED }, values);
}

/** Requires a map of meter names to prices per 1,000 units. */
export function MeterPrices(text: FieldText): PropertyDecorator {
  const values = { type: 'string', pattern: PRICE_PATTERN.source };
  return meterMap(text, { holds: 'price', allowed: PRICE_ALLOWED }, values);
}

/** Requires a map of tag names to texts. */
export function Tags(text: FieldText): PropertyDecorator {
  const keywords = {
    type: 'object',
    maxProperties: TAGS_MAX,
    propertyNames: { type: 'string', pattern: TAG_NAME_PATTERN.source },
    additionalProperties: { type: 'string', pattern: TAG_VALUE_PATTERN.source },
  };
  const check = ValidateBy(
    { name: 'tagMap', validator: { validate: (value) => tagProblem(value) === undefined } },
    { message: ({ value }) => tagProblem(value) ?? '' },
  );
  return rule(text, keywords, [check]);
}

/** Requires an object that follows the rules of another DTO, which is the declared type of the property. */
export function Section(): PropertyDecorator {
  const message = 'an object';
  const reference = JSONSchema((derived) => ('$ref' in derived ? { $ref: String(derived.$ref) } : derived));
  return (target, propertyName) => {
    for (const decorate of [ValidateNested({ message }), IsObject({ message }), reference as PropertyDecorator]) {
      decorate(target, propertyName);
    }
  };
}
