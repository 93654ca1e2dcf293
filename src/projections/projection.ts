/**
 * Owns: the projection: (ledger, version in the hash) → the quota hash, and the in-flight items the ledger now contains.
 * One function for live projection, hydration of a missing hash, and recovery from a stale or restored store.
 *
 *  1. Read the version v of each hash (null: missing), or take the one this process has set last: step 4 compares.
 *  2. Read each account at seq N, and the steps of its traces in (v, N], in one snapshot; or take them from what this
 *     process has committed itself, where that begins at v: the same facts, not read back.
 *  3. Where (v, N] is unknown or too long (missing, ahead, far behind), or the hash is set afresh (a rebuild): read the
 *     items now in flight instead, and which steps of their traces are recorded up to N. The ledger is append-only, so a
 *     later look-up gives the same answer; and an item whose entry is at or below N was in flight before N was read, so
 *     none is missed.
 *  4. Run the project script: if the version is still v, set the fields and N, and drop those items.
 *
 * A crash between any two steps leaves the hash as it was; all that counts is in Redis and the ledger.
 * Does not own: when to project (projector.ts).
 */
import type { EntryStatus } from '../ledger/entry.js';
import type { AccountProgress, LedgerAdvance, LedgerReader, TraceStep } from '../ledger/ledger-reader.js';
import { distinctTraces } from '../ledger/ledger-store.js';
import type { Phase } from '../ledger/trace.js';
import type { DropSpec, ProjectReply, QuotaScripts, TenantProjection } from '../lua/quota-scripts.js';
import { faultPoint } from '../runtime/fault-points.js';
import type { Logger } from '../runtime/logger.js';
import type { KnownVersions } from './known-versions.js';
import { quotaHashOf } from './quota-hash-of.js';

/** What projections are made from. */
export interface ProjectionPorts {
  readonly reader: LedgerReader;
  readonly scripts: QuotaScripts;
  readonly logger: Logger;
  /** Spares reading versions that this process has set itself; absent: they are read. */
  readonly known?: KnownVersions;
}

/** What became of the tenants of one run. */
export interface ProjectionResult {
  readonly projected: number;
  /** Hashes that were already at the ledger's seq. */
  readonly current: number;
  /** Tenants whose hash changed meanwhile, or whose ledger has moved on: to be projected again. */
  readonly again: readonly string[];
  /** Tenants whose hash was ahead of the ledger: an alarm. */
  readonly ahead: readonly string[];
}

/** A seq after which there is no step to read. */
const NO_STEPS = Number.MAX_SAFE_INTEGER;

/** From which distance on the items in flight are read instead of the entries between. */
const STEPS_MAX = 5_000;

/**
 * The phases whose deltas a recorded step makes obsolete: its own, and those that can no longer come. A hold is given
 * back once, so VOIDED and EXPIRED each end both: a writer that died between Redis and its commit may have left the other.
 */
const LANDED_PHASES: Readonly<Record<EntryStatus, readonly (Phase | 'all')[]>> = {
  PENDING: ['p'],
  REFUSED: ['p', 'v'],
  VOIDED: ['p', 'v', 'x'],
  EXPIRED: ['p', 'v', 'x'],
  COMMITTED: ['all'],
  FAILED: ['all'],
};

/** What a run knows besides; by tenant. */
export interface ProjectionExtras {
  /** Further in-flight items to drop. */
  readonly drops?: ReadonlyMap<string, readonly DropSpec[]>;
  /** What this process has committed. */
  readonly committed?: ReadonlyMap<string, LedgerAdvance>;
  /** Sets every hash anew, also one at its ledger's seq, and holds every item in flight against the ledger (step 3). */
  readonly afresh?: boolean;
}

/** Projects tenants. Throws REDIS_*, POSTGRES_*. */
export async function projectTenants(
  ports: ProjectionPorts,
  tenantIds: readonly string[],
  { drops: extraDrops = NOTHING, committed = NOTHING, afresh = false }: ProjectionExtras = {},
): Promise<ProjectionResult> {
  const versions = await versionsOf(ports, tenantIds);
  await faultPoint('projection.versions-read');
  const progress = await progressOf(ports.reader, versions, { committed, afresh });
  await faultPoint('projection.ledger-read');
  const isStale = ({ account }: AccountProgress): boolean =>
    afresh || versions.get(account.tenantId) !== account.seq || extraDrops.has(account.tenantId);
  const stale = progress.filter(isStale);
  const landed = await landedInFlight(
    ports,
    stale.filter((each) => afresh || needsInFlight(each, versions)),
  );
  await faultPoint('projection.inflight-read');
  const projections: TenantProjection[] = [];
  for (const { account, steps } of stale) {
    const { tenantId } = account;
    const drop = [...(landed.get(tenantId) ?? dropsOf(steps)), ...(extraDrops.get(tenantId) ?? [])];
    const expectedVersion = versions.get(tenantId) ?? null;
    projections.push({ tenantId, expectedVersion, onlyIfNoInflight: false, hash: quotaHashOf(account), drop });
  }
  const ahead = stale.filter((each) => (versions.get(each.account.tenantId) ?? -1) > each.account.seq);
  alarmAhead(ports.logger, ahead, versions);
  const replies = projections.length === 0 ? [] : await ports.scripts.project(projections);
  await faultPoint('projection.projected');
  remember(ports.known, projections, replies);
  const again = projections.filter((_projection, index) => replies[index]?.kind !== 'projected');
  return {
    projected: projections.length - again.length,
    current: progress.length - stale.length,
    again: again.map(({ tenantId }) => tenantId),
    ahead: ahead.map(({ account }) => account.tenantId),
  };
}

type Versions = ReadonlyMap<string, number | null>;

const NOTHING: ReadonlyMap<string, never> = new Map<string, never>();

/** Step 2. */
async function progressOf(
  reader: LedgerReader,
  versions: Versions,
  { committed, afresh }: Required<Pick<ProjectionExtras, 'committed' | 'afresh'>>,
): Promise<AccountProgress[]> {
  const progress: AccountProgress[] = [];
  const unknown: { tenantId: string; sinceSeq: number }[] = [];
  for (const [tenantId, version] of versions) {
    const advance = committed.get(tenantId);
    if (advance !== undefined && advance.sinceSeq === version && advance.steps.length < STEPS_MAX)
      progress.push(advance);
    else unknown.push({ tenantId, sinceSeq: afresh ? NO_STEPS : (version ?? NO_STEPS) });
  }
  if (unknown.length > 0) progress.push(...(await reader.readProgress(unknown, STEPS_MAX)));
  return progress;
}

/** Step 1: from memory where it is known, else from Redis. */
async function versionsOf({ scripts, known }: ProjectionPorts, tenantIds: readonly string[]): Promise<Versions> {
  const versions = new Map<string, number | null>();
  const unknown: string[] = [];
  for (const tenantId of tenantIds) {
    const version = known?.get(tenantId) ?? null;
    versions.set(tenantId, version);
    if (version === null) unknown.push(tenantId);
  }
  if (unknown.length === 0) return versions;
  const read = await scripts.versions(unknown);
  for (const [index, tenantId] of unknown.entries()) versions.set(tenantId, read[index] ?? null);
  return versions;
}

/** Keeps in mind what the script replied: the new version, or that the hash is not where it was thought to be. */
function remember(
  known: KnownVersions | undefined,
  projections: readonly TenantProjection[],
  replies: readonly ProjectReply[],
): void {
  for (const [index, { tenantId, hash }] of projections.entries()) {
    if (replies[index]?.kind === 'projected') known?.set(tenantId, hash.version);
    else known?.forget([tenantId]);
  }
}

function needsInFlight({ account, steps }: AccountProgress, versions: Versions): boolean {
  const version = versions.get(account.tenantId) ?? null;
  return version === null || version > account.seq || steps.length === STEPS_MAX;
}

/** Step 3: the in-flight items of each tenant that its ledger at its seq contains. */
async function landedInFlight(
  { reader, scripts }: ProjectionPorts,
  tenants: readonly AccountProgress[],
): Promise<ReadonlyMap<string, DropSpec[]>> {
  if (tenants.length === 0) return new Map();
  const seqs = new Map(tenants.map(({ account }) => [account.tenantId, account.seq]));
  const tenantIds = [...seqs.keys()];
  const inFlight = await scripts.readInflight(tenantIds);
  const traces = tenantIds.flatMap((tenantId, index) =>
    (inFlight[index] ?? []).map(({ traceId }) => ({ tenantId, traceId })),
  );
  const drops = new Map<string, DropSpec[]>(tenantIds.map((tenantId) => [tenantId, []]));
  if (traces.length === 0) return drops;
  const steps = await reader.readSteps(distinctTraces(traces));
  for (const step of steps) {
    if (step.seq > (seqs.get(step.tenantId) ?? 0)) continue;
    drops.get(step.tenantId)?.push(...dropsOf([step]));
  }
  return drops;
}

/** What recorded steps make obsolete in flight, each item named once. */
export function dropsOf(steps: readonly TraceStep[]): DropSpec[] {
  const drops: DropSpec[] = [];
  for (const { traceId, status } of steps) {
    for (const phase of LANDED_PHASES[status]) drops.push({ traceId, phase });
  }
  return drops;
}

function alarmAhead(logger: Logger, ahead: readonly AccountProgress[], versions: Versions): void {
  for (const { account } of ahead) {
    const facts = { tenantId: account.tenantId, version: versions.get(account.tenantId), seq: account.seq };
    logger.error(facts, 'quota hash is ahead of its ledger (was the database restored?): hydrating it anew');
  }
}
