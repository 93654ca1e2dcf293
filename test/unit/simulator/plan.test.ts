/** Owns: what a plan must be: repeatable, complete, and in agreement with its own expectation. */
import { expect } from 'chai';
import type { PlannedMessage } from '../../../src/simulator/message-writer.js';
import { createPlan, type SimulationPlan } from '../../../src/simulator/plan.js';
import { POISON_KINDS } from '../../../src/simulator/poison.js';
import type { SimulationOptions } from '../../../src/simulator/simulation-options.js';
import { parseTrace } from '../../../src/simulator/trace-file.js';
import { END_AT_MS, PRICES, quietOptions, TRACE, wildOptions } from './simulation-inputs.js';

interface Event {
  readonly event_id: string;
  readonly trace_id: string;
  readonly tenant_id?: string;
  readonly occurred_at: string;
  readonly producer: { readonly instance: string; readonly seq: number };
}

function planOf(options: SimulationOptions): SimulationPlan {
  return createPlan(options, { trace: TRACE, prices: PRICES });
}

function wellFormed(messages: readonly PlannedMessage[]): Event[] {
  return messages.filter(({ form }) => form !== 'poison').map(({ value }) => JSON.parse(String(value)) as Event);
}

describe('simulation plan', () => {
  it('is byte for byte the same for the same seed', () => {
    const once = planOf(wildOptions());
    const again = planOf(wildOptions());
    expect([...again.messages()]).to.deep.equal([...once.messages()]);
    expect(again.expectation).to.deep.equal(once.expectation);
  });

  it('gives the same messages each time it is asked', () => {
    const plan = planOf(wildOptions({ requests: 200 }));
    expect([...plan.messages()]).to.deep.equal([...plan.messages()]);
  });

  it('differs for another seed', () => {
    const totals = [1, 2].map((seed) => planOf(wildOptions({ seed })).expectation.totals.charged);
    expect(totals[0]).not.to.equal(totals[1]);
  });

  it('publishes as many messages per topic as its expectation says', () => {
    for (const reorder of ['none', 'local', 'full'] as const) {
      const plan = planOf(wildOptions({ reorder }));
      const messages = [...plan.messages()];
      const pending = messages.filter(({ role }) => role === 'pending').length;
      expect(plan.expectation.published).to.deep.equal({
        pending,
        completed: messages.length - pending,
        total: messages.length,
      });
    }
  });

  it('publishes every kind of malformed message, and expects a dead letter of its reason for each', () => {
    const { expectation, ...plan } = planOf(wildOptions({ reorder: 'none', poisonLarge: 2 }));
    const poison = [...plan.messages()].flatMap((message) => (message.poison === undefined ? [] : [message.poison]));
    const kinds = new Set(poison.map(({ kind }) => kind));
    expect([...kinds]).to.have.members([
      ...POISON_KINDS.map(({ kind }) => kind),
      'conflicting-duplicate',
      'large-message',
    ]);
    const counts: Record<string, number> = {};
    for (const { reason } of poison) counts[reason] = (counts[reason] ?? 0) + 1;
    expect(expectation.expected.deadLetters).to.deep.equal(counts);
    expect(expectation.expected.deadLettersTotal).to.equal(poison.length);
  });

  it('sends no conflicting duplicate when the order of arrival would decide which of the two is charged', () => {
    const reasons = planOf(wildOptions({ reorder: 'full' })).expectation.expected.deadLetters;
    expect(reasons).not.to.have.property('CONFLICTING_DUPLICATE');
  });

  it('keeps every poison trace apart from the traces that are charged', () => {
    const messages = [...planOf(wildOptions()).messages()];
    const charged = new Set(wellFormed(messages).map(({ trace_id }) => trace_id));
    const texts = messages.filter(({ form }) => form === 'poison').map(({ value }) => value?.toString('latin1') ?? '');
    const traces = texts.flatMap((text) => /"trace_id":"([0-9a-f]{32})"/.exec(text)?.[1] ?? []);
    expect(traces.filter((trace) => charged.has(trace))).to.deep.equal([]);
    expect(traces.length).to.be.above(0);
  });

  it('repeats a message byte for byte, or under a new event id and producer number with the same content', () => {
    const messages = [...planOf(wildOptions()).messages()];
    const originals = new Map(
      messages
        .filter(({ form }) => form === 'original')
        .map((message) => [`${message.role} ${traceOf(message)}`, message] as const),
    );
    const repeats = messages.filter(({ form }) => form === 'repeat' || form === 'reissue');
    expect(new Set(repeats.map(({ form }) => form)).size).to.equal(2);
    for (const repeat of repeats) {
      const original = originals.get(`${repeat.role} ${traceOf(repeat)}`);
      if (repeat.form === 'repeat') expect(repeat.value).to.deep.equal(original?.value);
      else expect(withoutNames(repeat)).to.deep.equal(original && withoutNames(original));
    }
  });

  it('gives every published event an id of its own, shared only by its byte-for-byte repeat', () => {
    const messages = [...planOf(wildOptions()).messages()].filter(({ form }) => form !== 'repeat');
    const ids = wellFormed(messages).map(({ event_id }) => event_id);
    expect(new Set(ids).size).to.equal(ids.length);
  });

  it('numbers what each gateway sends without a gap', () => {
    const messages = [...planOf(wildOptions()).messages()].filter(({ form }) => form !== 'repeat');
    const numbers = new Map<string, number[]>();
    for (const { producer } of wellFormed(messages)) {
      numbers.set(producer.instance, [...(numbers.get(producer.instance) ?? []), producer.seq]);
    }
    for (const seqs of numbers.values()) {
      expect(seqs.sort((one, other) => one - other)).to.deep.equal(seqs.map((_, place) => place));
    }
  });

  it('keys a message by its tenant, and one without a tenant by its trace', () => {
    for (const message of planOf(wildOptions()).messages()) {
      if (message.form === 'poison') continue;
      const event = JSON.parse(String(message.value)) as Event;
      expect(message.key).to.equal(event.tenant_id ?? event.trace_id);
    }
  });

  it('is over at the end it was given and no longer than a day, however long the repeated trace would take', () => {
    const header = 'TIMESTAMP,ContextTokens,GeneratedTokens';
    const trace = parseTrace(`${header}\n2023-11-16 00:00:00,100,10\n2023-11-16 06:00:00,200,20`, 'trace.csv');
    const plan = createPlan(quietOptions({ requests: 300 }), { trace, prices: PRICES });
    const times = wellFormed([...plan.messages()]).map(({ occurred_at }) => Date.parse(occurred_at));
    expect(Math.max(...times)).to.be.within(END_AT_MS - 1_000, END_AT_MS);
    expect(Math.min(...times)).to.be.within(END_AT_MS - 24 * 3_600_000, END_AT_MS - 22 * 3_600_000);
  });

  it('publishes in the order of time when nothing is reordered, each pending event before its completion', () => {
    const messages = [...planOf(quietOptions()).messages()];
    const times = wellFormed(messages).map(({ occurred_at }) => occurred_at);
    expect(times).to.deep.equal([...times].sort());
    expect(completedFirst(messages)).to.equal(0);
  });

  it('lets about half of the completions overtake their pending event when the order is random', () => {
    const messages = [...planOf(quietOptions({ requests: 2_000, streamShare: 1, reorder: 'full' })).messages()];
    expect(completedFirst(messages)).to.be.within(800, 1_200);
  });
});

function traceOf({ value }: PlannedMessage): string {
  return (JSON.parse(String(value)) as Event).trace_id;
}

function withoutNames({ value }: PlannedMessage): object {
  const { event_id: _eventId, producer, ...content } = JSON.parse(String(value)) as Event;
  return { ...content, instance: producer.instance };
}

function completedFirst(messages: readonly PlannedMessage[]): number {
  const seen = new Set<string>();
  let count = 0;
  for (const message of messages) {
    const { stream, trace_id } = JSON.parse(String(message.value)) as Event & { stream: boolean };
    if (message.role === 'pending') seen.add(trace_id);
    else if (stream && !seen.has(trace_id)) count += 1;
  }
  return count;
}
