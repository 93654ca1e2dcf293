/**
 * Owns: one simulated world: a ledger and a Redis in memory, what the gateways sent, and what each kind of process does,
 * with the real protocol code on simulated ports.
 * Does not own: the order of steps (step-scheduler.ts), what goes wrong (simulation.ts), what must hold (properties.ts).
 */
import { ChargeProtocol, type Chunk } from '../../src/consumers/charge-protocol.js';
import { HoldExpiry } from '../../src/consumers/hold-expiry.js';
import { RedisQuotaGate } from '../../src/consumers/quota-gate.js';
import type { AccountTerms } from '../../src/ledger/account.js';
import type { StreamSource } from '../../src/ledger/batch.js';
import { bookCommand, type CommandResult } from '../../src/ledger/commands/book-command.js';
import type { LedgerCommand } from '../../src/ledger/commands/command.js';
import { commandKey, sourceKey } from './ledger-rows.js';
import { ZERO } from '../../src/ledger/money.js';
import { projectAfresh } from '../../src/projections/audit-repair.js';
import { sweepInflight } from '../../src/projections/inflight-sweeper.js';
import { Projector } from '../../src/projections/projector.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { createLogger } from '../../src/runtime/logger.js';
import type { SeededRandom } from '../../src/simulator/seeded-random.js';
import { NOON } from '../support/wire-usage.js';
import { drawPlan, type GatewayPlan, type Log, TENANTS, UNIT_NANO } from './gateway-plan.js';
import type { Removal } from './removals.js';
import { SimulatedLedgerReader } from './simulated-ledger-reader.js';
import { SimulatedLedger } from './simulated-ledger.js';
import { SimulatedQuotaScripts } from './simulated-quota-scripts.js';
import { StepScheduler } from './step-scheduler.js';

/** How long a hold stays open, in milliseconds. */
export const HOLD_TTL_MS = 60_000;
/** How long an item may be in flight: longer than anything is paused, unless Redis misbehaves anyway. */
const INFLIGHT_TTL_MS = { faithful: 3_600_000, faulty: 90_000 };
const DEADLINE_MS = { faithful: 1e9, faulty: 40 };

const TERMS: AccountTerms = { creditLimitNano: ZERO, dailyQuota: null, monthlyQuota: null, holdPolicy: 'estimate' };
const DEFAULTS = { currency: 'USD', terms: TERMS };
const silent = createLogger({ level: 'silent' });
const DAY = NOON.slice(0, 10);

/** What of the servers is lost or cut from now on. */
export interface Weather {
  /** One answer of a commit in so many is lost; 0: none. */
  lostAnswers: number;
  /** One call of Redis in so many is cut; 0: none. */
  cutCalls: number;
}

/** Servers and processes of one schedule. */
export class SimulatedWorld {
  readonly plan: GatewayPlan;
  readonly scheduler: StepScheduler;
  readonly ledger: SimulatedLedger;
  readonly reader: SimulatedLedgerReader;
  readonly redis: SimulatedQuotaScripts;
  /** With true Redis never loses anything, nor answers late. */
  readonly isRedisFaithful: boolean;
  readonly weather: Weather;
  /** The commands that were answered with an entry, by tenant and key. */
  readonly booked = new Map<string, { readonly command: LedgerCommand; readonly result: CommandResult }>();
  /** What must never happen and did. */
  readonly problems: string[] = [];
  isEnding = false;
  readonly #random: SeededRandom;

  constructor(random: SeededRandom, removed: Removal | undefined) {
    this.#random = random;
    this.plan = drawPlan(random);
    this.isRedisFaithful = random.below(2) === 0;
    this.weather = { lostAnswers: 12, cutCalls: this.isRedisFaithful ? 0 : 15 };
    const scheduler = new StepScheduler(random, Date.parse(NOON) + 1000);
    const losesAnswer = (): boolean => this.#oneIn(this.weather.lostAnswers);
    const isCut = (): boolean => this.#oneIn(this.weather.cutCalls);
    this.scheduler = scheduler;
    this.ledger = new SimulatedLedger({ scheduler, removed, losesAnswer });
    this.reader = new SimulatedLedgerReader(this.ledger.rows, scheduler);
    const availableOf = (tenantId: string): bigint => {
      const account = this.ledger.rows.accounts.get(tenantId);
      return account === undefined ? 0n : account.balanceNano - account.heldNano;
    };
    this.redis = new SimulatedQuotaScripts({ scheduler, removed, isCut, availableOf });
  }

  /** A consumer: charges from the cursors on, now and then from before them, one log or both, and projects what it charged. */
  async consume(): Promise<void> {
    const projector = this.#projector();
    const protocol = this.#protocol(projector);
    while (!this.isEnding) {
      await this.scheduler.step();
      await this.#retriable(async () => {
        const log: Log = this.#random.below(2) === 0 ? 'pending' : 'completed';
        const from = await this.#startOf(log);
        if (this.#oneIn(3) && this.#haveCursors()) await this.#chargeBoth(protocol, log, from);
        else await this.#chargeFrom(protocol, log, from);
      });
    }
  }

  async #startOf(log: Log): Promise<number> {
    const cursor = await this.reader.readCursor(sourceOf(log));
    return Math.max(0, Number(cursor?.nextOffset ?? 0n) - (this.#oneIn(4) ? this.#random.below(4) : 0));
  }

  /** Charges some messages of both logs in one database transaction, one log first. */
  async #chargeBoth(protocol: ChargeProtocol, first: Log, from: number): Promise<void> {
    const second = first === 'pending' ? 'completed' : 'pending';
    const chunk = this.#chunkOf(first, from);
    const other = withoutTracesOf(chunk, this.#chunkOf(second, await this.#startOf(second)));
    const chunks = [chunk, other].filter(({ messages }) => messages.length > 0);
    await protocol.chargeTogether(chunks.map((each) => ({ ...each, hasCursor: true })));
  }

  #haveCursors(): boolean {
    const { cursors } = this.ledger.rows;
    return (['pending', 'completed'] as const).every((log) => cursors.has(sourceKey(sourceOf(log))));
  }

  #chunkOf(log: Log, position: number): Chunk {
    const end = position + (this.isEnding ? Infinity : 1 + this.#random.below(5));
    const messages = this.plan.logs[log].slice(position, end);
    return { source: sourceOf(log), kind: log, messages, nextOffset: BigInt(position + messages.length) };
  }

  /** Charges whatever of the logs is not charged yet. */
  async consumeRest(): Promise<void> {
    const projector = this.#projector();
    const protocol = this.#protocol(projector);
    for (const log of ['pending', 'completed'] as const) {
      for (;;) {
        const from = Number((await this.reader.readCursor(sourceOf(log)))?.nextOffset ?? 0n);
        if (from >= this.plan.logs[log].length) break;
        await this.#retriable(() => this.#chargeFrom(protocol, log, from));
      }
    }
  }

  /** An operator, or a program: sends every command until it is answered. */
  async command(): Promise<void> {
    for (const command of this.plan.commands) {
      for (let isAnswered = false; !isAnswered;) {
        await this.scheduler.step();
        isAnswered = await this.#retriable(() => this.#send(command));
      }
    }
  }

  /** A gateway: holds before it publishes, or after; gives some holds back, and forgets others. */
  async gateway(): Promise<void> {
    const { traces } = this.plan;
    while (!this.isEnding) {
      await this.scheduler.step();
      const { tenantId, traceId, estimate } = traces[this.#random.below(traces.length)] ?? NO_TRACE;
      const isPublished = this.#random.below(2) === 0;
      const held = isPublished ? traceId : `unpublished-${traceId}`;
      const amountNano = BigInt(estimate) * UNIT_NANO;
      const request = { tenantId, traceId: held, amountNano, checkBalance: true, checkQuota: true, day: DAY };
      await this.#retriable(() => this.redis.hold(request, this.scheduler.nowMs()));
      if (!isPublished && this.#oneIn(2)) await this.#retriable(() => this.redis.release(tenantId, held));
    }
  }

  /** A worker: looks for hashes behind their ledger, holds past their time and stale items in flight. */
  async work(): Promise<void> {
    const projector = this.#projector();
    while (!this.isEnding) {
      await this.scheduler.step();
      await this.#retriable(() => this.#round(projector, this.#random.below(3)));
    }
  }

  /** What the workers of a quiet system come to: everything projected, expired and swept. */
  async workRest(): Promise<void> {
    const projector = this.#projector();
    this.scheduler.passTime(INFLIGHT_TTL_MS.faithful + 1);
    for (const round of [1, 0, 2, 0]) {
      await this.#round(projector, round);
      await projector.idle();
    }
    const ruined = TENANTS.filter((tenantId) => this.redis.isRuined(tenantId));
    await projectAfresh({ reader: this.reader, scripts: this.redis.port, logger: silent }, ruined);
  }

  async #round(projector: Projector, kind: number): Promise<unknown> {
    const { scheduler, reader, ledger } = this;
    if (kind === 0) return projector.sweep();
    if (kind === 2) {
      const ttlMs = this.isRedisFaithful ? INFLIGHT_TTL_MS.faithful : INFLIGHT_TTL_MS.faulty;
      return sweepInflight({ scripts: this.redis.port, reader, projector, clock: scheduler, ttlMs });
    }
    return new HoldExpiry({
      ...{ store: ledger, dueHolds: reader, clock: scheduler, logger: silent, intervalMs: 1 },
      wakeProjector: (tenantIds) => projector.mark(tenantIds),
      onFatal: (error) => void this.problems.push(`expiry stopped: ${error.message}`),
    }).sweep();
  }

  async #chargeFrom(protocol: ChargeProtocol, log: Log, from: number): Promise<void> {
    let [position, chunks] = [from, 1 + this.#random.below(3)];
    for (; chunks > 0; chunks -= 1) {
      const chunk = this.#chunkOf(log, position);
      if (chunk.messages.length === 0) return;
      const outcome = await protocol.charge(chunk);
      if (outcome.kind === 'hole') return;
      position = Number(outcome.kind === 'alreadyCharged' ? outcome.nextOffset : chunk.nextOffset);
    }
  }

  async #send(command: LedgerCommand): Promise<void> {
    const { ledger: store, scheduler: clock } = this;
    const result = await bookCommand({ store, clock, defaults: DEFAULTS }, command);
    const before = this.booked.get(commandKey(command));
    if (before !== undefined && before.result.entry.seq !== result.entry.seq) {
      this.problems.push(`${command.key} became entry ${before.result.entry.seq} and ${result.entry.seq}`);
    }
    this.booked.set(commandKey(command), { command, result });
  }

  #projector(): Projector {
    return new Projector({
      ...{ reader: this.reader, scripts: this.redis.port, logger: silent },
      onFatal: (error) => void this.problems.push(`a projector stopped: ${error.message}`),
    });
  }

  #protocol(projector: Projector): ChargeProtocol {
    const deadlineMs = this.isRedisFaithful ? DEADLINE_MS.faithful : DEADLINE_MS.faulty;
    return new ChargeProtocol({
      store: this.ledger,
      gate: new RedisQuotaGate({ scripts: this.redis.port, deadlineMs, clock: this.scheduler, logger: silent }),
      clock: this.scheduler,
      limits: { eventBytesMax: 65_536, eventAgeMaxMs: 40 * 24 * 3_600_000 },
      defaults: DEFAULTS,
      holdTtlMs: { estimate: HOLD_TTL_MS, none: HOLD_TTL_MS },
      estimates: { outputTokensDefault: 4096, outputTokensMax: null },
      clusterId: 'simulated',
      wakeProjector: (advances) => projector.markAdvanced(advances),
    });
  }

  /** Does something that may fail as servers fail; tells whether it was answered. Any other failure is a problem. */
  async #retriable(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (isTollbookError(error) && SERVER_FAILURES.has(error.code)) return false;
      if (!isTollbookError(error) || !REFUSALS.has(error.code)) this.problems.push(`unexpected: ${String(error)}`);
      return true;
    }
  }

  #oneIn(count: number): boolean {
    return count > 0 && this.#random.below(count) === 0;
  }
}

/** A chunk as far as it has no trace of another: only such chunks may be charged together. */
function withoutTracesOf(chunk: Chunk, other: Chunk): Chunk {
  const traces = new Set(chunk.messages.map(traceOf));
  const shared = other.messages.findIndex((message) => traces.has(traceOf(message)));
  const messages = shared < 0 ? other.messages : other.messages.slice(0, shared);
  return { ...other, messages, nextOffset: other.nextOffset - BigInt(other.messages.length - messages.length) };
}

function traceOf({ value }: Chunk['messages'][number]): unknown {
  return (JSON.parse(String(value)) as { trace_id?: unknown }).trace_id;
}

const NO_TRACE = { tenantId: 'tenant-a', traceId: 'none', estimate: 1 };
const SERVER_FAILURES: ReadonlySet<string> = new Set([
  ...['POSTGRES_CONFLICT', 'POSTGRES_UNAVAILABLE', 'FENCED', 'REDIS_UNAVAILABLE'],
]);
const REFUSALS: ReadonlySet<string> = new Set([
  ...['ACCOUNT_UNKNOWN', 'TRACE_UNKNOWN', 'REFUND_NOT_ALLOWED', 'REFUND_EXCEEDS_CHARGE', 'HOLD_NOT_OPEN'],
]);

/** The source of a log. */
export function sourceOf(log: Log): StreamSource {
  return { topic: `usage.${log}`, partition: 0 };
}
