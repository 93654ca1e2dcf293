/**
 * Owns: which malformed messages a simulation publishes, each by its number: kind, topic, moment, and the event it spoils.
 * Does not own: how an event is spoiled (poison.ts).
 * Invariants: the kinds take turns, so that all are there once there are as many messages as kinds; a kind whose reason
 * would depend on the order of arrival, or on an account that may not exist, is left out.
 */
import { CONFLICTING_POISON, LARGE_POISON, POISON_KINDS, type PoisonKind } from './poison.js';
import { NO_USAGE, type RequestSources, requestOf, type SimulatedRequest } from './simulated-request.js';
import type { TopicRole } from './wire-event.js';

/** One malformed message before it is spoiled. */
export interface PlannedPoison {
  readonly kind: PoisonKind;
  readonly role: TopicRole;
  readonly sentMs: number;
  /** The request whose event is spoiled. */
  readonly request: SimulatedRequest;
  /** Whether it uses the trace of that request (conflict) rather than one of its own. */
  readonly sharesTrace: boolean;
}

/** The malformed messages of a simulation, by number from 0. */
export interface PoisonPlan {
  readonly count: number;
  poisonOf(number: number): PlannedPoison;
}

/** How many malformed messages there are: `small` of the kinds that take turns, then `large` ones. */
export interface PoisonCounts {
  readonly small: number;
  readonly large: number;
}

/** Plans the malformed messages. */
export function planPoison(sources: RequestSources, counts: PoisonCounts): PoisonPlan {
  const kinds = kindsFor(sources);
  const fundedTenants = sources.population.funded.flatMap((funded, place) => (funded ? [place] : []));
  const poisonOf = (number: number): PlannedPoison => {
    const kind = number < counts.small ? kinds[number % kinds.length] : LARGE_POISON;
    return planOne(
      { number, kind: kind ?? LARGE_POISON, fundedTenants, turn: Math.floor(number / kinds.length) },
      sources,
    );
  };
  return { count: counts.small + counts.large, poisonOf };
}

function kindsFor(sources: RequestSources): readonly PoisonKind[] {
  const hasFunded = sources.population.funded.includes(true);
  const kinds = POISON_KINDS.filter(({ reason }) => hasFunded || reason !== 'CURRENCY_MISMATCH');
  const isOrdered = sources.options.reorder === 'none';
  return isOrdered && chargedFrom(0, sources) !== undefined ? [...kinds, CONFLICTING_POISON] : kinds;
}

interface Turn {
  readonly number: number;
  readonly kind: PoisonKind;
  readonly fundedTenants: readonly number[];
  /** How many times all kinds have had their turn. */
  readonly turn: number;
}

function planOne({ number, kind, fundedTenants, turn }: Turn, sources: RequestSources): PlannedPoison {
  const random = sources.random('poison', number);
  const { timeline, options } = sources;
  const start = random.below(options.requests);
  const role = kind.topic ?? (turn % 2 === 0 ? 'completed' : 'pending');
  const sharesTrace = kind === CONFLICTING_POISON;
  const charged = sharesTrace ? chargedFrom(start, sources) : undefined;
  const request = charged ?? goodRequest(start, fundedTenants[random.below(fundedTenants.length)], sources);
  const earliestMs = charged?.endMs ?? 0;
  const sentMs = earliestMs + Math.floor(random.fraction() * (timeline.spanMs - earliestMs));
  return { kind, role, sentMs, request, sharesTrace };
}

/** A request that would be charged if its event were not spoiled. */
function goodRequest(number: number, fundedTenant: number | undefined, sources: RequestSources): SimulatedRequest {
  const request = requestOf(number, sources);
  return {
    ...request,
    fate: { kind: 'succeeded' },
    tenant: fundedTenant ?? request.tenant,
    usage: { ...NO_USAGE, inputTokens: request.promptTokens, outputTokens: 1 },
  };
}

/** Finds the next request, from a number on and around the end, whose completion is charged or refused for good. */
function chargedFrom(start: number, sources: RequestSources): SimulatedRequest | undefined {
  const { requests } = sources.options;
  for (let step = 0; step < requests; step += 1) {
    const request = requestOf((start + step) % requests, sources);
    if (request.fate.kind === 'succeeded') return request;
  }
  return undefined;
}
