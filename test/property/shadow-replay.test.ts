/**
 * Owns: that the replay of a sound ledger is equal, whatever has happened in it: random histories of usage in several
 * currencies, refusals, repeats, commands, expiries and redrives, with Redis and without, on real servers.
 * 2 histories unless TOLLBOOK_SHADOW_RUNS asks for another number; FC_SEED replays a run.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { LEDGER_ALONE } from '../../src/consumers/quota-gate.js';
import { discardLetters } from '../../src/ledger/discard-letters.js';
import { parseAmount } from '../../src/ledger/money.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { propertySeed } from '../model/property-seed.js';
import { commandOf, type CommandChoices } from '../support/command-samples.js';
import type { TestStream } from '../support/protocol-world.js';
import { RedriveWorld, TOO_OLD } from '../support/redrive-world.js';
import { replayWorld, toldOf } from '../support/shadow-samples.js';
import { UNIT_PRICING, wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const RUNS = Number(process.env['TOLLBOOK_SHADOW_RUNS'] ?? 2);
const MS_PER_RUN_MAX = 60_000;
const STREAMS = 4;

/** What may happen next. */
type Step =
  | { readonly kind: 'usage'; readonly stream: number; readonly events: readonly Usage[]; readonly hasRedis: boolean }
  | { readonly kind: 'command'; readonly tenantId: string; readonly command: CommandChoices }
  | { readonly kind: 'project' | 'expire' | 'redrive' | 'discard' }
  | { readonly kind: 'again'; readonly stream: number };

interface Usage {
  readonly tenantId: string;
  readonly traceId: string;
  readonly units: number;
  readonly fields: WireEvent;
}

const tenants = fc.constantFrom('acme', 'bolt', 'corp', 'dora');
const traces = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
const EUROS = { ...UNIT_PRICING, currency: 'EUR' };
/** Most are as usual; the others end as refusals, letters, parked usage or something skipped. */
const oddities: fc.Arbitrary<WireEvent> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({}) },
  {
    weight: 7,
    arbitrary: fc.constantFrom<WireEvent>(
      ...[{ stream: true }, { pricing: EUROS }, { pricing: EUROS, stream: true }, { pricing: undefined }],
      ...[{ pricing: { input_per_1k: '1000', currency: 'USD' }, usage: { input_tokens: 1, output_tokens: 1 } }],
      ...[{ occurred_at: TOO_OLD }, { occurred_at: '2026-03-14T23:59:59Z' }, { occurred_at: '2099-01-01T00:00:00Z' }],
      ...[{ tenant_id: undefined }, { model: 7 }, { outcome: 'failed' }, { allow_negative: true }],
      { pricing: { ...UNIT_PRICING, input_per_1k: '900000000000000000' } },
    ),
  },
);
const usage: fc.Arbitrary<Usage> = fc.record({
  tenantId: tenants,
  traceId: traces,
  units: fc.integer({ min: 0, max: 9 }),
  fields: oddities,
});
const amounts = fc.integer({ min: 1, max: 30 }).map((units) => parseAmount(String(units)));
const terms = fc.record({
  creditLimitNano: amounts,
  dailyQuota: fc.option(fc.integer({ min: 0, max: 5 }), { nil: null }),
  holdPolicy: fc.constantFrom('estimate' as const, 'none' as const),
});
const prices = { outputPer1k: '2000', meters: {} };
const commands: fc.Arbitrary<CommandChoices> = fc.oneof(
  fc.record({
    kind: fc.constant('credit'),
    amountNano: amounts,
    currency: fc.constantFrom('USD', 'USD', 'EUR'),
  } as const),
  fc.record({ kind: fc.constant('adjust'), amountNano: amounts } as const),
  fc.record({ kind: fc.constant('limits'), terms } as const),
  fc.record({ kind: fc.constant('open-account'), terms } as const),
  fc.record({ kind: fc.constant('void'), traceId: traces } as const),
  fc.record({ kind: fc.constant('collect'), traceId: traces, allowNegative: fc.boolean() } as const),
  fc.record({
    kind: fc.constant('price'),
    traceId: traces,
    prices: fc.constant(prices),
    allowNegative: fc.boolean(),
  } as const),
  fc.record({ kind: fc.constant('refund'), of: fc.record({ traceId: traces }), amountNano: amounts } as const),
);
const streams = fc.integer({ min: 0, max: STREAMS - 1 });
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('usage'),
      stream: streams,
      events: fc.array(usage, { minLength: 1, maxLength: 8 }),
      hasRedis: fc.boolean(),
    } as const),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('command'), tenantId: tenants, command: commands } as const) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('project', 'expire', 'redrive', 'discard') } as const) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('again'), stream: streams } as const) },
);

/** Lets a history happen; what the ledger refuses has not happened. */
class History {
  readonly #redrive: RedriveWorld;
  readonly #streams: readonly TestStream[];
  readonly #lastOf = new Map<number, Parameters<ReturnType<RedriveWorld['world']['protocol']>['charge']>[0]>();

  constructor(redrive: RedriveWorld) {
    this.#redrive = redrive;
    this.#streams = Array.from({ length: STREAMS }, (_, index) =>
      redrive.world.stream(index % 2 === 0 ? 'pending' : 'completed'),
    );
  }

  async take(step: Step): Promise<void> {
    const { world } = this.#redrive;
    world.clock.atMs += 1_000;
    switch (step.kind) {
      case 'usage':
        return this.#charge(step);
      case 'again':
        return this.#chargeAgain(step.stream);
      case 'command':
        return this.#command(step.tenantId, step.command);
      case 'project':
        await world.project(await this.#tenantIds());
        return;
      case 'expire':
        await world.expireHolds();
        return;
      case 'redrive':
      case 'discard':
        return this.#closeLetters(step.kind);
    }
  }

  async #charge({ stream, events, hasRedis }: Extract<Step, { kind: 'usage' }>): Promise<void> {
    const write = stream % 2 === 0 ? wirePending : wireCompleted;
    const chunk = this.#streams[stream]?.chunk(events.map((event) => write(event))) ?? expect.fail('no stream');
    this.#lastOf.set(stream, chunk);
    await this.#redrive.world.protocol(hasRedis ? {} : { gate: LEDGER_ALONE }).charge(chunk);
  }

  async #chargeAgain(stream: number): Promise<void> {
    const chunk = this.#lastOf.get(stream);
    if (chunk !== undefined) await this.#redrive.world.protocol().charge(chunk);
  }

  async #command(tenantId: string, command: CommandChoices): Promise<void> {
    try {
      await this.#redrive.world.command(commandOf(tenantId, command));
    } catch (error) {
      if (!isTollbookError(error) || error.disposition !== 'abandon') throw error;
    }
  }

  async #closeLetters(how: 'redrive' | 'discard'): Promise<void> {
    const positions = await this.#redrive.world.rows<{ topic: string; partition: number; kafka_offset: string }>(
      'SELECT topic, partition, kafka_offset FROM dead_letters ORDER BY topic, partition, kafka_offset',
    );
    const letters = await this.#redrive.reader.at(
      positions.map((each) => ({ ...each, kafkaOffset: BigInt(each.kafka_offset) })),
    );
    const open = letters.filter(({ state }) => state === 'open').slice(0, 5);
    if (open.length === 0) return;
    if (how === 'redrive') await this.#redrive.redrive(open);
    else
      await discardLetters(
        { letters: this.#redrive.store, clock: this.#redrive.world.clock },
        { positions: open, actor: 'ops', reason: 'of no use' },
      );
  }

  async #tenantIds(): Promise<string[]> {
    const rows = await this.#redrive.world.rows<{ tenant_id: string }>('SELECT tenant_id FROM accounts');
    return rows.map((row) => row.tenant_id);
  }
}

describe('the replay of a sound ledger', function () {
  this.timeout(60_000 + RUNS * MS_PER_RUN_MAX);

  it(`is equal for ${RUNS} random histories`, async () => {
    const history = fc.array(steps, { minLength: 20, maxLength: 50, size: 'max' });
    await fc.assert(
      fc.asyncProperty(history, async (taken) => {
        const redrive = await RedriveWorld.open();
        try {
          const happening = new History(redrive);
          for (const step of taken) await happening.take(step);
          const found = await replayWorld(redrive.world);
          expect(toldOf(found)).to.deep.equal([]);
          expect(found.comparison.differences.total).to.equal(0);
        } finally {
          await redrive.close();
        }
      }),
      { seed: propertySeed(), numRuns: RUNS, endOnFailure: true },
    );
  });
});
