/**
 * Owns: the bounds that an operator sets against forged events, as far as a message alone tells: who may publish for a tenant,
 * and under which key.
 * Does not own: the bounds that need the ledger, on cost and on unknown tenants (chunk-plan.ts).
 * Invariants: a bound that is not set costs nothing; who breaks one is told its name, what was found and what is allowed.
 */
import type { DeadLetterReason } from '../ledger/dead-letter.js';
import type { UsageEvent } from '../ledger/events.js';

/** Producer instances by the tenant they may publish for; a tenant that is absent takes events of any. */
export type AllowedProducers = ReadonlyMap<string, ReadonlySet<string>>;

/** What is asked of a message beside its event; absent: nothing. */
export interface MessageBounds {
  readonly keyMustBeTenant?: boolean | undefined;
  readonly allowedProducers?: AllowedProducers | undefined;
}

const NAMED_MAX = 5;

/** Says which bound a message breaks; undefined when it keeps them all. */
export function brokenBound(
  { key }: { readonly key: Buffer | null },
  { tenantId, producer }: UsageEvent,
  { keyMustBeTenant, allowedProducers }: MessageBounds,
): { reason: DeadLetterReason; detail: string } | undefined {
  if (tenantId === undefined) return undefined;
  if (keyMustBeTenant === true && key?.toString() !== tenantId) {
    const found = key === null ? 'nothing' : `${key.length} other bytes`;
    return { reason: 'KEY_NOT_TENANT', detail: `the key of the message is ${found}; allowed: ${tenantId}, its tenant` };
  }
  const allowed = allowedProducers?.get(tenantId);
  if (allowed === undefined || (producer !== undefined && allowed.has(producer.instance))) return undefined;
  const named = [...allowed].slice(0, NAMED_MAX).join(', ') + (allowed.size > NAMED_MAX ? ', …' : '');
  const found = producer?.instance ?? 'nothing';
  return { reason: 'PRODUCER_NOT_ALLOWED', detail: `producer.instance is ${found}; allowed for ${tenantId}: ${named}` };
}
