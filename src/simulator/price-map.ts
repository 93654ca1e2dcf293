/**
 * Owns: reading a price map (JSON in the litellm format: model → prices per token) into exact prices per 1,000 tokens.
 * Does not own: what usage costs (exact-cost.ts).
 * Invariants: a price is never a JavaScript number: the number literals of the file ("1.25e-06") reach decimal.js as the
 * text they are and leave it as plain decimal strings ("0.00125") with every digit; a problem names the file and the model.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Decimal } from 'decimal.js';
import { TollbookError } from '../runtime/errors.js';
import { ownValue } from '../runtime/name-map.js';

/** A model with what its tokens cost: plain decimal strings in US dollars per 1,000 tokens, all above zero. */
export interface PricedModel {
  readonly model: string;
  readonly provider: string;
  readonly inputPer1k: string;
  readonly outputPer1k: string;
  /** Price of input tokens read from the provider's cache; absent when the map names none. */
  readonly cachedInputPer1k?: string;
  /** Price of input tokens written to that cache; absent when the map names none. */
  readonly cacheCreationPer1k?: string;
  /** Price of output tokens spent on reasoning; absent when they cost what other output costs. */
  readonly reasoningPer1k?: string;
}

/** A price map as read: its chat models with prices, in the order of the file, and the SHA-256 of the file's text. */
export interface PriceMap {
  readonly digest: string;
  readonly models: readonly [PricedModel, ...PricedModel[]];
}

type QuotedModel = Readonly<Record<string, unknown>>;

/** Enough digits for any literal a price list could hold; ×1000 only moves the point, so nothing is ever rounded. */
const Exact = Decimal.clone({ precision: 400 });

/** A token must cost at least one nano-unit, so that no usage rounds to zero. */
const PER_1K_MIN = new Exact('0.000001');

/** Prices that a model may have besides those of input and output, by the field of the map that holds them. */
const FURTHER_PRICES = [
  ['cachedInputPer1k', 'cache_read_input_token_cost'],
  ['cacheCreationPer1k', 'cache_creation_input_token_cost'],
  ['reasoningPer1k', 'output_cost_per_reasoning_token'],
] as const;

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const NUMBER_LITERAL = /^\d{1,30}(?:\.\d{1,100})?(?:[eE][+-]?\d{1,2})?$/;

/** Reads a price map; throws FILE_UNREADABLE for a file that is missing, is no JSON, or holds no priced chat model. */
export async function readPriceMap(path: string): Promise<PriceMap> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `price file ${path} cannot be read`, { cause, context: { path } });
  }
  return parsePriceMap(text, path);
}

/** Reads the text of a price map; `path` is for messages only. Throws FILE_UNREADABLE. */
export function parsePriceMap(text: string, path: string): PriceMap {
  const models = Object.entries(parseKeepingNumberText(text, path)).flatMap(([model, row]) =>
    pricedModel(model, row, path),
  );
  const [first, ...rest] = models;
  if (first === undefined) {
    throw new TollbookError('FILE_UNREADABLE', `${path} holds no chat model with a price for input and output tokens`, {
      context: { path },
    });
  }
  return { digest: createHash('sha256').update(text).digest('hex'), models: [first, ...rest] };
}

/**
 * Turns a JSON number literal of a price per token into a plain decimal string per 1,000 tokens: "1.25e-06" → "0.00125".
 * Throws FILE_UNREADABLE for anything that is no non-negative number literal.
 */
export function per1kFromLiteral(literal: string): string {
  if (!NUMBER_LITERAL.test(literal)) {
    throw new TollbookError(
      'FILE_UNREADABLE',
      `price per token is ${JSON.stringify(literal)}; expected a non-negative number such as 1.25e-06`,
      { context: { literal } },
    );
  }
  return new Exact(literal).times(1000).toFixed();
}

/** Parses JSON with every number as its source text; the first parse, of the text as it is, refuses what is no JSON. */
function parseKeepingNumberText(text: string, path: string): Record<string, QuotedModel> {
  try {
    JSON.parse(text);
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `price file ${path} is no JSON: ${String(cause)}`, {
      cause,
      context: { path },
    });
  }
  const quoted = text.replace(STRING_OR_NUMBER, (token) => (token.startsWith('"') ? token : `"${token}"`));
  const parsed: unknown = JSON.parse(quoted);
  if (!isRecord(parsed) || !Object.values(parsed).every(isRecord)) {
    throw new TollbookError('FILE_UNREADABLE', `price file ${path}: expected an object of model name → prices`, {
      context: { path },
    });
  }
  return parsed as Record<string, QuotedModel>;
}

function pricedModel(model: string, row: QuotedModel, path: string): PricedModel[] {
  if (row['mode'] !== 'chat' || typeof row['litellm_provider'] !== 'string') return [];
  const price = (name: string): string | undefined => priceOf({ row, name, model, path });
  const inputPer1k = price('input_cost_per_token');
  const outputPer1k = price('output_cost_per_token');
  if (inputPer1k === undefined || outputPer1k === undefined) return [];
  const priced: { -readonly [name in keyof PricedModel]: PricedModel[name] } = {
    ...{ model, provider: row['litellm_provider'], inputPer1k, outputPer1k },
  };
  for (const [name, field] of FURTHER_PRICES) {
    const per1k = price(field);
    if (per1k !== undefined) priced[name] = per1k;
  }
  return [priced];
}

function priceOf(where: { row: QuotedModel; name: string; model: string; path: string }): string | undefined {
  const literal = ownValue(where.row, where.name);
  if (typeof literal !== 'string') return undefined;
  try {
    const per1k = per1kFromLiteral(literal);
    return new Exact(per1k).lt(PER_1K_MIN) ? undefined : per1k;
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `${where.path}: ${where.name} of ${where.model} is ${literal}`, {
      cause,
      context: { path: where.path, model: where.model, field: where.name },
    });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
