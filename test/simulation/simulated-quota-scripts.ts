/**
 * Owns: the quota scripts of a simulation: the reference model of the Lua (quota-scripts-model.ts) behind steps that the
 * scheduler draws, which can be cut off, answer late, and lose everything.
 * Does not own: whether the model is the Lua: test/property/quota-scripts.test.ts compares them on a real Redis.
 */
import type { HoldReply, HoldRequest, ProjectReply } from '../../src/lua/quota-scripts.js';
import type { InflightItem, QuotaHash, QuotaScripts } from '../../src/lua/quota-scripts.js';
import type { TenantDeltas, TenantProjection, TenantReply } from '../../src/lua/quota-scripts.js';
import { TollbookError } from '../../src/runtime/errors.js';
import { QuotaScriptsModel } from '../model/quota-scripts-model.js';
import type { Removal } from './removals.js';
import type { StepScheduler } from './step-scheduler.js';

/** What the code under test uses of the scripts. */
type ScriptsPort = Pick<
  QuotaScripts,
  'deduct' | 'project' | 'hold' | 'release' | 'versions' | 'readInflight' | 'scanInflight'
>;

/** How the simulated Redis behaves. */
export interface SimulatedRedisOptions {
  readonly scheduler: StepScheduler;
  /** Tells whether the call now made loses its connection. */
  readonly isCut: () => boolean;
  /** The safety that is taken away, if any. */
  readonly removed: Removal | undefined;
}

/** The quota scripts on a simulated Redis. */
export class SimulatedQuotaScripts implements ScriptsPort {
  readonly #options: SimulatedRedisOptions;
  #model = new QuotaScriptsModel();
  #revision = 0;
  #losses = 0;

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
    return this.#call(() => this.#model.project(projections.map(this.#asExpected)));
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

  /** Without the comparison, a projection overwrites whatever stands there. */
  readonly #asExpected = (projection: TenantProjection): TenantProjection =>
    this.#options.removed === 'version compare'
      ? { ...projection, expectedVersion: this.#model.version(projection.tenantId) }
      : projection;
}
