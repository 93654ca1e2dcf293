/**
 * The charge protocol under random schedules on a real PostgreSQL and a real Redis: duplicated and reordered events,
 * writers that die before their commit, writers at the same time, holds that expire meanwhile, projections at any moment,
 * and the loss of Redis.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import type { Chunk } from '../../src/consumers/charge-protocol.js';
import type { EntryStatus } from '../../src/ledger/entry.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { propertySeed } from '../model/property-seed.js';
import { expectAtRest } from '../support/at-rest.js';
import { crashingBeforeCommit } from '../support/failing-store.js';
import { HOLD_TTL_MS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';
import { type Action, type Log, LOGS, type Schedule, schedules } from './ledger-schedules.js';

const SCHEDULES = 60;
const UNIT = 1_000_000_000n;

/** Which item in flight an entry of a status lands. */
const PHASE_OF: Readonly<Record<EntryStatus, string>> = {
  ...{ PENDING: 'p', REFUSED: 'p', COMMITTED: 'c', FAILED: 'c', VOIDED: 'v', EXPIRED: 'x' },
};

/** The entries of a trace, in order, that a schedule may leave. */
const CHARGED_ENDS = [
  'COMMITTED',
  'FAILED',
  'PENDING COMMITTED',
  'PENDING FAILED',
  'REFUSED COMMITTED',
  'REFUSED FAILED',
  'PENDING EXPIRED COMMITTED',
  'PENDING EXPIRED FAILED',
];
const CANCELLED_ENDS = ['VOIDED', 'PENDING VOIDED', 'PENDING EXPIRED', 'REFUSED'];
const OPEN_ENDS = ['', 'PENDING', 'PENDING EXPIRED', 'REFUSED'];

/** One schedule under way, with tenants and sources of its own. */
class Run {
  readonly tenantIds: readonly string[];
  readonly #world: ProtocolWorld;
  readonly #schedule: Schedule;
  readonly #messages: Readonly<Record<Log, Chunk>>;
  readonly #positions: Record<Log, number> = { 'pending-0': 0, 'pending-1': 0, 'completed-0': 0, 'completed-1': 0 };
  #hasLostRedis = false;

  constructor(world: ProtocolWorld, schedule: Schedule) {
    this.#world = world;
    this.#schedule = schedule;
    this.tenantIds = [world.tenant(), world.tenant()];
    const chunkOf = (log: Log): Chunk => {
      const kind = log.startsWith('pending') ? 'pending' : 'completed';
      return world.stream(kind).chunk(schedule.logs[log].map((trace) => this.#event(log, trace)));
    };
    this.#messages = {
      ...{ 'pending-0': chunkOf('pending-0'), 'pending-1': chunkOf('pending-1') },
      ...{ 'completed-0': chunkOf('completed-0'), 'completed-1': chunkOf('completed-1') },
    };
  }

  async toTheEnd(): Promise<void> {
    for (const [index, tenantId] of this.tenantIds.entries()) {
      const units = this.#schedule.credits[index] ?? 0;
      if (units > 0) await this.#world.credit(tenantId, String(units));
    }
    for (const action of this.#schedule.actions) {
      await this.#act(action);
      if (!this.#hasLostRedis) await this.expectNoDebitMissing();
    }
    for (const log of LOGS) await this.#charge(log, this.#schedule.logs[log].length);
  }

  async #act(action: Action): Promise<void> {
    switch (action.kind) {
      case 'charge':
        return this.#charge(action.log, action.messages, action.dies);
      case 'rewind': {
        this.#positions[action.log] = Math.max(0, this.#positions[action.log] - action.back);
        return this.#charge(action.log, action.messages);
      }
      case 'together': {
        const charges = action.logs.map((log) => this.#charge(log, action.messages));
        await Promise.all([...charges, this.#world.project(this.tenantIds), this.#world.project(this.tenantIds)]);
        return;
      }
      case 'expire':
        await Promise.all([this.#expire(action.dies), this.#charge(action.log, action.messages)]);
        return;
      case 'project':
        await this.#world.project(this.tenantIds);
        return;
      case 'loseRedis':
        this.#hasLostRedis = true;
        await this.#world.server.redis.flushall();
        return;
    }
  }

  /** Charges the next messages of a log, as a consumer does: from the cursor, wherever it stood before. */
  async #charge(log: Log, messages: number, dies = false): Promise<void> {
    const [from, to] = [this.#positions[log], this.#positions[log] + messages];
    const slice = this.#messages[log].messages.slice(from, to);
    if (slice.length === 0) return;
    const chunk = { ...this.#messages[log], messages: slice, nextOffset: BigInt(from + slice.length) };
    const store = crashingBeforeCommit(this.#world.store, () => dies);
    try {
      const outcome = await this.#world.protocol({ store }).charge(chunk);
      expect(outcome.kind).to.be.oneOf(['charged', 'alreadyCharged']);
      this.#positions[log] = outcome.kind === 'alreadyCharged' ? Number(outcome.nextOffset) : from + slice.length;
    } catch (error) {
      if (!dies || !isTollbookError(error, 'POSTGRES_UNAVAILABLE')) throw error;
    }
  }

  /** Sweeps for expired holds as two processes do at once, one of which may die. */
  async #expire(dies: boolean): Promise<void> {
    this.#world.clock.atMs += HOLD_TTL_MS.estimate;
    const dying = this.#world.expiry({ store: crashingBeforeCommit(this.#world.store, () => dies) });
    const swept = dying.sweep().catch((error: unknown) => {
      if (!dies || !isTollbookError(error, 'POSTGRES_UNAVAILABLE')) throw error;
    });
    await Promise.all([swept, this.#world.expiry().sweep()]);
  }

  #event(log: Log, trace: number): WireEvent {
    const { estimate, units, cancelled } = this.#schedule.traces[trace]!;
    const tenantId = this.tenantIds[log.endsWith('0') ? 0 : 1]!;
    const traceId = `trace-${trace}`;
    if (log.startsWith('pending')) return wirePending({ tenantId, traceId, units: estimate });
    const fields = { stream: !this.#schedule.scarce, outcome: cancelled ? 'cancelled' : 'succeeded' };
    return wireCompleted({ tenantId, traceId, units, fields });
  }

  /** While Redis has lost nothing: hash and flight together never grant more than the ledger leaves. */
  async expectNoDebitMissing(): Promise<void> {
    for (const tenantId of this.tenantIds) {
      const [hash] = await this.#world.scripts.readQuota([tenantId]);
      const account = await this.#world.account(tenantId);
      if (account === undefined || hash === null || hash === undefined) continue;
      const unprojected = (await this.#world.entries(tenantId)).filter(({ seq }) => Number(seq) > hash.version);
      const landed = new Set(
        unprojected.map(({ trace_id, status }) => `${trace_id}:${PHASE_OF[status as EntryStatus]}`),
      );
      const credited = unprojected.filter(({ type }) => type === 'CREDIT').length;
      expect(credited, 'credits come before all charges, so every hash knows them').to.equal(0);
      const items = (await this.#world.inFlight(tenantId)).filter(({ traceId, phase }) =>
        landed.has(`${traceId}:${phase}`),
      );
      const known = items.reduce((sum, { availableNano }) => sum + availableNano, hash.balanceNano - hash.heldNano);
      expect(known <= account.balanceNano - account.heldNano, `${tenantId}: Redis knows of ${known}`).to.equal(true);
    }
  }

  /** Every trace ends once, as it must; what was charged is the independent sum. */
  async expectChargedOnce(): Promise<void> {
    for (const [index, tenantId] of this.tenantIds.entries()) {
      const completed = new Set(this.#schedule.logs[index === 0 ? 'completed-0' : 'completed-1']);
      const usage = (await this.#world.entries(tenantId)).filter(({ type }) => type === 'DEDUCT');
      for (const [trace, { cancelled }] of this.#schedule.traces.entries()) {
        const statuses = usage.filter(({ trace_id }) => trace_id === `trace-${trace}`).map(({ status }) => status);
        const ends = completed.has(trace) ? (cancelled ? CANCELLED_ENDS : CHARGED_ENDS) : OPEN_ENDS;
        expect(ends, `trace-${trace} of ${tenantId}`).to.include(statuses.join(' '));
      }
      const spent = [...completed].reduce((sum, trace) => sum + BigInt(this.#schedule.traces[trace]!.units), 0n) * UNIT;
      const balanceNano = (await this.#world.account(tenantId))?.balanceNano ?? 0n;
      if (this.#schedule.scarce) expect(balanceNano >= 0n, `${tenantId} never goes negative`).to.equal(true);
      else expect(balanceNano).to.equal(BigInt(this.#schedule.credits[index] ?? 0) * UNIT - spent);
    }
  }
}

describe('the charge protocol under random schedules', function () {
  this.timeout(180_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  it('charges every trace once and comes to rest with ledger, accounts and Redis in agreement', async () => {
    const seed = propertySeed();
    const property = fc.asyncProperty(schedules, async (schedule) => {
      const run = new Run(world, schedule);
      await run.toTheEnd();
      await expectAtRest(world, run.tenantIds);
      await run.expectChargedOnce();
    });
    const limits = { interruptAfterTimeLimit: 150_000, markInterruptAsFailure: true };
    await fc.assert(property, { seed, numRuns: SCHEDULES, ...limits });
    expect((await proveAccounts(world.pool)).problems).to.deep.equal([]);
    expect((await proveChains(world.pool)).problems).to.deep.equal([]);
  });
});
