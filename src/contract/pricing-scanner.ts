/**
 * Owns: reading the pricing of a plain message, and remembering it: the same few prices come by the million.
 * Does not own: the rest of the message (event-scanner.ts).
 * Invariants: a remembered pricing is given for exactly the bytes it was read from, and is frozen with its meters,
 * since many events share it. An object ends where its bytes end, so that no pricing is the beginning of another: a
 * comparison finds the end of a known one, and nothing in it is looked at.
 */
import type { EventPricing } from '../ledger/events.js';
import { nameMap } from '../runtime/name-map.js';
import type { ByteCursor } from './byte-cursor.js';
import { hashTo } from './known-bytes.js';
import { METERS_MAX } from './meter-map.js';
import { PRICING_FIELD, PRICING_KEYS, bitsOf } from './plain-fields.js';
import { CURRENCIES, LABELS, METER_NAMES, readText } from './plain-texts.js';
import { readPrice } from './plain-values.js';
import { RecurringValues } from './recurring-values.js';

type Draft<T> = { -readonly [Field in keyof T]: T[Field] };

/** A pricing and how many bytes of a message it is. */
interface KnownPricing {
  readonly pricing: EventPricing;
  readonly length: number;
}

const BRACES = 0x7d7d7d7d;
const PRICING_BYTES_MAX = 380;

/** Room for some 2,000 pricings, in 0.8 MB; a pricing of more bytes than 380 has many meters, and is read anew every time. */
const PRICINGS = new RecurringValues<KnownPricing>({ placesLog2: 11, bytesMax: PRICING_BYTES_MAX });

const REQUIRED = bitsOf(PRICING_FIELD.currency);

/** Reads a pricing: nearly always one that is known. */
export function readPricing(cursor: ByteCursor): EventPricing {
  const { words, at: start } = cursor;
  const hash = hashTo(BRACES, words, { start, bytesMax: PRICING_BYTES_MAX });
  const known = PRICINGS.find(hash, words, start);
  if (known !== undefined) {
    cursor.at = start + known.length;
    return known.pricing;
  }
  const pricing = readNewPricing(cursor);
  const end = cursor.at;
  if (cursor.isPlain) PRICINGS.remember({ hash, start, end }, words, { pricing, length: end - start });
  return pricing;
}

function readNewPricing(cursor: ByteCursor): EventPricing {
  const found: Draft<EventPricing> = { currency: '' };
  const ofMessage = cursor.countsApart();
  for (let field = cursor.enter(PRICING_KEYS); field >= 0; field = cursor.next(PRICING_KEYS)) {
    if (field === PRICING_FIELD.inputPer1k) found.inputPer1k = readPrice(cursor);
    else if (field === PRICING_FIELD.outputPer1k) found.outputPer1k = readPrice(cursor);
    else if (field === PRICING_FIELD.currency) found.currency = readText(cursor, CURRENCIES);
    else if (field === PRICING_FIELD.priceVersion) found.priceVersion = readText(cursor, LABELS);
    else found.meters = readMeterPrices(cursor);
  }
  if ((cursor.goesBackTo(ofMessage) & REQUIRED) !== REQUIRED) cursor.refuse();
  return Object.freeze(inOrder(found));
}

/** The same pricing with its fields in one order, so that pricings of the same fields have the same shape. */
function inOrder({ currency, inputPer1k, outputPer1k, meters, priceVersion }: EventPricing): EventPricing {
  const pricing: Draft<EventPricing> = { currency };
  if (inputPer1k !== undefined) pricing.inputPer1k = inputPer1k;
  if (outputPer1k !== undefined) pricing.outputPer1k = outputPer1k;
  if (meters !== undefined) pricing.meters = meters;
  if (priceVersion !== undefined) pricing.priceVersion = priceVersion;
  return pricing;
}

function readMeterPrices(cursor: ByteCursor): Readonly<Record<string, string>> {
  const meters = nameMap<string>();
  let count = 0;
  for (let hasMeter = cursor.opens(); hasMeter; hasMeter = cursor.goesOn()) {
    const name = readText(cursor, METER_NAMES);
    cursor.passColon();
    count += 1;
    if (count > METERS_MAX) cursor.refuse();
    if (name in meters) cursor.refuse();
    meters[name] = readPrice(cursor);
  }
  return Object.freeze(meters);
}
