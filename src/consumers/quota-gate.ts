/**
 * Owns: step 5 of the charge protocol: putting in flight what the locked accounts grant, within a deadline, and finding out
 * what else is in flight where Redis says that it is too much.
 *
 *  1. Ask for all tenants, one script call a group; who has no hash is hydrated from the locked account and asked again.
 *  2. Where something is refused, read what is in flight of that tenant and what the ledger says of those traces. The chunk
 *     is booked again: by the account, less what others have in flight.
 *  3. Settle: put in flight what is granted now, unasked.
 *
 * Redis has no veto: its refusal is a reason to look, and what is decided then does not depend on its hash. The hash is set
 * to the account by the projection that follows the commit. What was put in flight and is refused in the end stays until
 * then too: a writer that was overtaken must neither set a hash nor take anything back, for it may be the other's.
 * Does not own: the rule (quota-rule.ts), the booking (chunk-booking.ts), what a refusal comes to (contested-quota.ts).
 * Invariants: never waits longer than the deadline, twice; Redis away, too slow, or with keys it cannot read: the account
 * alone decides. A hash ahead of the account is never touched, for the account may be that of a writer that was overtaken;
 * it refuses nothing, since the ledger may also have been restored. After a failure Redis is left alone for a moment.
 */
import type { Account } from '../ledger/account.js';
import { distinctTraces, type TraceKey } from '../ledger/ledger-store.js';
import type { OthersInFlight } from '../ledger/quota-rule.js';
import type { OverlayItem, QuotaScripts, TenantDeltas, TenantProjection, TenantReply } from '../lua/quota-scripts.js';
import { quotaHashOf } from '../projections/quota-hash-of.js';
import type { Clock } from '../runtime/clock.js';
import { invariant, TollbookError } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';
import type { PlannedItem } from './chunk-plan.js';
import {
  type ContestedTenant,
  decidedItems,
  hashStateOf,
  othersInFlight,
  tracesInFlight,
  type TraceStates,
} from './contested-quota.js';

/** What the charge protocol wants to put in flight. */
export interface QuotaQuestion {
  readonly planned: readonly PlannedItem[];
  /** The locked accounts, as they are before the chunk. */
  readonly accounts: ReadonlyMap<string, Account>;
  /** What the accounts grant, by tenant, in order. */
  readonly wanted: ReadonlyMap<string, readonly OverlayItem[]>;
  /** Reads what the ledger says of traces, in the caller's database transaction. Keys as `traceKey` writes them. */
  readonly readTraces: (traces: readonly TraceKey[]) => Promise<TraceStates>;
}

/** Tenants of which Redis has refused something that their accounts grant. */
export interface QuotaContest {
  /** What others have in flight, by tenant: to be booked again with that. */
  readonly others: ReadonlyMap<string, OthersInFlight>;
  /** Puts in flight what is granted in the end. Never rejects. */
  settle(wanted: ReadonlyMap<string, readonly OverlayItem[]>): Promise<void>;
}

/** What the charge protocol asks of whoever knows what is in flight beside the ledger. */
export interface QuotaGate {
  /**
   * Puts in flight what is wanted; returns what to book again, undefined when nothing was refused or nobody could be asked.
   * Idempotent: by trace and phase. Rejects only as `readTraces` does.
   */
  reserve(question: QuotaQuestion): Promise<QuotaContest | undefined>;
}

/** The gate of who charges without Redis: the account alone decides. */
export const LEDGER_ALONE: QuotaGate = { reserve: () => Promise.resolve(undefined) };

/** Settings of the gate; times in milliseconds. */
export interface RedisQuotaGateOptions {
  readonly scripts: QuotaScripts;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How long Redis is left alone after it failed or was too slow: short, since a chunk without it is still right. */
const PAUSE_AFTER_FAILURE_MS = 500;

/** Asks Redis, as long as it answers in time. */
export class RedisQuotaGate implements QuotaGate {
  readonly #options: RedisQuotaGateOptions;
  #failedAtMs = -Infinity;
  #isAway = false;

  constructor(options: RedisQuotaGateOptions) {
    this.#options = options;
  }

  async reserve(question: QuotaQuestion): Promise<QuotaContest | undefined> {
    if (question.wanted.size === 0 || this.#isPaused()) return undefined;
    const contested = (await this.#inTime(() => this.#ask(question))) ?? [];
    if (contested.length === 0) return undefined;
    const states = await question.readTraces(distinctTraces(contested.flatMap(tracesInFlight)));
    return {
      others: new Map(contested.map((tenant) => [tenant.account.tenantId, othersInFlight(tenant, states)])),
      settle: async (wanted) => {
        await this.#inTime(() => this.#settle(contested, wanted));
      },
    };
  }

  /** Steps 1 and 2: the tenants of which something was refused, and what Redis has of them. */
  async #ask(question: QuotaQuestion): Promise<ContestedTenant[]> {
    const { accounts, wanted } = question;
    const questions: TenantDeltas[] = [];
    for (const [tenantId, items] of wanted) questions.push({ tenantId, ledgerSeq: seqOf(accounts, tenantId), items });
    const first = await this.#deduct(questions);
    let refused = first.refused;
    if (first.unhydrated.length > 0) {
      await this.#hydrate(first.unhydrated, accounts);
      refused = [...refused, ...(await this.#deduct(first.unhydrated)).refused];
    }
    if (refused.length === 0) return [];
    const observations = await this.#options.scripts.observe(refused.map(({ tenantId }) => tenantId));
    return refused.flatMap(({ tenantId }, index) => {
      const [account, observation] = [accounts.get(tenantId), observations[index]];
      if (account === undefined || observation === undefined) return [];
      return [{ account, observation, ownTraces: tracesOf(question.planned, tenantId) }];
    });
  }

  /** Asks once; returns the tenants of which something was refused, and those without a hash. */
  async #deduct(questions: readonly TenantDeltas[]): Promise<{ refused: TenantDeltas[]; unhydrated: TenantDeltas[] }> {
    const { scripts, clock } = this.#options;
    const replies = await scripts.deduct(questions, clock.nowMs());
    const [refused, unhydrated]: [TenantDeltas[], TenantDeltas[]] = [[], []];
    for (let index = 0; index < questions.length; index += 1) {
      const question = questions[index];
      const reply = replies[index];
      invariant(question !== undefined && reply !== undefined, 'every tenant asked about has a reply');
      if (reply.kind === 'unhydrated') unhydrated.push(question);
      else if (isRefusedIn(reply)) refused.push(question);
    }
    return { refused, unhydrated };
  }

  async #hydrate(questions: readonly TenantDeltas[], accounts: ReadonlyMap<string, Account>): Promise<void> {
    const projections = questions.map(({ tenantId }): TenantProjection => {
      const account = accounts.get(tenantId);
      invariant(account !== undefined, 'every tenant asked about has a locked account', { tenantId });
      return { tenantId, expectedVersion: null, onlyIfNoInflight: true, hash: quotaHashOf(account), drop: [] };
    });
    await this.#options.scripts.project(projections);
  }

  /** Step 3. */
  async #settle(contested: readonly ContestedTenant[], wanted: QuotaQuestion['wanted']): Promise<void> {
    const { scripts, clock } = this.#options;
    const broken = contested.filter((tenant) => this.#isBroken(tenant)).map(({ account }) => account.tenantId);
    if (broken.length > 0) await scripts.mendBroken(broken);
    const decided = contested.flatMap(({ account: { tenantId, seq } }): TenantDeltas[] => {
      const booked = wanted.get(tenantId) ?? [];
      return booked.length === 0 ? [] : [{ tenantId, ledgerSeq: seq, items: decidedItems(booked) }];
    });
    if (decided.length > 0) await scripts.deduct(decided, clock.nowMs());
  }

  #isBroken(tenant: ContestedTenant): boolean {
    const { isBroken, differs } = hashStateOf(tenant);
    const { tenantId, seq } = tenant.account;
    if (isBroken || differs)
      this.#options.logger.error(
        { tenantId, seq },
        'what Redis has of a tenant was changed by somebody else: setting it right',
      );
    return isBroken;
  }

  /** Does something within the deadline; undefined when Redis failed or was too slow. */
  async #inTime<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      const done = await withDeadline(work(), this.#options.deadlineMs);
      this.#noteBack();
      return done;
    } catch (error) {
      this.#noteAway(error);
      return undefined;
    }
  }

  /** A clock that has stepped back since the failure ends the pause, instead of making it as long as the step. */
  #isPaused(): boolean {
    const sinceMs = this.#options.clock.nowMs() - this.#failedAtMs;
    return sinceMs >= 0 && sinceMs < PAUSE_AFTER_FAILURE_MS;
  }

  #noteAway(error: unknown): void {
    const { clock, logger } = this.#options;
    this.#failedAtMs = clock.nowMs();
    if (!this.#isAway) logger.warn({ err: error }, 'Redis does not answer: PostgreSQL decides');
    this.#isAway = true;
  }

  #noteBack(): void {
    if (this.#isAway) this.#options.logger.info('Redis answers again');
    this.#isAway = false;
  }
}

function seqOf(accounts: ReadonlyMap<string, Account>, tenantId: string): number {
  return accounts.get(tenantId)?.seq ?? 0;
}

function isRefusedIn(reply: TenantReply): boolean {
  return reply.kind === 'decided' && reply.items.some(({ kind }) => kind === 'refused');
}

function tracesOf(planned: readonly PlannedItem[], tenantId: string): ReadonlySet<string> {
  const traces = new Set<string>();
  for (const each of planned) {
    if (each.kind === 'entry' && each.item.tenantId === tenantId) traces.add(each.item.event.traceId);
  }
  return traces;
}

/**
 * Settles with the work, or rejects with REDIS_UNAVAILABLE at the deadline; the work then goes on unobserved. A reply that
 * waits in the socket when the deadline has passed still counts: it was this process that was busy, and not Redis late.
 */
async function withDeadline<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    const late = (): void =>
      reject(new TollbookError('REDIS_UNAVAILABLE', `Redis did not answer within ${deadlineMs} ms`));
    timer = setTimeout(() => setImmediate(late), deadlineMs);
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
