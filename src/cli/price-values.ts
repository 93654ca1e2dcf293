/** Owns: parsing prices, and positions among parked usage, as options of the command line. */
import { InvalidArgumentError } from 'commander';
import { METER_NAME_PATTERN, PRICE_PATTERN } from '../contract/meter-map.js';
import { type ParkedPosition } from '../ledger/postgres/parked-usage.js';
import { identifier, instantValue } from './option-values.js';

const PRICE_ALLOWED =
  'allowed: a decimal such as 0.003, or 0 for what is free, at most 18 digits before and 30 after the point';

/** Parses a price per 1,000 units. */
export function unitPrice(text: string): string {
  if (!PRICE_PATTERN.test(text)) throw new InvalidArgumentError(PRICE_ALLOWED);
  return text;
}

/** Parses `NAME=PRICE` of a further meter, and adds it to those of earlier options. */
export function meterPrices(
  text: string,
  earlier: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const split = text.indexOf('=');
  const [name, price] = [text.slice(0, split), text.slice(split + 1)];
  if (split < 0 || !METER_NAME_PATTERN.test(name)) {
    throw new InvalidArgumentError('allowed: NAME=PRICE with a name of a-z 0-9 _, such as cached_input_tokens=0.0003');
  }
  if (Object.hasOwn(earlier, name)) throw new InvalidArgumentError(`meter ${name} was given already`);
  return { ...earlier, [name]: unitPrice(price) };
}

/** Writes where a listing of parked usage ended, for the option that goes on after it. */
export function parkedPositionText({ recordedAt, tenantId, traceId }: ParkedPosition): string {
  return [recordedAt, tenantId, traceId].join(',');
}

/** Parses what `parkedPositionText` has written: identifiers hold no comma. */
export function parkedPosition(text: string): ParkedPosition {
  const [recordedAt = '', tenantId = '', traceId = '', ...rest] = text.split(',');
  if (rest.length > 0) throw new InvalidArgumentError('allowed: TIME,TENANT,TRACE');
  return { recordedAt: instantValue(recordedAt), tenantId: identifier(tenantId), traceId: identifier(traceId) };
}
