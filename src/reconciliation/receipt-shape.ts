/**
 * Owns: the shape of a receipt: which fields it has and what is allowed in each, before anything is computed.
 * Does not own: whether the fields fit each other (receipt-check.ts).
 * Invariants: every object has all of its fields and no other: what is not checked has no place in a receipt.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { type Receipt, RECEIPT_FORMAT } from './receipt.js';

const text = { type: 'string' };
const count = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const hash = { type: 'string', pattern: '^[0-9a-f]{64}$' };
const time = { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' };

function object(properties: Readonly<Record<string, object>>): object {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

const sealed = object({
  canonical: text,
  hash,
  fields: { type: 'object', additionalProperties: { type: ['string', 'null'] } },
});

/** The JSON Schema of a receipt, but for its anchor, which has its own reader (anchor.ts). */
const RECEIPT_SCHEMA = object({
  format: { const: RECEIPT_FORMAT },
  issued_at: time,
  entry: sealed,
  inclusion: object({ leaf_index: count, tree_size: count, path: { type: 'array', items: hash, maxItems: 64 } }),
  batch: sealed,
  chain: object({
    reaches: { enum: ['anchor', 'head', 'batch'] },
    links: { type: 'array', items: text },
    head: object({ batch_no: count, hash }),
  }),
  anchor: { type: ['object', 'null'] },
  document_hash: hash,
});

let compiled: ValidateFunction<Receipt> | undefined;

/** The compiled schema; compiled when it is asked for first. */
function receiptCheck(): ValidateFunction<Receipt> {
  compiled ??= new Ajv({ strict: true, allowUnionTypes: true }).compile<Receipt>(RECEIPT_SCHEMA);
  return compiled;
}

/** A receipt of the right shape, or where it is not and why. */
export type ShapedReceipt =
  | { readonly kind: 'receipt'; readonly receipt: Receipt }
  | { readonly kind: 'misshapen'; readonly where: string; readonly why: string };

/** Reads the text of a receipt. */
export function readReceipt(document: string): ShapedReceipt {
  let value: unknown;
  try {
    value = JSON.parse(document);
  } catch (error) {
    return { kind: 'misshapen', where: 'document', why: error instanceof Error ? error.message : String(error) };
  }
  const validate = receiptCheck();
  if (validate(value)) return { kind: 'receipt', receipt: value };
  const [first] = validate.errors ?? [];
  return { kind: 'misshapen', where: placeOf(first), why: reasonOf(first) };
}

function placeOf(error: ErrorObject | undefined): string {
  const path = (error?.instancePath ?? '').slice(1).replaceAll('/', '.');
  return path === '' ? 'document' : path;
}

function reasonOf(error: ErrorObject | undefined): string {
  const params = (error?.params ?? {}) as Record<string, unknown>;
  const named = params['additionalProperty'] ?? params['allowedValue'] ?? params['allowedValues'];
  const detail = named === undefined ? '' : `: ${JSON.stringify(named)}`;
  return `${error?.message ?? 'is not a receipt'}${detail}`;
}
