/**
 * Owns: random schedules of what can happen between the logs of two tenants, the ledger and Redis.
 * Does not own: running them, nor what must hold afterwards (protocol-interleaving.test.ts).
 */
import fc from 'fast-check';

/** The life of one trace as the gateway saw it: the same facts in every copy of its events. */
export interface TraceFacts {
  readonly estimate: number;
  /** What was used; zero with `cancelled` voids the trace. */
  readonly units: number;
  readonly cancelled: boolean;
}

/** The sources of a schedule: a pending and a completed log for each of two tenants. */
export const LOGS = ['pending-0', 'pending-1', 'completed-0', 'completed-1'] as const;
export type Log = (typeof LOGS)[number];

/** One step of a schedule. */
export type Action =
  /** Charges the next messages of a log; a writer that dies does everything but commit. */
  | { readonly kind: 'charge'; readonly log: Log; readonly messages: number; readonly dies: boolean }
  /** Charges again from an offset that lies back, as after a rebalance. */
  | { readonly kind: 'rewind'; readonly log: Log; readonly back: number; readonly messages: number }
  /** Charges some logs and projects twice, all at the same time. */
  | { readonly kind: 'together'; readonly logs: readonly Log[]; readonly messages: number }
  /** Lets the time of every open hold pass, and sweeps, while a log is charged; a sweep that dies commits nothing. */
  | { readonly kind: 'expire'; readonly log: Log; readonly messages: number; readonly dies: boolean }
  | { readonly kind: 'project' }
  | { readonly kind: 'loseRedis' };

/** A schedule: what the gateways sent, to whom, and in which order everything happens. */
export interface Schedule {
  /** With true, balances are scarce and nothing may go negative; with false, every completion may. */
  readonly scarce: boolean;
  readonly credits: readonly [number, number];
  readonly traces: readonly TraceFacts[];
  /** The trace numbers of each log in log order, with duplicates. */
  readonly logs: Readonly<Record<Log, readonly number[]>>;
  readonly actions: readonly Action[];
}

const TRACES = 5;

const facts: fc.Arbitrary<TraceFacts> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      estimate: fc.integer({ min: 1, max: 6 }),
      units: fc.integer({ min: 1, max: 6 }),
      cancelled: fc.constant(false),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      estimate: fc.integer({ min: 1, max: 6 }),
      units: fc.constant(0),
      cancelled: fc.constant(true),
    }),
  },
);

const log = fc.constantFrom(...LOGS);
const messages = fc.integer({ min: 1, max: 4 });
const actions: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('charge'), log, messages, dies: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('rewind'), log, back: fc.integer({ min: 1, max: 4 }), messages }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('together'),
      logs: fc.uniqueArray(log, { minLength: 2, maxLength: 3 }),
      messages,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('expire'), log, messages, dies: fc.boolean() }) },
  { weight: 3, arbitrary: fc.constant<Action>({ kind: 'project' }) },
  { weight: 1, arbitrary: fc.constant<Action>({ kind: 'loseRedis' }) },
);

const contents = fc.array(fc.integer({ min: 0, max: TRACES - 1 }), { maxLength: 7 });

/** Random schedules. */
export const schedules: fc.Arbitrary<Schedule> = fc.record({
  scarce: fc.boolean(),
  credits: fc.tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 15 })),
  traces: fc.array(facts, { minLength: TRACES, maxLength: TRACES }),
  logs: fc.record({ 'pending-0': contents, 'pending-1': contents, 'completed-0': contents, 'completed-1': contents }),
  actions: fc.array(actions, { maxLength: 14 }),
});
