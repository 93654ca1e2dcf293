/**
 * Owns: looking at some tenants: what Redis has of them, read beside the ledger, and judged.
 *
 *  1. Read hash and overlay of each at one version v of the hash; who was projected in between is looked at again.
 *  2. Read each account now and at v, in one snapshot, and the recorded steps of the traces in flight. The ledger is read
 *     after Redis and only grows, so what it does not contain now had not reached it then.
 *  3. Judge (audit-drift.ts).
 *
 * Does not own: which tenants (audit-sweep.ts), mending (audit-repair.ts).
 * Invariants: reads only; costs three round trips for all tenants named; a hot tenant is never waited for.
 */
import type { AccountStanding, LedgerHistory } from '../ledger/ledger-history.js';
import type { LedgerReader, TraceStep } from '../ledger/ledger-reader.js';
import { distinctTraces } from '../ledger/ledger-store.js';
import type { QuotaObservation } from '../lua/quota-observation.js';
import type { QuotaScripts } from '../lua/quota-scripts.js';
import type { AuditTerms } from './audit-difference.js';
import { driftOf, type TenantDrift } from './audit-drift.js';
import { unsettledItems } from './audit-overlay.js';

/** What an audit reads. */
export interface AuditPorts {
  readonly reader: LedgerReader;
  readonly history: LedgerHistory;
  readonly scripts: QuotaScripts;
}

/** How many there are of something that passes by itself, and since when the oldest waits, in milliseconds. */
export interface Waiting {
  readonly count: number;
  readonly oldestMs: number;
}

/** What a look at some tenants found. */
export interface TenantsAudit {
  readonly looked: number;
  readonly drifts: readonly TenantDrift[];
  /** Hashes with later entries to be projected, or none yet. */
  readonly behind: Waiting;
  /** Items in flight that the ledger does not have yet, and that may still reach it. */
  readonly unsettled: Waiting;
  /** Tenants whose hash was projected anew at every try: not judged. */
  readonly restless: readonly string[];
}

const TRIES_MAX = 10;

/** Looks at tenants, each named once; those without an account are left out. Throws REDIS_*, POSTGRES_*. */
export async function auditTenants(
  ports: AuditPorts,
  tenantIds: readonly string[],
  terms: AuditTerms,
): Promise<TenantsAudit> {
  const result = { looked: 0, drifts: [] as TenantDrift[], behind: NOTHING_WAITS, unsettled: NOTHING_WAITS };
  let open = tenantIds;
  for (let tries = 0; open.length > 0 && tries < TRIES_MAX; tries += 1) {
    const observations = await observeSteady(ports.scripts, open);
    const look = await judge(ports, observations, terms);
    result.looked += look.looked;
    result.drifts.push(...look.drifts);
    result.behind = joined(result.behind, look.behind);
    result.unsettled = joined(result.unsettled, look.unsettled);
    open = open.filter((tenantId) => !observations.has(tenantId));
  }
  return { ...result, restless: open };
}

/** Nothing waits. */
export const NOTHING_WAITS: Waiting = { count: 0, oldestMs: 0 };

/** Adds up what waits. */
export function joined(one: Waiting, other: Waiting): Waiting {
  return { count: one.count + other.count, oldestMs: Math.max(one.oldestMs, other.oldestMs) };
}

/** Step 1: the tenants that stood still. */
async function observeSteady(
  scripts: QuotaScripts,
  tenantIds: readonly string[],
): Promise<ReadonlyMap<string, QuotaObservation>> {
  const steady = new Map<string, QuotaObservation>();
  for (const [index, observation] of (await scripts.observe(tenantIds)).entries()) {
    const tenantId = tenantIds[index];
    if (tenantId !== undefined && !observation.moved) steady.set(tenantId, observation);
  }
  return steady;
}

/** Steps 2 and 3. */
async function judge(
  { reader, history }: AuditPorts,
  observations: ReadonlyMap<string, QuotaObservation>,
  terms: AuditTerms,
): Promise<Omit<TenantsAudit, 'restless'>> {
  const asked = [...observations].map(([tenantId, { hash }]) => ({
    tenantId,
    seq: hash.kind === 'read' ? hash.version : null,
  }));
  const standings = await history.readStandings(asked);
  const steps = await readStepsInFlight(reader, observations);
  const drifts: TenantDrift[] = [];
  let [behind, unsettled] = [NOTHING_WAITS, NOTHING_WAITS];
  for (const [tenantId, standing] of standings) {
    const observation = observations.get(tenantId);
    if (observation === undefined) continue;
    const evidence = { observation, standing, steps: steps.get(tenantId) ?? [] };
    const drift = driftOf(evidence, terms);
    if (drift !== undefined) drifts.push(drift);
    behind = joined(behind, behindOf(observation, standing, terms));
    unsettled = joined(unsettled, unsettledOf(observation, evidence.steps, terms));
  }
  return { looked: standings.size, drifts, behind, unsettled };
}

async function readStepsInFlight(
  reader: LedgerReader,
  observations: ReadonlyMap<string, QuotaObservation>,
): Promise<ReadonlyMap<string, TraceStep[]>> {
  const traces = [...observations].flatMap(([tenantId, { overlay }]) =>
    overlay.kind === 'read' ? overlay.items.map(({ traceId }) => ({ tenantId, traceId })) : [],
  );
  const byTenant = new Map<string, TraceStep[]>();
  if (traces.length === 0) return byTenant;
  for (const step of await reader.readSteps(distinctTraces(traces))) {
    const known = byTenant.get(step.tenantId);
    if (known === undefined) byTenant.set(step.tenantId, [step]);
    else known.push(step);
  }
  return byTenant;
}

function behindOf(
  { hash }: QuotaObservation,
  { lastEntry, nextRecordedAt }: AccountStanding,
  { nowMs }: AuditTerms,
): Waiting {
  const since = hash.kind === 'missing' ? lastEntry?.recordedAt : nextRecordedAt;
  if (since === undefined || since === null) return NOTHING_WAITS;
  return { count: 1, oldestMs: Math.max(0, nowMs - Date.parse(since)) };
}

function unsettledOf({ overlay }: QuotaObservation, steps: readonly TraceStep[], { nowMs }: AuditTerms): Waiting {
  if (overlay.kind !== 'read') return NOTHING_WAITS;
  const items = unsettledItems(overlay.items, steps);
  return {
    count: items.length,
    oldestMs: items.reduce((oldest, { createdAtMs }) => Math.max(oldest, nowMs - createdAtMs), 0),
  };
}
