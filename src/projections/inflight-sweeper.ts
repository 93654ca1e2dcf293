/**
 * Owns: finding in-flight items that have outlived their time: landed ones that no projection dropped (a paused writer
 * put them there late), and leaked ones that never reached the ledger (a gateway that died between hold and publish).
 * Does not own: dropping them (the projector does, by the project script).
 * Invariants: an item younger than its time to live is never touched; what is dropped was looked up in the ledger after
 * it was read from Redis.
 */
import type { LedgerReader, TraceStep } from '../ledger/ledger-reader.js';
import { distinctTraces, traceKey } from '../ledger/ledger-store.js';
import type { DropSpec, InflightItem, QuotaScripts } from '../lua/quota-scripts.js';
import type { Clock } from '../runtime/clock.js';
import { faultPoint } from '../runtime/fault-points.js';
import { dropsOf } from './projection.js';
import type { Projector } from './projector.js';

/** What one sweep found. */
export interface InflightSweep {
  readonly tenants: number;
  /** Old items whose entry is in the ledger. */
  readonly landed: number;
  /** Old items that never reached the ledger: leaked holds. */
  readonly leaked: number;
}

/** What a sweep works with; times in milliseconds. */
export interface InflightSweepOptions {
  readonly scripts: QuotaScripts;
  readonly reader: LedgerReader;
  readonly projector: Projector;
  readonly clock: Clock;
  readonly ttlMs: number;
}

const SCAN_COUNT = 500;

interface OldItem extends InflightItem {
  readonly tenantId: string;
}

/** Sweeps the in-flight items of all tenants once. Throws REDIS_*, POSTGRES_*. */
export async function sweepInflight(options: InflightSweepOptions): Promise<InflightSweep> {
  let [tenants, landed, leaked] = [0, 0, 0];
  for await (const tenantIds of options.scripts.scanInflight(SCAN_COUNT)) {
    const old = await oldItems(options, tenantIds);
    if (old.length === 0) continue;
    const steps = stepsByTrace(await options.reader.readSteps(distinctTraces(old)));
    const drops = new Map<string, DropSpec[]>();
    for (const item of old) {
      const isLanded = isInLedger(item, steps.get(traceKey(item)) ?? []);
      if (isLanded) landed += 1;
      else leaked += 1;
      const known = drops.get(item.tenantId);
      const drop = { traceId: item.traceId, phase: item.phase };
      if (known === undefined) drops.set(item.tenantId, [drop]);
      else known.push(drop);
    }
    await faultPoint('sweep.inflight-found');
    tenants += drops.size;
    await options.projector.drop(drops);
  }
  return { tenants, landed, leaked };
}

async function oldItems(
  { scripts, clock, ttlMs }: InflightSweepOptions,
  tenantIds: readonly string[],
): Promise<OldItem[]> {
  const bornBefore = clock.nowMs() - ttlMs;
  const items = await scripts.readInflight(tenantIds);
  return tenantIds.flatMap((tenantId, index) =>
    (items[index] ?? []).filter((item) => item.createdAtMs < bornBefore).map((item) => ({ ...item, tenantId })),
  );
}

function stepsByTrace(steps: readonly TraceStep[]): ReadonlyMap<string, TraceStep[]> {
  const byTrace = new Map<string, TraceStep[]>();
  for (const step of steps) {
    const known = byTrace.get(traceKey(step));
    if (known === undefined) byTrace.set(traceKey(step), [step]);
    else known.push(step);
  }
  return byTrace;
}

function isInLedger(item: OldItem, steps: readonly TraceStep[]): boolean {
  return dropsOf(steps).some(({ phase }) => phase === 'all' || phase === item.phase);
}
