/**
 * Owns: a ledger in memory, made of nothing but the pure core: decide, ask the rule, book, fold.
 * Does not own: chunks, Redis, storage. The state of a trace is read back from its last entry, as the store does it.
 */
import { type Account, type AccountTerms, emptyAccount } from '../../src/ledger/account.js';
import { type Booked, bookIntent, bookOpening, type EntryOrigin } from '../../src/ledger/charge.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import type { UsageEvent } from '../../src/ledger/events.js';
import { decideExpiry } from '../../src/ledger/expiry.js';
import { amountNano } from '../../src/ledger/money.js';
import { refusalOf } from '../../src/ledger/quota-rule.js';
import { decide, type EntryIntent, NO_TRACE, type TraceState } from '../../src/ledger/trace.js';
import { invariant } from '../../src/runtime/errors.js';

/** The ledger of one tenant: its account and every entry since the opening. */
export interface MemoryLedger {
  readonly opened: Account;
  account: Account;
  readonly entries: LedgerEntry[];
}

/** Something that happens to a tenant, in the order of the log. */
export type Happening = UsageEvent | { readonly kind: 'expiry'; readonly tenantId: string; readonly traceId: string };

const EXPIRED_AT = '2026-03-16T00:00:00.000Z';
const ESTIMATES = { outputTokensDefault: 4096, outputTokensMax: null };
const SOURCE = { topic: 'memory', partition: 0 };

/** Opens an account with its opening entry; the opening balance is a fact that precedes the ledger. */
export function openLedger(tenantId: string, terms: AccountTerms, balanceNano: bigint): MemoryLedger {
  const empty = emptyAccount({ tenantId, currency: 'USD', day: '2026-03-14' }, terms);
  const opened = { ...empty, balanceNano: amountNano(balanceNano) };
  const source = { ...SOURCE, kafkaOffset: 0n };
  const { entry, account } = bookOpening(opened, { source, occurredAt: '2026-03-14T00:00:00.000Z' });
  return { opened, account, entries: [entry] };
}

/** Lets something happen; returns the entry it became, if any. */
export function deliver(ledger: MemoryLedger, happening: Happening, kafkaOffset: bigint): LedgerEntry | undefined {
  const state = stateOf(ledger, happening.traceId);
  const intent =
    happening.kind === 'expiry' ? expiryOf(ledger, state, happening.traceId) : intentOf(ledger, state, happening);
  if (intent === undefined) return undefined;
  const occurredAt = happening.kind === 'expiry' ? EXPIRED_AT : happening.occurredAt;
  const origin = { traceId: happening.traceId, occurredAt, source: { ...SOURCE, kafkaOffset } };
  const booked = book(ledger, intent, origin);
  ledger.account = booked.account;
  ledger.entries.push(booked.entry);
  return booked.entry;
}

function intentOf(ledger: MemoryLedger, state: TraceState, event: UsageEvent): EntryIntent | undefined {
  invariant(event.pricing !== undefined, 'every event of a property carries pricing');
  const decision = decide(state, event, {
    pricing: event.pricing,
    holdPolicy: ledger.account.holdPolicy,
    estimates: ESTIMATES,
  });
  return decision.kind === 'entry' ? decision.intent : undefined;
}

function book(ledger: MemoryLedger, intent: EntryIntent, origin: EntryOrigin): Booked {
  const refusal = intent.refusedAs === null ? undefined : refusalOf(ledger.account, intent.delta);
  const booked = bookIntent(ledger.account, origin, { intent, refusal });
  invariant(booked !== undefined, 'the amounts of a property stay far below 2^63 nano-units');
  return booked;
}

/** What the sweeper wants of a hold past its time. */
function expiryOf(ledger: MemoryLedger, state: TraceState, traceId: string): EntryIntent | undefined {
  const entry = lastOf(ledger, traceId);
  if (entry === undefined) return undefined;
  const decision = decideExpiry(state, { entry, expiresAt: EXPIRED_AT });
  return decision.kind === 'expired' ? decision.intent : undefined;
}

function lastOf(ledger: MemoryLedger, traceId: string): LedgerEntry | undefined {
  return ledger.entries.filter((entry) => entry.traceId === traceId).at(-1);
}

/** What the ledger says about a trace, read back from its last entry. */
export function stateOf(ledger: MemoryLedger, traceId: string): TraceState {
  const last = lastOf(ledger, traceId);
  switch (last?.status) {
    case undefined:
      return NO_TRACE;
    case 'PENDING':
      return {
        status: 'PENDING',
        heldNano: amountNano(last.heldAfterNano - last.heldBeforeNano),
        countedOn: last.countedOn,
      };
    case 'COMMITTED':
    case 'FAILED':
      return { status: last.status, content: last };
    case 'REFUSED':
    case 'VOIDED':
    case 'EXPIRED':
      return { status: last.status };
  }
}
