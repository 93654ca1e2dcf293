/**
 * Owns: step 5 of the charge protocol: asking Redis for the deltas of a chunk, within a deadline.
 * Does not own: the rule (Lua and quota-rule.ts), nor what happens where Redis gives no answer: then the locked account
 * alone decides, by the same rule.
 * Invariants: never throws and never waits longer than the deadline; a tenant whose hash is missing is hydrated from its
 * locked account, which is the ledger at its seq, and asked once more; a hash ahead of the account is never touched, for
 * the account may be an old one: of a writer that was paused and overtaken, or of a question that reached Redis after the
 * deadline. Whether the ledger itself is behind is the projector's to find out. After a failure Redis is left alone for a
 * moment, so that chunks do not each wait for the deadline.
 */
import type { Account } from '../ledger/account.js';
import type { QuotaRefusal } from '../ledger/quota-rule.js';
import type { OverlayItem, QuotaScripts, TenantDeltas, TenantProjection, TenantReply } from '../lua/quota-scripts.js';
import { quotaHashOf } from '../projections/quota-hash-of.js';
import type { Clock } from '../runtime/clock.js';
import { TollbookError, invariant } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';
import type { PlannedEntry, PlannedItem } from './chunk-plan.js';

/** What the charge protocol asks of whoever decides beside the ledger. */
export interface QuotaGate {
  /** Returns what was refused; an entry that is absent was granted, or nobody could be asked. Never rejects. */
  refusals(
    planned: readonly PlannedItem[],
    accounts: ReadonlyMap<string, Account>,
  ): Promise<Map<PlannedEntry, QuotaRefusal>>;
}

/** Settings of the gate; times in milliseconds. */
export interface RedisQuotaGateOptions {
  readonly scripts: QuotaScripts;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How long Redis is left alone after it failed or was too slow: short, since a chunk without it is still right. */
const PAUSE_AFTER_FAILURE_MS = 500;

/** The tenants of a chunk with the planned entries behind each item, in the same order. */
interface TenantQuestion {
  readonly deltas: TenantDeltas;
  readonly entries: readonly PlannedEntry[];
}

/** Asks Redis, as long as it answers in time. */
export class RedisQuotaGate implements QuotaGate {
  readonly #options: RedisQuotaGateOptions;
  #failedAtMs = -Infinity;
  #isAway = false;

  constructor(options: RedisQuotaGateOptions) {
    this.#options = options;
  }

  async refusals(
    planned: readonly PlannedItem[],
    accounts: ReadonlyMap<string, Account>,
  ): Promise<Map<PlannedEntry, QuotaRefusal>> {
    const questions = questionsOf(planned, accounts);
    if (questions.length === 0 || this.#isPaused()) return new Map();
    try {
      const refusals = await withDeadline(this.#ask(questions, accounts), this.#options.deadlineMs);
      this.#noteBack();
      return refusals;
    } catch (error) {
      this.#noteAway(error);
      return new Map();
    }
  }

  async #ask(
    questions: readonly TenantQuestion[],
    accounts: ReadonlyMap<string, Account>,
  ): Promise<Map<PlannedEntry, QuotaRefusal>> {
    const refusals = new Map<PlannedEntry, QuotaRefusal>();
    const unhydrated = await this.#deduct(questions, refusals);
    if (unhydrated.length === 0) return refusals;
    await this.#hydrate(unhydrated, accounts);
    await this.#deduct(unhydrated, refusals);
    return refusals;
  }

  /** Asks once, collects refusals, and returns the tenants without a hash. */
  async #deduct(
    questions: readonly TenantQuestion[],
    refusals: Map<PlannedEntry, QuotaRefusal>,
  ): Promise<TenantQuestion[]> {
    const { scripts, clock } = this.#options;
    const replies = await scripts.deduct(questions.map(deltasOf), clock.nowMs());
    const unhydrated: TenantQuestion[] = [];
    for (let index = 0; index < questions.length; index += 1) {
      const question = questions[index];
      const reply = replies[index];
      invariant(question !== undefined && reply !== undefined, 'every tenant asked about has a reply');
      if (reply.kind === 'decided') collectRefusals(question, reply, refusals);
      else if (reply.kind === 'unhydrated') unhydrated.push(question);
    }
    return unhydrated;
  }

  async #hydrate(questions: readonly TenantQuestion[], accounts: ReadonlyMap<string, Account>): Promise<void> {
    const projections = questions.map(({ deltas: { tenantId } }): TenantProjection => {
      const account = accounts.get(tenantId);
      invariant(account !== undefined, 'every tenant asked about has a locked account', { tenantId });
      return { tenantId, expectedVersion: null, onlyIfNoInflight: true, hash: quotaHashOf(account), drop: [] };
    });
    await this.#options.scripts.project(projections);
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

/** The deltas of a chunk by tenant; entries that change nothing in Redis are left out. */
function questionsOf(planned: readonly PlannedItem[], accounts: ReadonlyMap<string, Account>): TenantQuestion[] {
  const byTenant = new Map<string, PlannedEntry[]>();
  for (const entry of planned) {
    if (entry.kind !== 'entry' || !touchesRedis(entry)) continue;
    const known = byTenant.get(entry.item.tenantId);
    if (known === undefined) byTenant.set(entry.item.tenantId, [entry]);
    else known.push(entry);
  }
  const questions: TenantQuestion[] = [];
  for (const [tenantId, entries] of byTenant) {
    const ledgerSeq = accounts.get(tenantId)?.seq ?? 0;
    questions.push({ deltas: { tenantId, ledgerSeq, items: entries.map(itemOf) }, entries });
  }
  return questions;
}

function deltasOf({ deltas }: TenantQuestion): TenantDeltas {
  return deltas;
}

function itemOf({ item, intent }: PlannedEntry): OverlayItem {
  return { traceId: item.event.traceId, phase: intent.phase, delta: intent.delta };
}

function touchesRedis({ intent }: PlannedEntry): boolean {
  return intent.reserves && (intent.delta.availableNano !== 0n || intent.delta.requests !== 0);
}

function collectRefusals(
  { entries }: TenantQuestion,
  reply: TenantReply & { kind: 'decided' },
  refusals: Map<PlannedEntry, QuotaRefusal>,
): void {
  for (let index = 0; index < entries.length; index += 1) {
    const entry = entries[index];
    const item = reply.items[index];
    if (entry !== undefined && item?.kind === 'refused') refusals.set(entry, item.refusal);
  }
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
