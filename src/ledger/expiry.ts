/**
 * Owns: the end of holds whose time is over: the EXPIRED entry of each, and the database transaction that books some of
 * them (the last column of the table in trace.ts).
 *
 *  1. Lock the cursor of the command stream: of two sweepers with the same holds, the second waits here.
 *  2. Lock the accounts in ascending order, then read the traces. A completion, a void or another sweeper either ended
 *     the trace before, and the hold is left out; or waits for the account, and finds the trace EXPIRED.
 *  3. Book an entry for each trace that is still PENDING, seal them as one batch, close the holds, advance the cursor.
 *
 * A crash before the commit leaves nothing; after it, hashes in Redis that show the holds until they are projected.
 * Does not own: when it runs (src/consumers/hold-expiry.ts), nor Redis: what is held there goes with the projection.
 */
import { invariant } from '../runtime/errors.js';
import type { Account } from './account.js';
import { appendSealed, type BatchContent, sealingTime } from './append-sealed.js';
import type { StreamSource } from './batch.js';
import { bookIntent } from './charge.js';
import { batchContent, lockCommandCursor } from './commands/command-stream.js';
import type { EntrySource, LedgerEntry } from './entry.js';
import { releaseIntent } from './hold-release.js';
import { type LedgerStore, type TraceKey, traceKey } from './ledger-store.js';
import { dayOf, type EntryIntent, NO_TRACE, type TraceState } from './trace.js';

/** A hold past its time: the PENDING entry that opened it, and when its time was over (ISO 8601 UTC). */
export interface DueHold {
  readonly entry: LedgerEntry;
  readonly expiresAt: string;
}

/** Finds holds past their time; everything it returns is committed, and may be settled by now. */
export interface DueHolds {
  /** At most `limit` holds that expired at or before `nowMs`, the oldest first; each trace once. */
  readDue(nowMs: number, limit: number): Promise<DueHold[]>;
}

/** What becomes of a hold past its time: an entry, or nothing when its trace has come to another end. */
export type ExpiryDecision = { readonly kind: 'expired'; readonly intent: EntryIntent } | { readonly kind: 'settled' };

/** Why an EXPIRED entry is there. */
const EXPIRED_DESCRIPTION = 'hold expired';

/** Decides what becomes of a hold past its time; `state` is that of its trace. */
export function decideExpiry(state: TraceState, { entry, expiresAt }: DueHold): ExpiryDecision {
  if (state.status !== 'PENDING') return { kind: 'settled' };
  const { usage, currency } = entry;
  const day = dayOf(expiresAt);
  const end = { status: 'EXPIRED', description: EXPIRED_DESCRIPTION, day, settlesHold: true, usage, currency } as const;
  return { kind: 'expired', intent: releaseIntent(state, end) };
}

/** What booking runs on. */
export interface ExpiryPorts {
  readonly store: LedgerStore;
  readonly clock: { nowMs(): number };
}

/** The holds that were expired, and the tenants whose ledger moved; both empty when all were settled meanwhile. */
export interface ExpiredHolds {
  readonly expired: number;
  readonly tenantIds: readonly string[];
}

/**
 * Expires the holds of one command stream that are still open; each trace is named once.
 * Atomic: one database transaction. Idempotent: a trace expires once. Throws FENCED, POSTGRES_*.
 */
export async function expireHolds(
  { store, clock }: ExpiryPorts,
  source: StreamSource,
  due: readonly DueHold[],
): Promise<ExpiredHolds> {
  return store.transact(async (transaction) => {
    const cursor = await lockCommandCursor(transaction, source);
    const accounts = await transaction.lockAccounts([...new Set(due.map(({ entry }) => entry.tenantId))]);
    const traces = await transaction.readTraces(due.map(({ entry }) => entry));
    const content = bookExpiries(due, { accounts, traces, origin: { ...source, kafkaOffset: cursor.nextOffset } });
    const expired = content.entries.length;
    if (expired > 0) {
      const nextOffset = cursor.nextOffset + BigInt(expired);
      const sealedAtMs = sealingTime(clock.nowMs(), accounts.values());
      await appendSealed(transaction, content, { cursor, nextOffset, sealedAtMs });
    }
    return { expired, tenantIds: content.accounts.map(({ tenantId }) => tenantId) };
  });
}

/** What is locked and read while holds are booked. */
export interface ExpiryKnowledge {
  readonly accounts: ReadonlyMap<string, Account>;
  /** Keys as `traceKey` writes them. */
  readonly traces: ReadonlyMap<string, TraceState>;
  /** The position of the first entry; each has a number of its own, so that its position names it. */
  readonly origin: EntrySource;
}

/** Books the holds that are still open: entries in the order given, and what else the batch writes. */
export function bookExpiries(due: readonly DueHold[], knowledge: ExpiryKnowledge): BatchContent {
  const accounts = new Map<string, Account>();
  const entries: LedgerEntry[] = [];
  for (const hold of due) {
    const { tenantId, traceId, seq } = hold.entry;
    const decision = decideExpiry(knowledge.traces.get(traceKey(hold.entry)) ?? NO_TRACE, hold);
    if (decision.kind === 'settled') continue;
    const account = accounts.get(tenantId) ?? knowledge.accounts.get(tenantId);
    invariant(account !== undefined, 'every hold has a locked account', { tenantId, traceId });
    const source = { ...knowledge.origin, kafkaOffset: knowledge.origin.kafkaOffset + BigInt(entries.length) };
    const origin = { traceId, source, occurredAt: hold.expiresAt, referenceSeq: seq };
    const booked = bookIntent(account, origin, { intent: decision.intent, refusal: undefined });
    invariant(booked !== undefined, 'giving back a hold stays in range', { tenantId, traceId });
    accounts.set(tenantId, booked.account);
    entries.push(booked.entry);
  }
  const holdsClosed = entries.map(({ tenantId, traceId }): TraceKey => ({ tenantId, traceId }));
  return batchContent({ counts: { charged: entries.length }, entries, accounts: [...accounts.values()], holdsClosed });
}
