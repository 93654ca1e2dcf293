/**
 * Owns: looking at what the two keys of a tenant hold, whoever wrote it: what cannot be read is told, not thrown.
 * Does not own: what it should be (projections/audit-drift.ts), nor mending it (quota-mend.lua).
 * Invariants: reads only. Where `moved` is false, hash and overlay were read while the hash stood at one version, since it
 * is read before and after. What counts as readable is the same here as in quota-mend.lua.
 */
import type { Redis } from 'ioredis';
import type { Phase } from '../ledger/trace.js';
import { redisError } from '../runtime/redis.js';
import { ITEM_FIELD, type InflightItem, QUOTA_FIELDS } from './quota-codec.js';
import type { QuotaKeys } from './quota-keys.js';
import { executed } from './script-runner.js';

/** A quota hash as it stands: the values as text in the order of QUOTA_FIELDS, empty where one is missing. */
export type ObservedHash =
  | { readonly kind: 'missing' }
  | { readonly kind: 'read'; readonly version: number; readonly values: readonly string[] }
  | { readonly kind: 'unreadable'; readonly found: string };

/** An overlay as it stands. */
export type ObservedOverlay =
  | {
      readonly kind: 'read';
      readonly items: readonly InflightItem[];
      /** The running sums as text, by field. */
      readonly sums: ReadonlyMap<string, string>;
      /** What is neither an item nor a sum, as `FIELD = VALUE`. */
      readonly strange: readonly string[];
    }
  | { readonly kind: 'unreadable'; readonly found: string };

/** What one tenant has in Redis. */
export interface QuotaObservation {
  readonly hash: ObservedHash;
  readonly overlay: ObservedOverlay;
  /** The hash was projected between the two reads: look again. */
  readonly moved: boolean;
}

type Reply = readonly [error: Error | null, reply: unknown];

const READS_PER_TENANT = 3;
const VERSION_AT = QUOTA_FIELDS.indexOf('version');
const VERSION = /^(0|[1-9]\d{0,14})$/;
const ITEM_VALUE = /^(?=[^|]{1,20}\|)(-?\d+)\|(-1|0|1)\|(\d{4}-\d{2}-\d{2})\|(\d{1,15})$/;

/** Looks at the keys of many tenants, in one pipeline. Throws REDIS_UNAVAILABLE, and REDIS_FAILED for what is no matter of a key. */
export async function observeKeys(redis: Redis, keys: readonly QuotaKeys[]): Promise<readonly QuotaObservation[]> {
  const pipeline = redis.pipeline();
  for (const { quota, inflight } of keys) {
    pipeline.hmget(quota, ...QUOTA_FIELDS);
    pipeline.hgetall(inflight);
    pipeline.hget(quota, 'version');
  }
  const replies = await executed(pipeline.exec());
  return keys.map((_keys, index) => {
    const [values, overlay, version] = replies.slice(index * READS_PER_TENANT, (index + 1) * READS_PER_TENANT);
    return observationOf(values ?? NO_REPLY, overlay ?? NO_REPLY, version ?? NO_REPLY);
  });
}

const NO_REPLY: Reply = [null, null];

function observationOf(values: Reply, overlay: Reply, version: Reply): QuotaObservation {
  const hash = isOtherType(values) ? OTHER_TYPE : hashOf(values[1] as readonly (string | null)[]);
  const after = isOtherType(version) ? undefined : version[1];
  const before = hash.kind === 'read' ? String(hash.version) : hash.kind === 'missing' ? null : after;
  return {
    hash,
    overlay: isOtherType(overlay) ? OTHER_TYPE : overlayOf(overlay[1] as Readonly<Record<string, string>>),
    moved: before !== after,
  };
}

const OTHER_TYPE = { kind: 'unreadable', found: 'a key that is no hash' } as const;

/** Tells whether a key is of another type; throws every other error. */
function isOtherType([error]: Reply): boolean {
  if (error === null) return false;
  if (error.message.startsWith('WRONGTYPE')) return true;
  throw redisError(error);
}

function hashOf(read: readonly (string | null)[]): ObservedHash {
  const values = read.map((value) => value ?? '');
  const version = read[VERSION_AT] ?? null;
  if (version === null) return { kind: 'missing' };
  if (!VERSION.test(version)) return { kind: 'unreadable', found: `version ${JSON.stringify(version)}` };
  return { kind: 'read', version: Number(version), values };
}

function overlayOf(hash: Readonly<Record<string, string>>): ObservedOverlay {
  const items: InflightItem[] = [];
  const sums = new Map<string, string>();
  const strange: string[] = [];
  for (const [field, value] of Object.entries(hash)) {
    const item = field.startsWith('~') ? undefined : itemOf(field, value);
    if (field.startsWith('~')) sums.set(field, value);
    else if (item === undefined) strange.push(`${field} = ${value}`);
    else items.push(item);
  }
  return { kind: 'read', items, sums, strange };
}

function itemOf(field: string, value: string): InflightItem | undefined {
  const [, traceId, phase] = ITEM_FIELD.exec(field) ?? [];
  const [, available, requests, day, createdAtMs] = ITEM_VALUE.exec(value) ?? [];
  if (traceId === undefined || available === undefined || day === undefined) return undefined;
  return {
    traceId,
    phase: phase as Phase,
    availableNano: BigInt(available),
    requests: Number(requests) as -1 | 0 | 1,
    day,
    createdAtMs: Number(createdAtMs),
  };
}
