/**
 * Owns: what a refusal by Redis comes to. The quota hash is not believed: what counts is what others have in flight of the
 * tenant, item by item, and the ledger does not contain.
 * Does not own: reading either (quota-gate.ts), nor the decision (chunk-booking.ts, with ledger/quota-rule.ts).
 * Invariants: pure. An item that the ledger contains counts nothing, whatever version the hash has, and neither does an item
 * of a trace that the chunk itself decides. Nothing in flight ever adds to what the account has.
 */
import type { Account } from '../ledger/account.js';
import { traceKey, type TraceKey } from '../ledger/ledger-store.js';
import type { OthersInFlight } from '../ledger/quota-rule.js';
import type { TraceState } from '../ledger/trace.js';
import { mendingOf } from '../lua/broken-keys.js';
import { encodeQuotaHash, sumItems } from '../lua/quota-codec.js';
import type { QuotaObservation } from '../lua/quota-observation.js';
import type { DropSpec, InflightItem, OverlayItem } from '../lua/quota-scripts.js';
import { UNCHECKED } from '../lua/quota-requests.js';
import { dropsOf } from '../projections/projection.js';
import { quotaHashOf } from '../projections/quota-hash-of.js';

/** A tenant of which Redis refused what its account grants, and what Redis has of it. */
export interface ContestedTenant {
  readonly account: Account;
  readonly observation: QuotaObservation;
  /** The traces that the chunk decides. */
  readonly ownTraces: ReadonlySet<string>;
}

/** Traces as `traceKey` writes them → what the ledger says of them. */
export type TraceStates = ReadonlyMap<string, TraceState>;

/** The traces in flight of a tenant. */
export function tracesInFlight({ account: { tenantId }, observation }: ContestedTenant): TraceKey[] {
  return itemsOf(observation).map(({ traceId }) => ({ tenantId, traceId }));
}

/** What others have in flight of a tenant. */
export function othersInFlight(tenant: ContestedTenant, states: TraceStates): OthersInFlight {
  const landed = landedFields(tenant, states);
  const items = itemsOf(tenant.observation).filter(
    ({ traceId, phase }) => !tenant.ownTraces.has(traceId) && !landed.has(`${traceId}:${phase}`),
  );
  const { availableNano, requestsByDay, requestsByMonth } = sumItems(items);
  return {
    availableNano: availableNano < 0n ? availableNano : 0n,
    requestsByDay: positive(requestsByDay),
    requestsByMonth: positive(requestsByMonth),
  };
}

/** How Redis stands to the account of a contested tenant. */
export interface QuotaHashState {
  /** Whether a key holds what no script writes, or sums that are not those of the items. */
  readonly isBroken: boolean;
  /** Whether the hash is at the account's seq and says something else. */
  readonly differs: boolean;
}

/** Tells whether somebody else has been at the keys of a tenant. */
export function hashStateOf({ account, observation }: ContestedTenant): QuotaHashState {
  const { hash } = observation;
  return {
    isBroken: mendingOf(account.tenantId, observation) !== undefined,
    differs: hash.kind === 'read' && hash.version === account.seq && !isHashOf(account, hash.values),
  };
}

/** What is booked, to be put in flight unasked. */
export function decidedItems(booked: readonly OverlayItem[]): OverlayItem[] {
  return booked.map((item) => ({ ...item, delta: { ...item.delta, ...UNCHECKED } }));
}

function itemsOf({ overlay }: QuotaObservation): readonly InflightItem[] {
  return overlay.kind === 'read' ? overlay.items : [];
}

function isHashOf(account: Account, values: readonly string[]): boolean {
  return encodeQuotaHash(quotaHashOf(account)).every((value, index) => value === values[index]);
}

/** What is in flight of a tenant and in its ledger already. */
function landedDrops(tenant: ContestedTenant, states: TraceStates): DropSpec[] {
  const { tenantId } = tenant.account;
  const traceIds = new Set(itemsOf(tenant.observation).map(({ traceId }) => traceId));
  return [...traceIds].flatMap((traceId) => {
    const status = states.get(traceKey({ tenantId, traceId }))?.status ?? 'NONE';
    return status === 'NONE' ? [] : dropsOf([{ tenantId, traceId, seq: tenant.account.seq, status }]);
  });
}

const PHASES = ['p', 'c', 'v', 'x'] as const;

function landedFields(tenant: ContestedTenant, states: TraceStates): ReadonlySet<string> {
  return new Set(
    landedDrops(tenant, states).flatMap(({ traceId, phase }) =>
      (phase === 'all' ? PHASES : [phase]).map((each) => `${traceId}:${each}`),
    ),
  );
}

function positive(counts: ReadonlyMap<string, number>): Map<string, number> {
  return new Map([...counts].filter(([, count]) => count > 0));
}
