/** Owns: what the simulator expects of the ledger, against figures worked out by hand and against the published bytes. */
import { Decimal } from 'decimal.js';
import { expect } from 'chai';
import { amountNano, formatAmount } from '../../../src/ledger/money.js';
import { ExpectationTally } from '../../../src/simulator/expectation.js';
import { createPlan } from '../../../src/simulator/plan.js';
import { readPriceMap } from '../../../src/simulator/price-map.js';
import { type Settlement, settlementOf } from '../../../src/simulator/settlement.js';
import {
  type Fate,
  NO_USAGE,
  type SimulatedRequest,
  type SimulatedUsage,
} from '../../../src/simulator/simulated-request.js';
import { exampleFiles } from '../../../src/simulator/simulate.js';
import { PRICES, quietOptions, TRACE, wildOptions } from './simulation-inputs.js';

const [plain, cached = plain] = PRICES.models;
const USED: SimulatedUsage = { ...NO_USAGE, inputTokens: 1187, outputTokens: 402 };

function request(changes: Partial<SimulatedRequest> = {}): SimulatedRequest {
  return {
    number: 0,
    fate: { kind: 'succeeded' },
    tenant: 0,
    apiKey: 0,
    model: plain,
    stream: false,
    promptTokens: 1187,
    outputTokensMax: 1024,
    usage: USED,
    saysAllowNegative: false,
    startMs: 0,
    endMs: 1,
    ...changes,
  };
}

function amountsOf({ standing, charged, uncollected, held }: Settlement): string[] {
  return [standing, formatAmount(charged), formatAmount(uncollected), formatAmount(held)];
}

function settled(changes: Partial<SimulatedRequest>, funded = true): string[] {
  return amountsOf(settlementOf(request(changes), funded));
}

const NIL = '0.000000000';

describe('settlement of a simulated request', () => {
  it('charges 1187 × 0.00125/1k + 402 × 0.01/1k = 0.00550375', () => {
    expect(settled({})).to.deep.equal(['committed', '0.005503750', NIL, NIL]);
  });

  it('charges a stream what it used, not what it held', () => {
    expect(settled({ stream: true })).to.deep.equal(['committed', '0.005503750', NIL, NIL]);
  });

  it('adds cached input at its own price: 187 × 0.003/1k + 402 × 0.015/1k + 1000 × 0.0003/1k = 0.006891', () => {
    const usage = { ...NO_USAGE, inputTokens: 187, outputTokens: 402, cachedInputTokens: 1000 };
    expect(settled({ model: cached, usage })).to.deep.equal(['committed', '0.006891000', NIL, NIL]);
  });

  it('adds cache writes and reasoning: 187 × 0.003 + 302 × 0.015 + 700 × 0.0003 + 300 × 0.00375 + 100 × 0.02, per 1k', () => {
    const model = { ...cached, cacheCreationPer1k: '0.00375', reasoningPer1k: '0.02' };
    const counts = { inputTokens: 187, cachedInputTokens: 700, cacheCreationInputTokens: 300 };
    const usage = { ...NO_USAGE, ...counts, outputTokens: 302, reasoningOutputTokens: 100 };
    expect(settled({ model, usage })).to.deep.equal(['committed', '0.008426000', NIL, NIL]);
  });

  it('charges reasoning without a price of its own as the output it is part of', () => {
    expect(settled({ usage: { ...USED, thoughtTokens: 300 } })).to.deep.equal(settled({ usage: USED }));
  });

  it('collects nothing from a tenant without credit', () => {
    expect(settled({}, false)).to.deep.equal(['failed', NIL, '0.005503750', NIL]);
  });

  it('leaves the hold of an abandoned stream: 1187 × 0.00125/1k + 1024 × 0.01/1k = 0.01172375', () => {
    const fate: Fate = { kind: 'abandoned' };
    expect(settled({ fate, stream: true })).to.deep.equal(['open', NIL, NIL, '0.011723750']);
  });

  it('holds for 4096 output tokens when the client named no bound', () => {
    const abandoned = { fate: { kind: 'abandoned' }, stream: true, outputTokensMax: undefined } as const;
    expect(settled(abandoned)).to.deep.equal(['open', NIL, NIL, '0.042443750']);
  });

  it('charges a cancelled request what it used, and voids it when it used nothing', () => {
    expect(settled({ fate: { kind: 'cancelled', used: 'some' } })[0]).to.equal('committed');
    const unused = { fate: { kind: 'failed', used: 'none' }, usage: NO_USAGE, stream: true } as const;
    expect(settled(unused)).to.deep.equal(['voided', NIL, NIL, NIL]);
  });

  it('charges nothing for what is skipped or has no price', () => {
    expect(settled({ fate: { kind: 'skipped', form: 'noTenant' } })).to.deep.equal(['skipped', NIL, NIL, NIL]);
    expect(settled({ fate: { kind: 'unpriced', form: 'outputMissing' } })).to.deep.equal(['unpriced', NIL, NIL, NIL]);
  });
});

describe('expectation', () => {
  it('sums what was worked out by hand', () => {
    const tally = new ExpectationTally({ ids: ['rich', 'poor'], funded: [true, false], pick: () => 0 });
    const add = (
      changes: Partial<SimulatedRequest>,
      messages: { pending: number; completed: number; repeats: number },
    ): void => {
      const one = request(changes);
      tally.addRequest(one, settlementOf(one, one.tenant === 0), messages);
    };
    add({ stream: true }, { pending: 2, completed: 1, repeats: 1 });
    add({ tenant: 1 }, { pending: 0, completed: 1, repeats: 0 });
    add({ fate: { kind: 'abandoned' }, stream: true }, { pending: 1, completed: 0, repeats: 0 });
    add({ fate: { kind: 'skipped', form: 'noTenant' } }, { pending: 0, completed: 2, repeats: 1 });
    tally.addPoison('pending', 'INVALID_JSON');
    const result = tally.finish({ runId: 'run', options: quietOptions() });
    expect(result.published).to.deep.equal({ pending: 4, completed: 4, total: 8 });
    const none = {
      committed: 0,
      failed: 0,
      voided: 0,
      open: 0,
      skipped: 0,
      unpriced: 0,
      charged: NIL,
      uncollected: NIL,
      held: NIL,
    };
    expect(result.tenants).to.deep.equal({
      rich: {
        ...none,
        funded: true,
        requests: 2,
        committed: 1,
        open: 1,
        charged: '0.005503750',
        held: '0.011723750',
        creditNeeded: '100.000000000',
      },
      poor: { ...none, funded: false, requests: 1, failed: 1, uncollected: '0.005503750', creditNeeded: NIL },
    });
    expect(result.totals.requests).to.equal(4);
    expect(result.expected).to.deep.equal({
      repeats: 2,
      skipped: { traces: 1, messages: 2 },
      unpriced: { traces: 0, messages: 0 },
      deadLetters: { INVALID_JSON: 1 },
      deadLettersTotal: 1,
    });
    expect(result.orderDependent).to.deep.equal({ entries: { min: 3, max: 4 }, withoutEntry: { min: 1, max: 2 } });
  });

  it('accounts for every published message: entries, messages without one, skipped, unpriced, dead letters', () => {
    const { published, expected, orderDependent } = createPlan(wildOptions(), {
      trace: TRACE,
      prices: PRICES,
    }).expectation;
    const aside = expected.skipped.messages + expected.unpriced.messages + expected.deadLettersTotal;
    expect(orderDependent.entries.min + orderDependent.withoutEntry.max + aside).to.equal(published.total);
    expect(orderDependent.entries.max + orderDependent.withoutEntry.min + aside).to.equal(published.total);
  });

  it('asks for a credit that covers all holds and charges of a tenant at once', () => {
    const { tenants } = createPlan(wildOptions(), { trace: TRACE, prices: PRICES }).expectation;
    for (const { funded, charged, held, creditNeeded } of Object.values(tenants)) {
      if (funded) expect(Number(creditNeeded)).to.be.above(Number(charged) + Number(held));
      else expect([charged, held, creditNeeded]).to.deep.equal([NIL, NIL, NIL]);
    }
  });

  it('honours the shares it was given, within what chance allows', () => {
    const options = wildOptions({ requests: 20_000, unfundedShare: 0 });
    const { outcomes, expected, totals, published } = createPlan(options, { trace: TRACE, prices: PRICES }).expectation;
    const share = (count: number): number => count / options.requests;
    expect(share(outcomes.cancelled)).to.be.closeTo(0.1, 0.01);
    expect(share(outcomes.failed)).to.be.closeTo(0.1, 0.01);
    expect(share(outcomes.abandoned)).to.be.closeTo(0.05, 0.01);
    expect(share(outcomes.unpriced)).to.be.closeTo(0.05, 0.01);
    expect(share(outcomes.skipped)).to.be.closeTo(0.1, 0.01);
    expect(share(totals.voided)).to.be.closeTo(0.1, 0.01);
    expect(outcomes.metered / published.completed).to.be.within(0.1, 0.4);
    const originals = published.total - expected.repeats - expected.deadLettersTotal;
    expect(expected.repeats / originals).to.be.closeTo(0.2, 0.01);
    expect(expected.deadLettersTotal).to.equal(Math.round(originals * 0.05));
  });

  it('equals what the published completions say, priced with decimal.js, in the shape of every provider', async () => {
    const prices = await readPriceMap(exampleFiles().pricesFile);
    const plan = createPlan(wildOptions({ poison: 0, unfundedShare: 0 }), { trace: TRACE, prices });
    const { shapes, cutStreams } = plan.expectation.reported;
    expect(Math.min(...Object.values(shapes), cutStreams)).to.be.above(0);
    const costs = new Map<string, bigint>();
    for (const { role, value } of plan.messages()) {
      if (role === 'completed') addCost(costs, JSON.parse(String(value)) as Completion);
    }
    const total = [...costs.values()].reduce((sum, cost) => sum + cost, 0n);
    expect(plan.expectation.totals.charged).to.equal(formatAmount(amountNano(total)));
  });
});

interface Completion {
  readonly trace_id: string;
  readonly tenant_id?: string;
  readonly skip_reason?: string;
  readonly usage: {
    readonly input_tokens: number;
    readonly output_tokens: number;
    readonly meters?: Record<string, number>;
  };
  readonly pricing?: {
    readonly input_per_1k?: string;
    readonly output_per_1k?: string;
    readonly meters?: Record<string, string>;
  };
}

function addCost(costs: Map<string, bigint>, { trace_id, tenant_id, skip_reason, usage, pricing }: Completion): void {
  if (tenant_id === undefined || skip_reason !== undefined || pricing === undefined) return;
  const lines: [number, string | undefined][] = [
    [usage.input_tokens, pricing.input_per_1k],
    [usage.output_tokens, pricing.output_per_1k],
    ...Object.entries(usage.meters ?? {}).map(([meter, quantity]): [number, string | undefined] => [
      quantity,
      pricing.meters?.[meter],
    ]),
  ];
  if (lines.some(([quantity, price]) => quantity > 0 && (price === undefined || Number(price) === 0))) return;
  const nano = lines.reduce(
    (sum, [quantity, price]) => sum.plus(new Decimal(price ?? '0').times(quantity).times(1e6)),
    new Decimal(0),
  );
  costs.set(trace_id, BigInt(nano.toDecimalPlaces(0, Decimal.ROUND_HALF_UP).toFixed(0)));
}
