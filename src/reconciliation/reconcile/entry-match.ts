/**
 * Owns: whether a stored entry is, in every column but its seq, what an intent that was granted makes it: the check that
 * nearly every entry passes, without making the expected entry.
 * Does not own: what differs where it does not pass, nor entries that were refused (entry-check.ts); the seq, which is the
 * order of the tenant's entries and verification's to prove.
 * Invariants: pure; never says yes where the expected entry would have another text (test/property/entry-match.test.ts);
 * a no means nothing: entry-check.ts makes the expected entry then.
 */
import { canonicalMeters, canonicalTexts, type EntrySource, type EntryUsage } from '../../ledger/entry.js';
import { formatAmount } from '../../ledger/money.js';
import type { EntryIntent } from '../../ledger/trace.js';
import { ABSENT, type EntryLine, escaped, placeOf } from './entry-lines.js';

const AT = {
  ...{ tenant: placeOf('tenant_id'), trace: placeOf('trace_id'), type: placeOf('type'), status: placeOf('status') },
  ...{ amount: placeOf('amount'), balanceBefore: placeOf('balance_before'), balanceAfter: placeOf('balance_after') },
  ...{ heldBefore: placeOf('held_before'), heldAfter: placeOf('held_after'), currency: placeOf('currency') },
  ...{ requests: placeOf('requests'), countedOn: placeOf('counted_on'), inputTokens: placeOf('input_tokens') },
  ...{ outputTokens: placeOf('output_tokens'), inputPrice: placeOf('input_price') },
  ...{ outputPrice: placeOf('output_price'), meters: placeOf('meters'), priceVersion: placeOf('price_version') },
  ...{ provider: placeOf('provider'), model: placeOf('model'), apiKeyId: placeOf('api_key_id') },
  ...{ presetItemId: placeOf('preset_item_id'), stream: placeOf('stream'), outcome: placeOf('outcome') },
  ...{ allowNegative: placeOf('allow_negative'), description: placeOf('description'), detail: placeOf('detail') },
  ...{ reference: placeOf('reference_seq'), actor: placeOf('actor'), topic: placeOf('source_topic') },
  ...{ commandHash: placeOf('command_hash'), priceClass: placeOf('price_class'), userId: placeOf('user_id') },
  ...{ projectId: placeOf('project_id'), tags: placeOf('tags') },
  ...{ partition: placeOf('source_partition'), offset: placeOf('source_offset'), occurredAt: placeOf('occurred_at') },
};

/** What identifies the entry of an event. */
export interface MatchIdentity {
  readonly tenantId: string;
  readonly traceId: string;
  readonly occurredAt: string;
  readonly currency: string;
  readonly source: EntrySource;
}

/** Whether the entry is what the granted intent makes it. */
export function isGranted(
  { columns }: Pick<EntryLine, 'columns'>,
  { granted, usage }: EntryIntent,
  identity: MatchIdentity,
): boolean {
  return (
    columns[AT.status] === granted.status &&
    columns[AT.amount] === formatAmount(granted.amountNano) &&
    moves(columns[AT.balanceBefore], columns[AT.balanceAfter], granted.balanceDeltaNano) &&
    moves(columns[AT.heldBefore], columns[AT.heldAfter], granted.heldDeltaNano) &&
    columns[AT.requests] === String(granted.requests) &&
    columns[AT.countedOn] === (granted.countedOn ?? ABSENT) &&
    columns[AT.description] === (granted.description ?? ABSENT) &&
    columns[AT.detail] === ABSENT &&
    columns[AT.reference] === ABSENT &&
    columns[AT.actor] === ABSENT &&
    columns[AT.commandHash] === ABSENT &&
    isOfEvent(columns, identity) &&
    hasUsage(columns, usage)
  );
}

function isOfEvent(columns: readonly string[], identity: MatchIdentity): boolean {
  const { topic, partition, kafkaOffset } = identity.source;
  return (
    columns[AT.tenant] === identity.tenantId &&
    columns[AT.trace] === identity.traceId &&
    columns[AT.type] === 'DEDUCT' &&
    columns[AT.currency] === identity.currency &&
    columns[AT.topic] === topic &&
    columns[AT.partition] === String(partition) &&
    columns[AT.offset] === kafkaOffset.toString() &&
    columns[AT.occurredAt] === identity.occurredAt
  );
}

function hasUsage(columns: readonly string[], usage: EntryUsage): boolean {
  return (
    columns[AT.inputTokens] === text(usage.inputTokens) &&
    columns[AT.outputTokens] === text(usage.outputTokens) &&
    columns[AT.inputPrice] === (usage.inputPrice ?? ABSENT) &&
    columns[AT.outputPrice] === (usage.outputPrice ?? ABSENT) &&
    columns[AT.meters] === (canonicalMeters(usage.meters) ?? ABSENT) &&
    columns[AT.priceVersion] === (usage.priceVersion ?? ABSENT) &&
    columns[AT.provider] === (usage.provider ?? ABSENT) &&
    columns[AT.model] === (usage.model ?? ABSENT) &&
    columns[AT.apiKeyId] === (usage.apiKeyId ?? ABSENT) &&
    columns[AT.presetItemId] === (usage.presetItemId ?? ABSENT) &&
    columns[AT.stream] === text(usage.stream) &&
    columns[AT.outcome] === (usage.outcome ?? ABSENT) &&
    columns[AT.allowNegative] === text(usage.allowNegative) &&
    columns[AT.priceClass] === (usage.priceClass ?? ABSENT) &&
    columns[AT.userId] === (usage.userId ?? ABSENT) &&
    columns[AT.projectId] === (usage.projectId ?? ABSENT) &&
    hasTags(columns[AT.tags], usage)
  );
}

function hasTags(column: string | undefined, { tags }: EntryUsage): boolean {
  const texts = canonicalTexts(tags);
  return column === (texts === null ? ABSENT : escaped(texts));
}

function text(value: number | boolean | null): string {
  return value === null ? ABSENT : String(value);
}

/** Whether one amount lies so far above another; a delta of nothing is an equal text. */
function moves(before: string | undefined, after: string | undefined, deltaNano: bigint): boolean {
  if (deltaNano === 0n) return before === after;
  if (before === undefined || after === undefined) return false;
  return nanoOf(after) - nanoOf(before) === deltaNano;
}

/** An amount as numeric(28,9) prints it: nine decimals, always. */
function nanoOf(amount: string): bigint {
  return BigInt(amount.slice(0, -10) + amount.slice(-9));
}
