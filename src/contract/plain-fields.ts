/**
 * Owns: the fields of the usage events as the scanner of plain messages numbers them, and the keys of every object.
 * Does not own: what the values look like (event-scanner.ts).
 * Invariants: no two fields of one message share a number, so one integer holds, bit by bit, which ones it has; only
 * `pricing` and `usage.declared`, which are rare, count theirs apart. A test compares the keys with those of the published
 * schemas.
 */
import { KeyTable } from './key-table.js';

/** The number of every field; a pending and a completed event share some, which mean something else in each. At most 30. */
export const FIELD = {
  schemaVersion: 0,
  eventId: 1,
  traceId: 2,
  tenantId: 3,
  apiKeyId: 4,
  occurredAt: 5,
  provider: 6,
  model: 7,
  presetItemId: 8,
  stream: 9,
  pricing: 10,
  producer: 11,
  estimate: 12,
  outcome: 13,
  usage: 14,
  allowNegative: 15,
  skipReason: 16,
  inputTokens: 17,
  outputTokens: 18,
  usageMeters: 19,
  priceClass: 20,
  userId: 21,
  projectId: 22,
  tags: 23,
  declared: 24,
  instance: 25,
  epoch: 26,
  seq: 27,
} as const;

/** The numbers of the fields of `pricing`, which is read with bits of its own. */
export const PRICING_FIELD = { inputPer1k: 0, outputPer1k: 1, currency: 2, meters: 3, priceVersion: 4 } as const;

/** The numbers of the fields of `usage.declared`, which is read with bits of its own. */
export const DECLARED_FIELD = { inputTokens: 0, outputTokens: 1 } as const;

const IDENTITY_KEYS = {
  schema_version: FIELD.schemaVersion,
  event_id: FIELD.eventId,
  trace_id: FIELD.traceId,
  tenant_id: FIELD.tenantId,
  api_key_id: FIELD.apiKeyId,
  occurred_at: FIELD.occurredAt,
  provider: FIELD.provider,
  model: FIELD.model,
  price_class: FIELD.priceClass,
  preset_item_id: FIELD.presetItemId,
  user_id: FIELD.userId,
  project_id: FIELD.projectId,
  tags: FIELD.tags,
  stream: FIELD.stream,
  pricing: FIELD.pricing,
  producer: FIELD.producer,
};

/** The keys of `usage.pending`. */
export const PENDING_KEYS = new KeyTable({ ...IDENTITY_KEYS, estimate: FIELD.estimate });

/** The keys of `usage.completed`. */
export const COMPLETED_KEYS = new KeyTable({
  ...IDENTITY_KEYS,
  outcome: FIELD.outcome,
  usage: FIELD.usage,
  allow_negative: FIELD.allowNegative,
  skip_reason: FIELD.skipReason,
});

/** The keys of `estimate`. */
export const ESTIMATE_KEYS = new KeyTable({
  input_tokens: FIELD.inputTokens,
  max_output_tokens: FIELD.outputTokens,
  meters: FIELD.usageMeters,
});

/** The keys of `usage`. */
export const USAGE_KEYS = new KeyTable({
  input_tokens: FIELD.inputTokens,
  output_tokens: FIELD.outputTokens,
  meters: FIELD.usageMeters,
  declared: FIELD.declared,
});

/** The keys of `usage.declared`. */
export const DECLARED_KEYS = new KeyTable({
  input_tokens: DECLARED_FIELD.inputTokens,
  output_tokens: DECLARED_FIELD.outputTokens,
});

/** The keys of `pricing`. */
export const PRICING_KEYS = new KeyTable({
  input_per_1k: PRICING_FIELD.inputPer1k,
  output_per_1k: PRICING_FIELD.outputPer1k,
  currency: PRICING_FIELD.currency,
  meters: PRICING_FIELD.meters,
  price_version: PRICING_FIELD.priceVersion,
});

/** The keys of `producer`. */
export const PRODUCER_KEYS = new KeyTable({ instance: FIELD.instance, epoch: FIELD.epoch, seq: FIELD.seq });

/** The bits of some fields, as `seen` of a cursor has them. */
export function bitsOf(...fields: readonly number[]): number {
  return fields.reduce((bits, field) => bits | (1 << field), 0);
}
