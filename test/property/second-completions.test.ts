/**
 * Owns: that a second completion of a charged trace is a duplicate or a conflict, whatever its meters are called: names that
 * every object answers to are names like others.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { decodeCompleted } from '../../src/contract/event-gate.js';
import type { WireObject } from '../../src/contract/found-value.js';
import { canonicalMeters, type EntryMeters } from '../../src/ledger/entry.js';
import type { UsageCompleted } from '../../src/ledger/events.js';
import { decide, NO_TRACE, stateAfter, type TraceState } from '../../src/ledger/trace.js';
import { propertySeed } from '../model/property-seed.js';
import { METER_NAMES_OF_PROTOTYPES } from './wire-events.js';

const RUNS = 2_000;
const ESTIMATES = { outputTokensDefault: 4096, outputTokensMax: null };
const PRICED = { input_per_1k: '1', output_per_1k: '2', currency: 'USD' };

const names = fc.constantFrom(...METER_NAMES_OF_PROTOTYPES, 'images', 'requests');
const meters = fc.dictionary(names, fc.record({ quantity: fc.nat(2), price: fc.constantFrom('1', '1.0', '3') }), {
  maxKeys: 4,
});

type Meters = Readonly<Record<string, { readonly quantity: number; readonly price: string }>>;

function wire(used: Meters): WireObject {
  const entries = Object.entries(used);
  return {
    ...{ schema_version: 1, event_id: 'e', trace_id: 't', tenant_id: 'acme', occurred_at: '2026-03-15T12:00:00Z' },
    ...{ provider: 'valueOf', model: 'constructor', stream: false, outcome: 'succeeded' },
    usage: {
      ...{ input_tokens: 1, output_tokens: 1 },
      meters: Object.fromEntries(entries.map(([name, { quantity }]) => [name, quantity])),
    },
    pricing: { ...PRICED, meters: Object.fromEntries(entries.map(([name, { price }]) => [name, price])) },
  };
}

/** The event as the scanner decodes it, or as the schema does, which is asked where a text has an escape. */
function eventOf(used: Meters, escaped: boolean): UsageCompleted {
  const text = JSON.stringify(wire(used));
  const bytes = Buffer.from(escaped ? text.replace('"acme"', String.raw`"\u0061cme"`) : text);
  const decoded = decodeCompleted(bytes, { eventBytesMax: 65_536 });
  return decoded.ok ? decoded.event : expect.fail(decoded.detail);
}

function decisionOf(state: TraceState, event: UsageCompleted): ReturnType<typeof decide> {
  const { pricing } = event;
  if (pricing === undefined) return expect.fail('the event has pricing');
  return decide(state, event, { pricing, holdPolicy: 'estimate', estimates: ESTIMATES });
}

/** The state of a trace as a row of the ledger tells it: its meters are an object that JSON made. */
function asStored(state: TraceState): TraceState {
  if (!('content' in state)) return state;
  const { usage } = state.content;
  const text = canonicalMeters(usage.meters);
  const stored = text === null ? null : (JSON.parse(text) as EntryMeters);
  return { ...state, content: { ...state.content, usage: { ...usage, meters: stored } } };
}

/** Meters that were used, by name: price and quantity, as numbers. */
function factsOf(used: Meters): string {
  const facts = Object.entries(used).filter(([, { quantity }]) => quantity > 0);
  return JSON.stringify(facts.map(([name, { quantity, price }]) => `${name} ${quantity} ${Number(price)}`).sort());
}

describe('a second completion of a charged trace', () => {
  it('is a duplicate when it tells the same of every meter, and else a conflict, whatever the meters are called', () => {
    const seen = { duplicate: 0, conflict: 0 };
    const sometimes = fc.boolean();
    const property = fc.property(meters, meters, sometimes, sometimes, (first, other, repeats, escaped) => {
      const second = repeats ? first : other;
      const charged = decisionOf(NO_TRACE, eventOf(first, false));
      if (charged.kind !== 'entry') return expect.fail(charged.kind);
      const state = stateAfter(charged.intent);
      for (const known of [state, asStored(state)]) {
        const decision = decisionOf(known, eventOf(second, escaped));
        const expected = factsOf(first) === factsOf(second) ? 'duplicate' : 'conflict';
        expect(decision.kind).to.equal(expected);
        seen[expected] += 1;
      }
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
    expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).to.be.above(100);
  }).timeout(30_000);
});
