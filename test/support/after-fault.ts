/**
 * Owns: what must hold after every fault, whatever it was: everything published is charged exactly once, all proofs are
 * clean, Redis equals the ledger, nothing stays in flight, nobody is stuck; and how long it took until then.
 * Does not own: breaking something (the tests of test/fault).
 */
import { expect } from 'chai';
import { proveProjections } from '../../src/reconciliation/projection-proof.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { plainTable } from '../../src/cli/plain-table.js';
import type { SimulationPlan } from '../../src/simulator/plan.js';
import type { LedgerWorld } from './ledger-world.js';
import { assertTenantsAsPlanned, sumOf } from './planned-tenants.js';
import { waitUntil } from './wait-until.js';

/** A process that is to recover from a fault. */
export interface Survivor {
  /** Resolves when it has ended by itself. */
  readonly ended: Promise<unknown>;
  log(): string;
  /** Stops it as its operator does. */
  stop(): Promise<void>;
}

/** What was broken, when, who is to recover from it, and what the ledger must come to. */
export interface Fault {
  /** The row of docs/failure-windows.md, or the fault itself. */
  readonly name: string;
  /** When the last thing broke, by performance.now(). */
  readonly brokenAtMs: number;
  /** The processes that recover; they are stopped at the end. */
  readonly survivors: readonly Survivor[];
  /** The simulations published so far. */
  readonly plans: readonly SimulationPlan[];
  /** What was charged beside them; amounts. */
  readonly besides?: readonly string[];
}

const RECOVERY_MAX_MS = 90_000;
const STOP_MAX_MS = 10_000;
const recoveries: { readonly name: string; readonly ms: number }[] = [];

/** Waits until the ledger has recovered, notes how long that took, and fails unless everything is as if nothing had been. */
export async function expectRecovered(world: LedgerWorld, fault: Fault): Promise<void> {
  await settled('everything published is charged', fault.survivors, async () => (await world.lag()) === 0n);
  let problems: readonly string[] = [];
  await settled('Redis equals the ledger and nothing is in flight', fault.survivors, async () => {
    ({ problems } = await proveProjections(world.reader, world.scripts));
    return problems.length === 0;
  }).catch((error: unknown) => expect.fail(`${String(error)}: ${problems.slice(0, 5).join('; ')}`));
  recoveries.push({ name: fault.name, ms: performance.now() - fault.brokenAtMs });
  for (const survivor of fault.survivors) await expectStops(survivor);
  await expectExact(world, fault);
}

/** Fails unless the ledger holds exactly what it must, nothing twice, and no database transaction is left open. */
export async function expectExact(
  world: LedgerWorld,
  { plans, besides = [] }: Pick<Fault, 'plans' | 'besides'>,
): Promise<void> {
  for (const { expectation } of plans) await assertTenantsAsPlanned(world, expectation);
  const total = sumOf([...plans.map(({ expectation }) => expectation.totals.charged), ...besides]);
  expect(await world.assertProven()).to.equal(total);
  const twice = await world.rows(
    `SELECT tenant_id, trace_id FROM ledger_entries WHERE type = 'DEDUCT' AND status = 'COMMITTED'
     GROUP BY tenant_id, trace_id HAVING count(*) > 1`,
  );
  expect(twice, 'traces charged twice').to.deep.equal([]);
  await expectAccounted(world);
  const open = await world.rows(
    `SELECT application_name, state, query FROM pg_stat_activity
     WHERE datname = current_database() AND state LIKE 'idle in transaction%'`,
  );
  expect(open, 'database transactions left open').to.deep.equal([]);
}

/** Fails unless the counts of the sealed batches add up to the offsets of every partition. */
export async function expectAccounted(world: LedgerWorld): Promise<void> {
  const unaccounted = await world.rows(
    `SELECT c.topic, c.partition FROM stream_cursors c JOIN ledger_batches b USING (topic, partition)
     WHERE c.topic = ANY($1) GROUP BY c.topic, c.partition, c.next_offset
     HAVING c.next_offset - min(b.first_offset)
       <> sum(charged + duplicates + superseded + skipped + unpriced + dead_letters)
        + (SELECT coalesce(sum(to_offset - from_offset), 0) FROM stream_gaps g
           WHERE g.topic = c.topic AND g.partition = c.partition)`,
    [world.topics],
  );
  expect(unaccounted, 'partitions with messages that no batch accounts for').to.deep.equal([]);
}

/** Stops a process; fails when it takes long or ends badly. */
async function expectStops(survivor: Survivor): Promise<void> {
  const askedMs = performance.now();
  await survivor.stop();
  expect(performance.now() - askedMs, 'the time it took to stop').to.be.below(STOP_MAX_MS);
}

/** Waits for a condition that may not even be found out while servers are away; fails at once when a process has ended. */
async function settled(what: string, survivors: readonly Survivor[], holds: () => Promise<boolean>): Promise<void> {
  let ended: Survivor | undefined;
  for (const survivor of survivors) void survivor.ended.then(() => (ended = survivor));
  await waitUntil(
    what,
    async () => {
      if (ended !== undefined) expect.fail(`a process ended by itself:\n${ended.log()}`);
      try {
        return await holds();
      } catch (error) {
        if (isPassing(error)) return false;
        throw error;
      }
    },
    RECOVERY_MAX_MS,
  ).catch((error: unknown) => {
    const logs = survivors.map((survivor) => survivor.log().slice(-2_000));
    throw error instanceof Error ? Object.assign(error, { message: [error.message, ...logs].join('\n') }) : error;
  });
}

/** Whether an error only says that a server is away; kafkajs and pg then throw errors of their own. */
export function isPassing(error: unknown): boolean {
  if (isTollbookError(error)) return error.disposition === 'retry';
  return error instanceof Error && (error.name.startsWith('KafkaJS') || 'code' in error);
}

/** Tells how long each recovery took since it was last asked. */
export function tellRecoveries(): void {
  if (recoveries.length === 0) return;
  const table = plainTable(['fault', 'recovered after'], ['left', 'right']);
  for (const { name, ms } of recoveries.splice(0)) table.push([name, `${(ms / 1000).toFixed(1)} s`]);
  process.stdout.write(`\n${table.toString()}\n`);
}
