/**
 * Owns: what the replies of the Lua scripts mean; the one place that translates them.
 * Does not own: errors of the connection or of Redis itself (runtime/redis.ts).
 * Invariants: a reply that is not documented in the header of its script is REDIS_FAILED, never a guess.
 */
import type { QuotaRefusal } from '../ledger/quota-rule.js';
import { TollbookError } from '../runtime/errors.js';
import { ownValue } from '../runtime/name-map.js';

/** What became of one item: granted now, granted before, refused by the rule, or not storable in 63 bits. */
export type ItemReply =
  | { readonly kind: 'granted' }
  | { readonly kind: 'already' }
  | { readonly kind: 'outOfRange' }
  | { readonly kind: 'refused'; readonly refusal: QuotaRefusal };

/** What became of one tenant's items: decided each, or none since the hash is missing or ahead of the ledger. */
export type TenantReply =
  | { readonly kind: 'decided'; readonly items: readonly ItemReply[] }
  | { readonly kind: 'unhydrated' }
  | { readonly kind: 'ahead'; readonly version: number };

/** What became of a hold; `unhydrated` when the tenant has no quota hash. */
export type HoldReply = ItemReply | { readonly kind: 'unhydrated' };

/** What became of one projection: done with so many items dropped, or not done and why. */
export type ProjectReply =
  { readonly kind: 'projected'; readonly dropped: number } | { readonly kind: 'moved' } | { readonly kind: 'inflight' };

type Reading<T> = (first: string, second: string) => T;

const GRANTED: ItemReply = { kind: 'granted' };
const ALREADY: ItemReply = { kind: 'already' };
const OUT_OF_RANGE: ItemReply = { kind: 'outOfRange' };

/** Code of an item → its shape and what it means. */
const ITEM_CODES: Readonly<Record<string, { shape: RegExp; read: Reading<ItemReply> }>> = {
  g: { shape: /^g$/, read: () => GRANTED },
  a: { shape: /^a$/, read: () => ALREADY },
  o: { shape: /^o$/, read: () => OUT_OF_RANGE },
  b: {
    shape: /^b:(\d+):(-?\d+)$/,
    read: (required, available) =>
      refused({ code: 'INSUFFICIENT_BALANCE', requiredNano: BigInt(required), availableNano: BigInt(available) }),
  },
  d: {
    shape: /^d:(\d+):(-?\d+)$/,
    read: (limit, used) => refused({ code: 'DAILY_QUOTA_EXCEEDED', limit: Number(limit), used: Number(used) }),
  },
  m: {
    shape: /^m:(\d+):(-?\d+)$/,
    read: (limit, used) => refused({ code: 'MONTHLY_QUOTA_EXCEEDED', limit: Number(limit), used: Number(used) }),
  },
};

function refused(refusal: QuotaRefusal): ItemReply {
  return { kind: 'refused', refusal };
}

/** Reads one item's code (`g`, `a`, `o`, `b:REQUIRED:AVAILABLE`, `d:LIMIT:USED`, `m:LIMIT:USED`). Throws REDIS_FAILED. */
export function readItemReply(code: string): ItemReply {
  const row = ownValue(ITEM_CODES, code.slice(0, 1));
  const match = row?.shape.exec(code);
  if (row === undefined || match === null || match === undefined) throw undocumented('item', code);
  return row.read(match[1] ?? '', match[2] ?? '');
}

/** Reads one tenant's reply of quota-deduct, which had so many items. Throws REDIS_FAILED. */
export function readTenantReply(reply: unknown, itemCount: number): TenantReply {
  if (typeof reply !== 'string') throw undocumented('quota-deduct', reply);
  if (reply === 'granted') return { kind: 'decided', items: Array<ItemReply>(itemCount).fill(GRANTED) };
  if (reply === 'unhydrated') return { kind: 'unhydrated' };
  const ahead = /^ahead:(\d+)$/.exec(reply)?.[1];
  if (ahead !== undefined) return { kind: 'ahead', version: Number(ahead) };
  const items = reply.split(' ').map(readItemReply);
  if (items.length !== itemCount) throw undocumented('quota-deduct', reply);
  return { kind: 'decided', items };
}

/** Reads the reply of quota-hold. Throws REDIS_FAILED. */
export function readHoldReply(reply: unknown): HoldReply {
  if (typeof reply !== 'string') throw undocumented('quota-hold', reply);
  return reply === 'unhydrated' ? { kind: 'unhydrated' } : readItemReply(reply);
}

/** Reads the reply of quota-release: whether a hold was dropped. Throws REDIS_FAILED. */
export function readReleaseReply(reply: unknown): boolean {
  if (reply !== 0 && reply !== 1) throw undocumented('quota-release', reply);
  return reply === 1;
}

/** Reads one tenant's reply of quota-project. Throws REDIS_FAILED. */
export function readProjectReply(reply: unknown): ProjectReply {
  if (reply === 'moved' || reply === 'inflight') return { kind: reply };
  const dropped = typeof reply === 'string' ? /^projected:(\d+)$/.exec(reply)?.[1] : undefined;
  if (dropped === undefined) throw undocumented('quota-project', reply);
  return { kind: 'projected', dropped: Number(dropped) };
}

/** What mending the keys of one tenant came to. */
export interface MendReply {
  readonly hashDropped: boolean;
  /** Fields of the overlay that were set or taken out. */
  readonly fields: number;
  /** The version of the quota hash that is left; null when there is none. */
  readonly version: number | null;
}

/** Reads one tenant's reply of quota-mend. Throws REDIS_FAILED. */
export function readMendReply(reply: unknown): MendReply {
  const parts = typeof reply === 'string' ? /^([01]):(\d+):(-|\d{1,15})$/.exec(reply) : null;
  if (parts === null) throw undocumented('quota-mend', reply);
  const [, hashes, fields, version] = parts;
  return { hashDropped: hashes === '1', fields: Number(fields), version: version === '-' ? null : Number(version) };
}

/** Reads a reply that must be a list of `count` replies, one per tenant. Throws REDIS_FAILED. */
export function readList(script: string, reply: unknown, count: number): readonly unknown[] {
  if (!Array.isArray(reply) || reply.length !== count) throw undocumented(script, reply);
  return reply as readonly unknown[];
}

function undocumented(source: string, reply: unknown): TollbookError {
  const found = JSON.stringify(reply ?? null).slice(0, 200);
  return new TollbookError('REDIS_FAILED', `${source} replied ${found}, which is not a documented reply`, {
    context: { source, reply: found },
  });
}
