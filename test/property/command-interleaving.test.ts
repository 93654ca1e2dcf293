/**
 * Owns: commands and usage at the same moment, on a real PostgreSQL and a real Redis: keys that come again, with the same
 * or with other content, writers that die before their commit, and projections at any moment.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import type { LedgerCommand } from '../../src/ledger/commands/command.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { type ErrorCode, isTollbookError } from '../../src/runtime/errors.js';
import { propertySeed } from '../model/property-seed.js';
import { expectAtRest } from '../support/at-rest.js';
import { rowCounts } from '../support/command-samples.js';
import { crashingBeforeCommit } from '../support/failing-store.js';
import { batchOf, NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';
import { commandsOf, type CommandWithoutKey } from './command-histories.js';

const RUNS = 25;
const TENANTS = ['one', 'other'] as const;
const TRACES = ['trace-1', 'trace-2', 'trace-3', 'trace-4'] as const;
const KEYS = ['key-1', 'key-2', 'key-3', 'key-4', 'key-5', 'key-6', 'key-7', 'key-8'] as const;

/** Why a command of a schedule may be refused. */
const REFUSALS: readonly ErrorCode[] = [
  ...(['IDEMPOTENCY_KEY_REUSED', 'TRACE_UNKNOWN', 'REFUND_NOT_ALLOWED', 'REFUND_EXCEEDS_CHARGE'] as const),
  ...(['COLLECT_NOT_ALLOWED', 'INSUFFICIENT_BALANCE', 'HOLD_NOT_OPEN'] as const),
];

interface Usage {
  readonly kind: 'pending' | 'completed';
  readonly tenantId: string;
  readonly traceId: string;
  /** In nano-units, as the commands count. */
  readonly tokens: number;
  readonly stream: boolean;
}

interface Given {
  readonly command: CommandWithoutKey;
  readonly key: string;
  readonly dies: boolean;
}

type Action = { readonly usage: Usage } | { readonly given: Given } | 'project';

const NANO_PRICING = { input_per_1k: '0.000001', output_per_1k: '0.000001', currency: 'USD' };

const actions: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      usage: fc.record({
        kind: fc.constantFrom('pending', 'completed'),
        tenantId: fc.constantFrom(...TENANTS),
        traceId: fc.constantFrom(...TRACES),
        tokens: fc.constantFrom(5, 20),
        stream: fc.boolean(),
      }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      given: fc.record({
        command: commandsOf(TENANTS, TRACES),
        key: fc.constantFrom(...KEYS),
        dies: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
      }),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Action>('project') },
);

/** Groups of actions: those of a group happen at once. */
const schedules = fc.array(fc.array(actions, { minLength: 1, maxLength: 4 }), { minLength: 4, maxLength: 14 });

/** One schedule under way, with tenants of its own. */
class Run {
  readonly #world: ProtocolWorld;
  readonly #tenants: Readonly<Record<string, string>>;
  readonly #booked: { command: LedgerCommand; seq: number }[] = [];

  constructor(world: ProtocolWorld) {
    this.#world = world;
    this.#tenants = Object.fromEntries(TENANTS.map((name) => [name, world.tenant()]));
  }

  get tenantIds(): string[] {
    return Object.values(this.#tenants);
  }

  async toTheEnd(schedule: readonly (readonly Action[])[]): Promise<void> {
    for (const tenantId of this.tenantIds) {
      await this.#world.command({
        ...{ kind: 'open-account', tenantId, key: 'open', actor: 'ops', reason: 'property' },
        terms: NO_LIMITS,
      });
    }
    for (const group of schedule) await Promise.all(group.map((action) => this.#act(action)));
  }

  /** Every command that was booked, sent again, says so and writes nothing. */
  async expectKeysTaken(): Promise<void> {
    const before = await rowCounts(this.#world);
    for (const { command, seq } of this.#booked) {
      const { outcome, entry } = await this.#world.command(command);
      expect([outcome, entry.seq]).to.deep.equal(['repeated', seq]);
    }
    expect(await rowCounts(this.#world)).to.deep.equal(before);
  }

  /** No charge is refunded beyond what it took. */
  async expectRefundsCovered(): Promise<void> {
    const beyond = await this.#world.rows(
      `SELECT e.tenant_id, e.seq FROM ledger_entries e
       JOIN ledger_entries r ON r.tenant_id = e.tenant_id AND r.reference_seq = e.seq AND r.type = 'REFUND'
       WHERE e.tenant_id = ANY($1) GROUP BY e.tenant_id, e.seq, e.amount HAVING sum(r.amount) > e.amount`,
      [this.tenantIds],
    );
    expect(beyond).to.deep.equal([]);
  }

  async #act(action: Action): Promise<void> {
    if (action === 'project') await this.#world.project(this.tenantIds);
    else if ('usage' in action) await this.#use(action.usage);
    else await this.#give(action.given);
  }

  async #use({ kind, tenantId: name, traceId, tokens, stream }: Usage): Promise<void> {
    const tenantId = this.#tenants[name] ?? name;
    const choices = { tenantId, traceId, units: tokens, fields: { stream, pricing: NANO_PRICING } };
    const event = kind === 'pending' ? wirePending(choices) : wireCompleted(choices);
    batchOf(await this.#world.protocol().charge(this.#world.stream(kind).chunk([event])));
  }

  async #give({ command: wanted, key, dies }: Given): Promise<void> {
    const tenantId = this.#tenants[wanted.tenantId] ?? wanted.tenantId;
    const command: LedgerCommand = { ...wanted, key, tenantId };
    const store = crashingBeforeCommit(this.#world.store, () => dies);
    try {
      const { outcome, entry } = await this.#world.command(command, { store });
      if (outcome === 'booked') this.#booked.push({ command, seq: entry.seq });
    } catch (error) {
      if (!isTollbookError(error)) throw error;
      expect(dies ? [...REFUSALS, 'POSTGRES_UNAVAILABLE'] : REFUSALS, error.message).to.include(error.code);
    }
  }
}

describe('commands among usage under random schedules', function () {
  this.timeout(180_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  it('come to rest with ledger, accounts and Redis in agreement, refunds covered and every key taken for good', async () => {
    const seed = propertySeed();
    const property = fc.asyncProperty(schedules, async (schedule) => {
      const run = new Run(world);
      await run.toTheEnd(schedule);
      await expectAtRest(world, run.tenantIds);
      await run.expectRefundsCovered();
      await run.expectKeysTaken();
    });
    const limits = { interruptAfterTimeLimit: 150_000, markInterruptAsFailure: true };
    await fc.assert(property, { seed, numRuns: RUNS, ...limits });
    expect((await proveAccounts(world.pool)).problems).to.deep.equal([]);
    expect((await proveChains(world.pool)).problems).to.deep.equal([]);
  });
});
