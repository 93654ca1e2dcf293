/**
 * Owns: what the ledger must say once everything a simulation published has been consumed, summed independently of it.
 * Does not own: what a single request must come to (settlement.ts).
 * Invariants: all figures but those below `orderDependent` hold whatever the order of arrival, on four conditions: the
 * funded tenants hold `creditNeeded` in US dollars before the first message is consumed; the accounts have no request quota
 * and no credit limit; the hold policy is `estimate`; and `held` only until the holds expire. Amounts are decimal strings.
 */
import type { DeadLetterReason } from '../ledger/dead-letter.js';
import { type AmountNano, amountNano, formatAmount } from '../ledger/money.js';
import { countReachOf, usageShapeOf, type UsageShape } from './provider-shapes.js';
import type { Settlement, Standing } from './settlement.js';
import { hasCompleted, hasFurtherMeter, type SimulatedRequest } from './simulated-request.js';
import type { SimulationOptions } from './simulation-options.js';
import type { TenantPopulation } from './tenant-population.js';
import type { TopicRole } from './wire-event.js';

/** What one tenant, or all together, must come to. Every request has one standing; amounts have nine decimals. */
export interface ExpectedFigures extends Readonly<Record<Standing, number>> {
  readonly requests: number;
  /** Sum of what was collected: the amounts of the COMMITTED entries, and by how much the balance falls. */
  readonly charged: string;
  /** Sum of the amounts of the FAILED entries. */
  readonly uncollected: string;
  /** What the open holds reserve, until they expire. */
  readonly held: string;
  /** An opening credit that covers every hold and charge in any order; zero for tenants without credit. */
  readonly creditNeeded: string;
}

/** What one tenant must come to; `funded` tells whether it is to get `creditNeeded`. */
export interface ExpectedTenant extends ExpectedFigures {
  readonly funded: boolean;
}

/** Figures that depend on the order of arrival, between bounds that do not. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** Requests, and the messages they sent including repeats. */
export interface TracesAndMessages {
  readonly traces: number;
  readonly messages: number;
}

/** The expectation of a simulation, as it is written to a file. */
export interface SimulationExpectation {
  readonly format: 1;
  /** Names the run in trace ids; equal options, trace and prices have equal runs. */
  readonly runId: string;
  readonly seed: number;
  readonly options: SimulationOptions;
  readonly published: Readonly<Record<TopicRole | 'total', number>>;
  readonly tenants: Readonly<Record<string, ExpectedTenant>>;
  /** All tenants together, and the requests that name none (all skipped). */
  readonly totals: ExpectedFigures;
  readonly expected: {
    /** Messages published a second time, of every standing. */
    readonly repeats: number;
    readonly skipped: TracesAndMessages;
    readonly unpriced: TracesAndMessages;
    readonly deadLetters: Readonly<Partial<Record<DeadLetterReason, number>>>;
    readonly deadLettersTotal: number;
  };
  /** Completed requests by the shape in which their provider reports usage, and how many streams were cut before its end. */
  readonly reported: {
    readonly shapes: Readonly<Record<UsageShape, number>>;
    readonly cutStreams: number;
  };
  /** How the requests ended, and how many streamed or carried a further meter. */
  readonly outcomes: Readonly<Record<SimulatedRequest['fate']['kind'] | 'streamed' | 'metered', number>>;
  readonly orderDependent: {
    /** Entries of the published usage: a pending event that arrives after its completion leaves none. */
    readonly entries: Bounds;
    /** Well-formed billable messages that leave no entry: duplicates and superseded ones together. */
    readonly withoutEntry: Bounds;
  };
}

type Sums = Record<Standing | 'requests', number> & Record<'charged' | 'uncollected' | 'held' | 'needed', bigint>;

/** How many messages of a request were published, with repeats. */
export type MessageCounts = Readonly<Record<TopicRole | 'repeats', number>>;

const NANO_PER_UNIT = 1_000_000_000n;
/** Opening credits are round: the next multiple of 100 units above what is needed. */
const CREDIT_STEP_NANO = 100n * NANO_PER_UNIT;

/** Sums up a simulation request by request. */
export class ExpectationTally {
  readonly #tenants: Sums[];
  readonly #all = newSums();
  readonly #published: Record<TopicRole, number> = { pending: 0, completed: 0 };
  readonly #messages: Record<'skipped' | 'unpriced' | 'billable' | 'repeats', number> = {
    skipped: 0,
    unpriced: 0,
    billable: 0,
    repeats: 0,
  };
  readonly #deadLetters = new Map<DeadLetterReason, number>();
  readonly #outcomes = {
    succeeded: 0,
    cancelled: 0,
    failed: 0,
    abandoned: 0,
    skipped: 0,
    unpriced: 0,
    streamed: 0,
    metered: 0,
  };
  readonly #shapes: Record<UsageShape, number> = {
    openAiChat: 0,
    openAiResponses: 0,
    anthropic: 0,
    gemini: 0,
    liteLlm: 0,
  };
  #cutStreams = 0;
  readonly #entries = { min: 0, max: 0 };

  constructor(readonly population: TenantPopulation) {
    this.#tenants = population.ids.map(newSums);
  }

  /** Adds a request with its settlement and the messages it published. */
  addRequest(request: SimulatedRequest, settlement: Settlement, messages: MessageCounts): void {
    const { fate } = request;
    const { standing } = settlement;
    const isTenantless = fate.kind === 'skipped' && fate.form === 'noTenant';
    const tenant = isTenantless ? undefined : this.#tenants[request.tenant];
    for (const sums of [this.#all, tenant]) if (sums !== undefined) addTo(sums, settlement);
    this.#published.pending += messages.pending;
    this.#published.completed += messages.completed;
    const isBillable = standing !== 'skipped' && standing !== 'unpriced';
    this.#messages[isBillable ? 'billable' : standing] += messages.pending + messages.completed;
    this.#messages.repeats += messages.repeats;
    this.#outcomes[fate.kind] += 1;
    if (request.stream) this.#outcomes.streamed += 1;
    if (hasFurtherMeter(request.usage)) this.#outcomes.metered += 1;
    this.#addReport(request);
    if (!isBillable) return;
    this.#entries.min += 1;
    this.#entries.max += messages.pending > 0 && messages.completed > 0 ? 2 : 1;
  }

  #addReport(request: SimulatedRequest): void {
    if (!hasCompleted(request)) return;
    this.#shapes[usageShapeOf(request)] += 1;
    if (countReachOf(request) === 'cut') this.#cutStreams += 1;
  }

  /** Adds a malformed message with the reason its dead letter must carry. */
  addPoison(role: TopicRole, reason: DeadLetterReason): void {
    this.#published[role] += 1;
    this.#deadLetters.set(reason, (this.#deadLetters.get(reason) ?? 0) + 1);
  }

  /** Returns the expectation of all that was added. */
  finish(run: { readonly runId: string; readonly options: SimulationOptions }): SimulationExpectation {
    const { ids, funded } = this.population;
    const tenants = this.#tenants.map((sums, place) => ({
      funded: funded[place] === true,
      ...figures(sums, funded[place] === true ? creditFor(sums) : 0n),
    }));
    const creditInAll = this.#tenants.reduce(
      (sum, sums, place) => sum + (funded[place] === true ? creditFor(sums) : 0n),
      0n,
    );
    const { pending, completed } = this.#published;
    const { billable, repeats } = this.#messages;
    return {
      format: 1,
      runId: run.runId,
      seed: run.options.seed,
      options: run.options,
      published: { pending, completed, total: pending + completed },
      tenants: Object.fromEntries(tenants.map((tenant, place) => [ids[place] ?? '', tenant])),
      totals: figures(this.#all, creditInAll),
      expected: {
        repeats,
        skipped: { traces: this.#all.skipped, messages: this.#messages.skipped },
        unpriced: { traces: this.#all.unpriced, messages: this.#messages.unpriced },
        deadLetters: Object.fromEntries(this.#deadLetters),
        deadLettersTotal: [...this.#deadLetters.values()].reduce((sum, count) => sum + count, 0),
      },
      reported: { shapes: { ...this.#shapes }, cutStreams: this.#cutStreams },
      outcomes: { ...this.#outcomes },
      orderDependent: {
        entries: { ...this.#entries },
        withoutEntry: { min: billable - this.#entries.max, max: billable - this.#entries.min },
      },
    };
  }
}

function newSums(): Sums {
  const counts = { requests: 0, committed: 0, failed: 0, voided: 0, open: 0, skipped: 0, unpriced: 0 };
  return { ...counts, charged: 0n, uncollected: 0n, held: 0n, needed: 0n };
}

function addTo(sums: Sums, settlement: Settlement): void {
  sums.requests += 1;
  sums[settlement.standing] += 1;
  sums.charged += settlement.charged;
  sums.uncollected += settlement.uncollected;
  sums.held += settlement.held;
  sums.needed += settlement.needed;
}

function creditFor(sums: Sums): bigint {
  return (sums.needed / CREDIT_STEP_NANO + 1n) * CREDIT_STEP_NANO;
}

function figures(sums: Sums, credit: bigint): ExpectedFigures {
  const { charged, uncollected, held, needed: _needed, ...counts } = sums;
  return {
    ...counts,
    charged: decimal(charged),
    uncollected: decimal(uncollected),
    held: decimal(held),
    creditNeeded: decimal(credit),
  };
}

function decimal(nano: bigint): string {
  const amount: AmountNano = amountNano(nano);
  return formatAmount(amount);
}
