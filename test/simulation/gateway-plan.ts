/**
 * Owns: what the gateways and the operators of a simulation want, drawn by seed: the facts of each trace, the two logs with
 * their duplicates, and the commands.
 * Does not own: in which order anything of it reaches the ledger (simulation.ts).
 */
import type { ChunkMessage } from '../../src/consumers/intake.js';
import type { LedgerCommand } from '../../src/ledger/commands/command.js';
import { amountNano } from '../../src/ledger/money.js';
import type { SeededRandom } from '../../src/simulator/seeded-random.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

/** The tenants of every simulation: several in one log, so that chunks share accounts. */
export const TENANTS = ['tenant-a', 'tenant-b', 'tenant-c'] as const;
/** One currency unit in nano-units. */
export const UNIT_NANO = 1_000_000_000n;

const TRACES_PER_TENANT = 3;
const UNITS_MAX = 6;

/** The life of one trace as its gateway saw it. */
export interface PlannedTrace {
  readonly tenantId: string;
  readonly traceId: string;
  readonly estimate: number;
  /** What was used; zero where it was cancelled. */
  readonly units: number;
  readonly isCompleted: boolean;
}

/** The two topics. */
export type Log = 'pending' | 'completed';

/** Everything that is sent. */
export interface GatewayPlan {
  /** With true nothing may go negative; with false every completion may. */
  readonly isScarce: boolean;
  readonly traces: readonly PlannedTrace[];
  readonly logs: Readonly<Record<Log, readonly ChunkMessage[]>>;
  readonly commands: readonly LedgerCommand[];
}

/** Draws a plan. */
export function drawPlan(random: SeededRandom): GatewayPlan {
  const isScarce = random.below(2) === 0;
  const traces = TENANTS.flatMap((tenantId) =>
    Array.from({ length: TRACES_PER_TENANT }, (_, index): PlannedTrace => {
      const units = random.below(5) === 0 ? 0 : 1 + random.below(UNITS_MAX);
      const estimate = 1 + random.below(UNITS_MAX);
      return { tenantId, traceId: `trace-${index}`, estimate, units, isCompleted: random.below(5) > 0 };
    }),
  );
  const messages = (log: Log, sent: readonly PlannedTrace[]): ChunkMessage[] =>
    shuffled(random, withDuplicates(random, sent)).map((trace, index) => ({
      ...{ kafkaOffset: BigInt(index), key: null, headers: {} },
      value: Buffer.from(JSON.stringify(eventOf(log, trace, isScarce))),
    }));
  const completed = traces.filter(({ isCompleted }) => isCompleted);
  const published = traces.filter(() => random.below(4) > 0);
  const logs = { pending: messages('pending', published), completed: messages('completed', completed) };
  return { isScarce, traces, logs, commands: drawCommands(random, traces) };
}

function eventOf(log: Log, { tenantId, traceId, estimate, units }: PlannedTrace, isScarce: boolean): object {
  if (log === 'pending') return wirePending({ tenantId, traceId, units: estimate });
  const outcome = units === 0 ? 'cancelled' : 'succeeded';
  return wireCompleted({ tenantId, traceId, units, fields: { stream: !isScarce, outcome } });
}

function drawCommands(random: SeededRandom, traces: readonly PlannedTrace[]): LedgerCommand[] {
  const asked = { actor: 'ops', reason: 'simulation' };
  const credits = TENANTS.map((tenantId, index): LedgerCommand => {
    const nano = amountNano(BigInt(1 + random.below(15)) * UNIT_NANO);
    return { ...asked, kind: 'credit', tenantId, key: `credit-${index}`, currency: 'USD', amountNano: nano };
  });
  const others = traces.flatMap(({ tenantId, traceId }): LedgerCommand[] => {
    const roll = random.below(8);
    if (roll === 0) return [{ ...asked, kind: 'refund', tenantId, key: `refund-${traceId}`, of: { traceId } }];
    return roll === 1 ? [{ ...asked, kind: 'void', tenantId, key: `void-${traceId}`, traceId }] : [];
  });
  return shuffled(random, [...credits, ...others]);
}

function withDuplicates<T>(random: SeededRandom, list: readonly T[]): T[] {
  return list.flatMap((each) => (random.below(4) === 0 ? [each, each] : [each]));
}

function shuffled<T>(random: SeededRandom, list: readonly T[]): T[] {
  const rest = [...list];
  return list.flatMap(() => rest.splice(random.below(rest.length), 1));
}
