/**
 * Owns: the plan of a simulation: every message it publishes, in order, and the expectation that goes with it.
 * Does not own: files (simulate.ts), Kafka (publish-plan.ts).
 * Invariants: pure: the same options, trace and prices give the same bytes in the same order; bytes are made when a message
 * is asked for and not kept, so that a plan keeps 20 bytes a message (32 while it is made).
 */
import { createHash } from 'node:crypto';
import { arrivalOrder, producerNumbers, sendingOrder } from './arrival-order.js';
import { ExpectationTally, type MessageCounts, type SimulationExpectation } from './expectation.js';
import { MessageSlots } from './message-slots.js';
import { gatewayOf, MessageWriter, type PlannedMessage } from './message-writer.js';
import { planPoison, type PoisonPlan } from './planned-poison.js';
import type { PriceMap } from './price-map.js';
import { randomSource } from './seeded-random.js';
import { settlementOf } from './settlement.js';
import {
  hasCompleted,
  hasPending,
  type RequestSources,
  requestOf,
  type SimulatedRequest,
} from './simulated-request.js';
import type { SimulationOptions } from './simulation-options.js';
import { createPopulation } from './tenant-population.js';
import { createTimeline } from './timeline.js';
import type { Trace } from './trace-file.js';
import type { TopicRole } from './wire-event.js';

/** A simulation that can be published, once or often. */
export interface SimulationPlan {
  readonly expectation: SimulationExpectation;
  /** Makes the messages one by one, in the order of publishing. */
  messages(): Iterable<PlannedMessage>;
}

/** The trace to replay and the prices to charge. */
export interface SimulationInputs {
  readonly trace: Trace;
  readonly prices: PriceMap;
}

/** Plans a simulation; `options` come from resolveOptions. A million requests take about 6 seconds of CPU time and 150 MB in all. */
export function createPlan(options: SimulationOptions, inputs: SimulationInputs): SimulationPlan {
  const random = randomSource(String(options.seed));
  const population = createPopulation(options, random);
  const timeline = createTimeline(inputs.trace, options.requests);
  const sources: RequestSources = { options, prices: inputs.prices, population, timeline, random };
  const runId = runIdOf(options, inputs);
  const tally = new ExpectationTally(population);
  const slots = new MessageSlots();
  const sent = addRequests(sources, slots, tally);
  const poison = planPoison(sources, { small: Math.round(sent * options.poison), large: options.poisonLarge });
  addPoison(poison, slots, tally);
  const sending = sendingOrder(slots);
  const order = arrivalOrder(sending, options.reorder, random('arrival', 0));
  const numbers = producerNumbers(slots, sending, (slot) => gatewayOf(slots.messageAt(slot)));
  const writer = new MessageWriter({ sources, poison, runId });
  return {
    expectation: tally.finish({ runId, options }),
    *messages() {
      for (const slot of order) yield writer.write(slots.messageAt(slot), numbers[slot] ?? 0);
    },
  };
}

function runIdOf(options: SimulationOptions, { trace, prices }: SimulationInputs): string {
  const facts = JSON.stringify([options, trace.digest, prices.digest]);
  return createHash('sha256').update(facts).digest('hex').slice(0, 12);
}

/** Adds the messages of all requests with their repeats; returns how many there are without the repeats. */
function addRequests(sources: RequestSources, slots: MessageSlots, tally: ExpectationTally): number {
  let originals = 0;
  for (let number = 0; number < sources.options.requests; number += 1) {
    const request = requestOf(number, sources);
    const messages = addRequest(request, sources, slots);
    originals += messages.pending + messages.completed - messages.repeats;
    tally.addRequest(request, settlementOf(request, sources.population.funded[request.tenant] === true), messages);
  }
  return originals;
}

function addRequest(request: SimulatedRequest, sources: RequestSources, slots: MessageSlots): MessageCounts {
  const random = sources.random('repeat', request.number);
  const counts = { pending: 0, completed: 0, repeats: 0 };
  const add = (role: TopicRole, sentMs: number): void => {
    const { number } = request;
    slots.push({ number, form: 'original', role }, sentMs);
    counts[role] += 1;
    if (random.fraction() >= sources.options.duplicates) return;
    const form = random.fraction() < 0.5 ? 'repeat' : 'reissue';
    slots.push({ number, form, role }, sentMs + Math.floor(random.fraction() * (sources.timeline.spanMs - sentMs)));
    counts[role] += 1;
    counts.repeats += 1;
  };
  if (hasPending(request)) add('pending', request.startMs);
  if (hasCompleted(request)) add('completed', request.endMs);
  return counts;
}

function addPoison(poison: PoisonPlan, slots: MessageSlots, tally: ExpectationTally): void {
  for (let number = 0; number < poison.count; number += 1) {
    const { kind, role, sentMs } = poison.poisonOf(number);
    slots.push({ number, form: 'poison', role }, sentMs);
    tally.addPoison(role, kind.reason);
  }
}
