/**
 * Owns: what must hold in a simulated world: after every step, and at rest.
 * Does not own: how the world came there (simulation.ts).
 * Invariants: pure reads of the rows and of Redis; each problem is one sentence that names the tenant.
 */
import { CHAIN_GENESIS } from '../../src/ledger/batch.js';
import { balanceEffect } from '../../src/ledger/entry.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import { recordedRefusal } from '../../src/ledger/refusal-figures.js';
import { encodeQuotaHash, type QuotaHash } from '../../src/lua/quota-codec.js';
import { quotaHashOf } from '../../src/projections/quota-hash-of.js';
import { type PlannedTrace, TENANTS, UNIT_NANO } from './gateway-plan.js';
import { sourceKey } from './ledger-rows.js';
import type { SimulatedWorld } from './simulated-world.js';

/** Which item in flight an entry of a status lands. */
const PHASE_OF = { PENDING: 'p', REFUSED: 'p', COMMITTED: 'c', FAILED: 'c', VOIDED: 'v', EXPIRED: 'x' } as const;

/** The statuses of a trace's entries in order, by what its gateway completed it with. */
const ENDS = {
  charged: /^(REFUSED |PENDING )?(EXPIRED |VOIDED )?(COMMITTED|FAILED)$/,
  cancelled: /^(VOIDED|PENDING VOIDED|PENDING EXPIRED|REFUSED)$/,
  open: /^(|PENDING EXPIRED|PENDING VOIDED|REFUSED)$/,
};

/** What does not hold right now, whatever is under way; undefined when all does. */
export function problemNow(world: SimulatedWorld): string | undefined {
  if (world.problems.length > 0) return world.problems[0];
  if (world.ledger.locks.deadlocks > 0) return 'two sessions waited for each other: locks were not taken in one order';
  if (!hasChanged(world)) return undefined;
  for (const tenantId of TENANTS) {
    const problem = problemOf(world, tenantId);
    if (problem !== undefined) return `${tenantId}: ${problem}`;
  }
  return undefined;
}

interface LastLook {
  readonly revision: number;
  /** Of each hash, by tenant and by how often Redis has lost everything. */
  readonly versions: Map<string, number>;
}

const lastLooks = new WeakMap<SimulatedWorld, LastLook>();

/** Tells whether a commit or a call of Redis came since the last look: half of the time of a schedule would be looking. */
function hasChanged(world: SimulatedWorld): boolean {
  const revision = world.ledger.rows.batches.length + world.redis.revision;
  const before = lastLooks.get(world);
  lastLooks.set(world, { revision, versions: before?.versions ?? new Map<string, number>() });
  return revision !== before?.revision;
}

/** Tells whether a hash stands at an older version than it stood at, though Redis has lost nothing since. */
function wentBack(world: SimulatedWorld, tenantId: string, { version }: QuotaHash): boolean {
  const versions = lastLooks.get(world)?.versions;
  const life = `${tenantId} ${world.redis.losses}`;
  const before = versions?.get(life) ?? 0;
  versions?.set(life, version);
  return version < before && !world.redis.isRuined(tenantId);
}

function problemOf(world: SimulatedWorld, tenantId: string): string | undefined {
  const hash = world.redis.hashOf(tenantId);
  if (hash === undefined) return undefined;
  if (wentBack(world, tenantId, hash)) return `the hash went back to version ${hash.version}`;
  const isRuined = world.redis.isRuined(tenantId);
  if (!isRuined && !isLedgerAt(world, tenantId, hash))
    return `the hash is not the ledger at its version ${hash.version}`;
  if (!isCountedOnce(world, tenantId)) return 'an item in flight is no step of its trace: it was counted twice';
  if (world.isRedisFaithful && isDebitMissing(world, tenantId, hash)) {
    return `a decided debit is missing from hash and flight at version ${hash.version}`;
  }
  return undefined;
}

function isLedgerAt({ ledger }: SimulatedWorld, tenantId: string, hash: QuotaHash): boolean {
  const account = ledger.rows.accountAt(tenantId, hash.version);
  // Version 0 is an account that was opened and not committed yet: the gate hydrates from the locked one.
  if (account === undefined) return hash.version === 0 && hash.balanceNano === 0n && hash.heldNano === 0n;
  return encodeQuotaHash(quotaHashOf(account)).join() === encodeQuotaHash(hash).join();
}

/** Tells whether every item in flight is what a step of its trace may change, taken once. */
function isCountedOnce({ plan, redis }: SimulatedWorld, tenantId: string): boolean {
  return redis.itemsOf(tenantId).every(({ traceId, phase, availableNano }) => {
    const trace = plan.traces.find(
      (each) => each.tenantId === tenantId && (each.traceId === traceId || traceId === `unpublished-${each.traceId}`),
    );
    return trace !== undefined && deltasOf(trace)[phase].some((units) => availableNano === BigInt(units) * UNIT_NANO);
  });
}

function deltasOf({ estimate, units }: PlannedTrace): Readonly<Record<'p' | 'c' | 'v' | 'x', readonly number[]>> {
  return { p: [-estimate], c: [-units, estimate - units], v: [0, estimate], x: [estimate] };
}

/** Tells whether hash and flight together grant more than the ledger leaves. */
function isDebitMissing({ ledger, redis }: SimulatedWorld, tenantId: string, hash: QuotaHash): boolean {
  const account = ledger.rows.accounts.get(tenantId);
  if (account === undefined || account.seq === hash.version) return false;
  const unprojected = ledger.rows.entriesOf(tenantId).filter(({ seq }) => seq > hash.version);
  const landed = new Set(unprojected.map(({ traceId, status }) => `${traceId}:${PHASE_OF[status]}`));
  const inFlight = redis.itemsOf(tenantId).filter(({ traceId, phase }) => landed.has(`${traceId}:${phase}`));
  // Commands do not ask Redis: what they gave is known once it is projected; unless a writer that died had asked for it.
  const asked = new Set(inFlight.map(({ traceId, phase }) => `${traceId}:${phase}`));
  const isGiven = ({ actor, traceId, status }: LedgerEntry): boolean =>
    actor !== null && !asked.has(`${traceId}:${PHASE_OF[status]}`);
  const given = sumOf(unprojected.filter(isGiven).map(availableEffect));
  const known = hash.balanceNano - hash.heldNano + sumOf(inFlight.map(({ availableNano }) => availableNano)) + given;
  return known > account.balanceNano - account.heldNano;
}

function availableEffect(entry: LedgerEntry): bigint {
  return entry.balanceAfterNano - entry.balanceBeforeNano - (entry.heldAfterNano - entry.heldBeforeNano);
}

/** What does not hold once nothing is under way; undefined when all does. */
export function problemAtRest(world: SimulatedWorld): string | undefined {
  const problem = problemNow(world) ?? chainProblem(world);
  if (problem !== undefined) return problem;
  for (const tenantId of TENANTS) {
    const found = restProblemOf(world, tenantId);
    if (found !== undefined) return `${tenantId} at rest: ${found}`;
  }
  return undefined;
}

function restProblemOf({ ledger, redis, plan, booked }: SimulatedWorld, tenantId: string): string | undefined {
  const account = ledger.rows.accounts.get(tenantId);
  const entries = ledger.rows.entriesOf(tenantId);
  if (account === undefined) return 'its credit opened no account';
  if (redis.hashOf(tenantId)?.version !== account.seq) return `the hash is not at seq ${account.seq}`;
  if (redis.itemsOf(tenantId).length > 0) return 'something is still in flight';
  if (account.heldNano !== 0n || ledger.rows.holds.size > 0) return 'something is still held';
  if (entries.some(({ seq }, index) => seq !== index + 1) || entries.length !== account.seq)
    return 'a gap in its entries';
  if (sumOf(entries.map(balanceEffect)) !== account.balanceNano) return 'the balance is not the sum of its entries';
  const traces = plan.traces.filter((trace) => trace.tenantId === tenantId);
  const unexplained = entries.find((entry) => !isExplained(entry, traces));
  if (unexplained !== undefined) return `the refusal of ${unexplained.traceId} is not borne out`;
  const ended = traces.find((trace) => !endOf(trace).test(statusesOf(entries, trace)));
  if (ended !== undefined) return `${ended.traceId} ended as ${statusesOf(entries, ended)}`;
  if (plan.isScarce) return account.balanceNano < 0n ? 'a balance below zero' : undefined;
  const expected = independentBalance(traces, [...booked.values()]);
  return expected === account.balanceNano ? undefined : `balance ${account.balanceNano}, expected ${expected}`;
}

/** Tells whether the account, less what can be in flight at most, bears a refusal out. */
function isExplained({ description, detail, ...entry }: LedgerEntry, traces: readonly PlannedTrace[]): boolean {
  const refusal = recordedRefusal(description, detail);
  if (refusal === undefined) return entry.status !== 'REFUSED' && entry.status !== 'FAILED';
  if (refusal.code !== 'INSUFFICIENT_BALANCE') return false;
  const { requiredNano, availableNano, inFlightNano = 0n } = refusal;
  const inFlightMax = sumOf(traces.map(({ estimate, units }) => BigInt(2 * estimate + units) * UNIT_NANO));
  const isAdding = availableNano === entry.balanceBeforeNano - entry.heldBeforeNano + inFlightNano;
  return isAdding && inFlightNano <= 0n && inFlightNano >= -inFlightMax && availableNano < requiredNano;
}

function endOf({ isCompleted, units }: PlannedTrace): RegExp {
  return isCompleted ? (units === 0 ? ENDS.cancelled : ENDS.charged) : ENDS.open;
}

function statusesOf(entries: readonly LedgerEntry[], { traceId }: PlannedTrace): string {
  const ofTrace = entries.filter((entry) => entry.type === 'DEDUCT' && entry.traceId === traceId);
  return ofTrace.map(({ status }) => status).join(' ');
}

/** The balance by what the gateways used and what was answered to the commands, without a look at the ledger. */
function independentBalance(
  traces: readonly PlannedTrace[],
  booked: readonly (SimulatedWorld['booked'] extends Map<string, infer Booked> ? Booked : never)[],
): bigint {
  const used = traces.filter(({ isCompleted }) => isCompleted).map(({ units }) => BigInt(-units) * UNIT_NANO);
  const given = booked.map(({ command }) => {
    if (command.tenantId !== traces[0]?.tenantId) return 0n;
    if (command.kind === 'credit') return command.amountNano;
    const refunded = command.kind === 'refund' && traces.find(({ traceId }) => command.key === `refund-${traceId}`);
    return refunded ? BigInt(refunded.units) * UNIT_NANO : 0n;
  });
  return sumOf([...used, ...given]);
}

/** Every source has one chain of batches: no fork, no gap, no position sealed twice or counted twice. */
function chainProblem({ ledger }: SimulatedWorld): string | undefined {
  const heads = new Map<string, { batchNo: number; nextOffset: bigint; hash: Buffer }>();
  for (const batch of ledger.rows.batches) {
    const key = sourceKey(batch.source);
    const head = heads.get(key) ?? { batchNo: 0, nextOffset: 0n, hash: CHAIN_GENESIS };
    const follows = batch.batchNo === head.batchNo + 1 && batch.firstOffset === head.nextOffset;
    if (!follows || !batch.prevHash.equals(head.hash)) return `${key}: batch ${batch.batchNo} forks the chain`;
    const counted = Object.values<number>({ ...batch.counts }).reduce(
      (sum, count) => sum + count,
      -batch.counts.openings,
    );
    const positions = Number(batch.nextOffset - batch.firstOffset);
    if (counted !== positions) return `${key}: batch ${batch.batchNo} counts ${counted} of ${positions} positions`;
    heads.set(key, batch);
  }
  return undefined;
}

function sumOf(amounts: readonly bigint[]): bigint {
  return amounts.reduce((sum, amount) => sum + amount, 0n);
}
