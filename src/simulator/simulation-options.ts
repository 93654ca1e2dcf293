/**
 * Owns: what a simulation can be told, the defaults, and the bounds.
 * Does not own: how the command line spells it (src/cli/simulate-command.ts), where the messages go (publish-plan.ts).
 * Invariants: options that passed `resolveOptions` are complete and in bounds; all that influences a byte of the plan is here.
 */
import { TollbookError } from '../runtime/errors.js';

/** How far messages arrive from the order they were sent in: not at all, within a window, or anywhere. */
export const REORDERINGS = ['none', 'local', 'full'] as const;

/** One word of REORDERINGS. */
export type Reordering = (typeof REORDERINGS)[number];

/** A complete description of a simulation: the same options, trace and prices give the same bytes. Shares are 0 to 1. */
export interface SimulationOptions {
  /** Any non-negative safe integer. */
  readonly seed: number;
  readonly requests: number;
  readonly tenants: number;
  readonly tenantPrefix: string;
  /** Exponent of Zipf's law: 0 makes all tenants equal, 1 makes the second half as busy as the first. */
  readonly tenantSkew: number;
  /** Share of tenants that never get credit; they send non-streaming requests only. */
  readonly unfundedShare: number;
  /** Share of the other tenants' requests that stream (and so announce themselves with a pending event). */
  readonly streamShare: number;
  /** Share of requests that a client cancelled; every second of these used nothing. */
  readonly cancelledShare: number;
  /** Share of requests that failed; every second of these used nothing. */
  readonly failedShare: number;
  /** Share of requests whose gateway died: a pending event and nothing more. */
  readonly abandonedShare: number;
  /** Share of requests with a price missing. */
  readonly unpricedShare: number;
  /** Share of requests that are not billable: internal, without pricing, or without a tenant. */
  readonly skippedShare: number;
  /**
   * Share of requests that read part of their input from the provider's cache, where the model has a price for it (and write
   * another part to it, likewise); as many spend part of their output on reasoning.
   */
  readonly meteredShare: number;
  /** Share of messages that are published a second time. */
  readonly duplicates: number;
  readonly reorder: Reordering;
  /** Malformed messages, as a share of the well-formed ones that are not repeats. */
  readonly poison: number;
  /** Number of further messages of 10 MB each. */
  readonly poisonLarge: number;
  /** When the last event occurred, in milliseconds since the Unix epoch. */
  readonly endAtMs: number;
}

/** What a simulation is when nothing is said, but for its end, which is ten seconds ago. */
export const SIMULATION_DEFAULTS: Omit<SimulationOptions, 'endAtMs'> = {
  seed: 1,
  requests: 10_000,
  tenants: 50,
  tenantPrefix: 'tenant-',
  tenantSkew: 0.7,
  unfundedShare: 0.05,
  streamShare: 0.6,
  cancelledShare: 0.03,
  failedShare: 0.02,
  abandonedShare: 0.002,
  unpricedShare: 0.002,
  skippedShare: 0.01,
  meteredShare: 0.2,
  duplicates: 0.02,
  reorder: 'local',
  poison: 0.001,
  poisonLarge: 0,
};

/** The bounds of the numeric options: whole numbers or fractions, from the first to the second inclusive. */
const BOUNDS = {
  seed: ['whole', 0, Number.MAX_SAFE_INTEGER],
  requests: ['whole', 1, 2_000_000],
  tenants: ['whole', 1, 100_000],
  tenantSkew: ['fraction', 0, 3],
  unfundedShare: ['fraction', 0, 1],
  streamShare: ['fraction', 0, 1],
  cancelledShare: ['fraction', 0, 1],
  failedShare: ['fraction', 0, 1],
  abandonedShare: ['fraction', 0, 1],
  unpricedShare: ['fraction', 0, 1],
  skippedShare: ['fraction', 0, 1],
  meteredShare: ['fraction', 0, 1],
  duplicates: ['fraction', 0, 1],
  poison: ['fraction', 0, 1],
  poisonLarge: ['whole', 0, 1_000],
  endAtMs: ['whole', 0, 253_402_300_799_999],
} as const satisfies Partial<Record<keyof SimulationOptions, readonly ['whole' | 'fraction', number, number]>>;

const FATE_SHARES = ['cancelledShare', 'failedShare', 'abandonedShare', 'unpricedShare', 'skippedShare'] as const;
const ENDS_BEFORE_NOW_MS = 10_000;
/** The ledger refuses events that are more than five minutes ahead of its clock; half of that leaves room for skew. */
const AHEAD_OF_NOW_MS_MAX = 150_000;
const TENANT_PREFIX = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/;

/** Writes an option as the command line spells it: tenantPrefix → --tenant-prefix, endAtMs → --end-at. */
export function flagOf(option: string): string {
  return `--${option.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The USAGE_INVALID error of one option: its flag, the value found and what is allowed. */
export function usageProblem(option: string, found: string, allowed: string): TollbookError {
  const flag = flagOf(option);
  return new TollbookError('USAGE_INVALID', `${flag} is ${found}; allowed: ${allowed}`, {
    context: { option: flag, found: found.slice(0, 80) },
  });
}

/** Completes the options with the defaults and checks them; throws USAGE_INVALID naming the first one out of bounds. */
export function resolveOptions(given: Partial<SimulationOptions>, nowMs: number): SimulationOptions {
  const options = { ...SIMULATION_DEFAULTS, endAtMs: nowMs - ENDS_BEFORE_NOW_MS, ...given };
  for (const [name, [form, least, most]] of Object.entries(BOUNDS)) {
    const value = options[name as keyof typeof BOUNDS];
    const fits = value >= least && value <= most && (form === 'fraction' || Number.isSafeInteger(value));
    if (!fits)
      throw usageProblem(
        name,
        String(value),
        `a ${form === 'whole' ? 'whole number' : 'number'} from ${least} to ${most}`,
      );
  }
  if (!REORDERINGS.includes(options.reorder)) throw usageProblem('reorder', options.reorder, REORDERINGS.join(', '));
  if (!TENANT_PREFIX.test(options.tenantPrefix)) {
    throw usageProblem(
      'tenantPrefix',
      JSON.stringify(options.tenantPrefix),
      '1 to 100 of A-Z a-z 0-9 . _ : -, a letter or digit first',
    );
  }
  if (options.endAtMs > nowMs + AHEAD_OF_NOW_MS_MAX) {
    throw usageProblem('endAtMs', new Date(options.endAtMs).toISOString(), 'no more than 150 seconds ahead of now');
  }
  checkFateShares(options);
  return options;
}

function checkFateShares(options: SimulationOptions): void {
  const sum = FATE_SHARES.reduce((total, name) => total + options[name], 0);
  if (sum <= 1 + Number.EPSILON * FATE_SHARES.length) return;
  const flags = FATE_SHARES.map(flagOf).join(' + ');
  throw new TollbookError('USAGE_INVALID', `${flags} is ${sum}; allowed: at most 1 together`, { context: { sum } });
}
