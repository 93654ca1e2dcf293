/**
 * Owns: the quota scripts of a simulation: the reference model of the Lua (quota-scripts-model.ts) behind steps that the
 * scheduler draws, which can be cut off, answer late, and lose everything.
 * Does not own: whether the model is the Lua: test/property/quota-scripts.test.ts compares them on a real Redis.
 */
import type { QuotaObservation } from '../../src/lua/quota-observation.js';
import type { HoldReply, HoldRequest, ProjectReply } from '../../src/lua/quota-scripts.js';
import type { InflightItem, QuotaHash, QuotaScripts } from '../../src/lua/quota-scripts.js';
import type { TenantDeltas, TenantProjection, TenantReply } from '../../src/lua/quota-scripts.js';
import { TollbookError } from '../../src/runtime/errors.js';
import { NOON } from '../support/wire-usage.js';
import { QuotaScriptsModel } from '../model/quota-scripts-model.js';
import type { Removal } from './removals.js';
import type { StepScheduler } from './step-scheduler.js';

/** What the code under test uses of the scripts. */
type ScriptsPort = Pick<
  QuotaScripts,
  'deduct' | 'project' | 'mendBroken' | 'hold' | 'release' | 'versions' | 'readInflight' | 'scanInflight' | 'observe'
>;

/** How the simulated Redis behaves. */
export interface SimulatedRedisOptions {
  readonly scheduler: StepScheduler;
  /** Tells whether the call now made loses its connection. */
  readonly isCut: () => boolean;
  /** What the ledger says a tenant has available, in nano-units. */
  readonly availableOf: (tenantId: string) => bigint;
  /** The safety that is taken away, if any. */
  readonly removed: Removal | undefined;
}

const DAY = NOON.slice(0, 10);
/** By how much a hand lowers a balance: more than anything of a simulation can be in flight. */
export const RUINED_BY_NANO = 1_000_000_000_000n;

/** The quota scripts on a simulated Redis. */
export class SimulatedQuotaScripts implements ScriptsPort {
  readonly #options: SimulatedRedisOptions;
  #model = new QuotaScriptsModel();
  #revision = 0;
  #losses = 0;
  /** The hashes that were projected, by tenant, since Redis last lost everything. */
  #projected = new Map<string, QuotaHash[]>();
  readonly #ruined = new Set<string>();

  constructor(options: SimulatedRedisOptions) {
    this.#options = options;
  }

  /** As the code under test takes it: it asks for the class, whose connection is private. */
  get port(): QuotaScripts {
    return this as unknown as QuotaScripts;
  }

  /** Moves on with whatever may have changed something. */
  get revision(): number {
    return this.#revision;
  }

  /** How often everything was lost. */
  get losses(): number {
    return this.#losses;
  }

  /** Forgets everything, as FLUSHALL or a restart without persistence does. */
  loseAll(): void {
    this.#revision += 1;
    this.#losses += 1;
    this.#model = new QuotaScriptsModel();
    this.#projected = new Map();
    this.#ruined.clear();
  }

  /** Overwrites the hash of a tenant, as an old copy that is put back does, or somebody's hand. */
  ruin(tenantId: string, how: 'stale' | 'poor'): void {
    const hash = this.#model.hash(tenantId);
    const [oldest] = this.#projected.get(tenantId) ?? [];
    if (hash === undefined || oldest === undefined) return;
    this.#revision += 1;
    this.#ruined.add(tenantId);
    const poor = { ...hash, balanceNano: hash.balanceNano - RUINED_BY_NANO };
    this.#model.overwrite(tenantId, how === 'stale' ? oldest : poor);
  }

  /** Tells whether the hash of a tenant was overwritten and not projected since. */
  isRuined(tenantId: string): boolean {
    return this.#ruined.has(tenantId);
  }

  /** What stands in Redis now, seen by who only looks. */
  hashOf(tenantId: string): QuotaHash | undefined {
    return this.#model.hash(tenantId);
  }

  /** What is in flight now, seen by who only looks. */
  itemsOf(tenantId: string): readonly InflightItem[] {
    return this.#model.items(tenantId);
  }

  deduct(tenants: readonly TenantDeltas[], nowMs: number): Promise<readonly TenantReply[]> {
    return this.#call(() => this.#model.deduct(tenants.map(this.#asAsked), nowMs));
  }

  project(projections: readonly TenantProjection[]): Promise<readonly ProjectReply[]> {
    return this.#call(() => {
      const replies = this.#model.project(projections.map(this.#asExpected));
      for (const [index, { tenantId, hash }] of projections.entries()) {
        if (replies[index]?.kind !== 'projected') continue;
        this.#ruined.delete(tenantId);
        this.#projected.set(tenantId, [...(this.#projected.get(tenantId) ?? []), hash]);
      }
      return replies;
    });
  }

  /** There is nothing to mend: what a model holds can be read, and it has no sums. */
  mendBroken(): Promise<void> {
    return this.#call(() => undefined);
  }

  observe(tenantIds: readonly string[]): Promise<readonly QuotaObservation[]> {
    return this.#call(() => tenantIds.map((tenantId) => this.#asBelieved(tenantId)));
  }

  hold(request: HoldRequest, nowMs: number): Promise<HoldReply> {
    return this.#call(() => this.#model.hold(request, nowMs));
  }

  release(tenantId: string, traceId: string): Promise<boolean> {
    return this.#call(() => this.#model.release(tenantId, traceId));
  }

  versions(tenantIds: readonly string[]): Promise<readonly (number | null)[]> {
    return this.#call(() => tenantIds.map((tenantId) => this.#model.version(tenantId)));
  }

  readInflight(tenantIds: readonly string[]): Promise<readonly (readonly InflightItem[])[]> {
    return this.#call(() => tenantIds.map((tenantId) => this.#model.items(tenantId)));
  }

  async *scanInflight(): AsyncGenerator<readonly string[]> {
    yield await this.#call(() => this.#model.tenantsInFlight());
  }

  /** A request and its answer, each a step; a call that is cut may have been carried out or not. */
  async #call<T>(run: () => T): Promise<T> {
    const { scheduler, isCut } = this.#options;
    await scheduler.step();
    if (isCut()) throw new TollbookError('REDIS_UNAVAILABLE', 'the request was cut off');
    const reply = run();
    this.#revision += 1;
    await scheduler.step();
    if (isCut()) throw new TollbookError('REDIS_UNAVAILABLE', 'the answer was cut off');
    return reply;
  }

  /** Without idempotency, what comes again is counted again. */
  readonly #asAsked = (tenant: TenantDeltas): TenantDeltas => {
    if (this.#options.removed !== 'overlay idempotency') return tenant;
    const known = new Map(this.itemsOf(tenant.tenantId).map((item) => [`${item.traceId}:${item.phase}`, item]));
    const items = tenant.items.map((item) => {
      const before = known.get(`${item.traceId}:${item.phase}`)?.availableNano ?? 0n;
      return { ...item, delta: { ...item.delta, availableNano: item.delta.availableNano + before } };
    });
    return { ...tenant, items };
  };

  /** With a veto, what the hash has less than the account counts as if it were in flight. */
  #asBelieved(tenantId: string): QuotaObservation {
    const observation = this.#model.observation(tenantId);
    const [hash, { overlay }] = [this.#model.hash(tenantId), observation];
    if (this.#options.removed !== 'no veto' || hash === undefined || overlay.kind !== 'read') return observation;
    const shortNano = hash.balanceNano - hash.heldNano - this.#options.availableOf(tenantId);
    if (shortNano >= 0n) return observation;
    const veto = {
      traceId: 'veto',
      phase: 'p',
      availableNano: shortNano,
      requests: 0,
      day: DAY,
      createdAtMs: 0,
    } as const;
    return { ...observation, overlay: { ...overlay, items: [...overlay.items, veto] } };
  }

  /** Without the comparison, a projection overwrites whatever stands there. */
  readonly #asExpected = (projection: TenantProjection): TenantProjection =>
    this.#options.removed === 'version compare'
      ? { ...projection, expectedVersion: this.#model.version(projection.tenantId) }
      : projection;
}
