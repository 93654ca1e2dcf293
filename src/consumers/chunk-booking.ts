/**
 * Owns: what a planned chunk comes to: entries, accounts, holds and counts, and what of it Redis is to be told.
 * Does not own: the plan (chunk-plan.ts), asking Redis (quota-gate.ts), nor the write itself (the ledger store).
 * Invariants: pure; the locked account decides, less what others have in flight where that is known. Redis is told what is
 * granted and nothing else: what is refused, or leaves the range of amounts, is never put in flight. Entries are ordered by
 * (kafka offset, seq).
 */
import type { Account, HoldPolicy } from '../ledger/account.js';
import type { BatchContent } from '../ledger/append-sealed.js';
import type { StreamSource } from '../ledger/batch.js';
import { type Booked, bookIntent, bookOpening } from '../ledger/charge.js';
import type { DeadLetter } from '../ledger/dead-letter.js';
import type { LedgerEntry } from '../ledger/entry.js';
import type { OpenHold, SkippedEvent, TraceKey, UnpricedUsage } from '../ledger/ledger-store.js';
import { NOTHING_IN_FLIGHT, type OthersInFlight, type QuotaRefusal, refusalOf } from '../ledger/quota-rule.js';
import type { OverlayItem } from '../lua/quota-scripts.js';
import type { EntryIntent } from '../ledger/trace.js';
import { invariant, unreachable } from '../runtime/errors.js';
import type { ChunkOpening, PlannedEntry, PlannedItem } from './chunk-plan.js';
import { type ChunkMessage, deadLetter } from './intake.js';

/** What a chunk is booked from. */
export interface BookingInput {
  readonly source: StreamSource;
  readonly planned: readonly PlannedItem[];
  readonly accounts: ReadonlyMap<string, Account>;
  /** What others have in flight, of the tenants where it is known. */
  readonly others: ReadonlyMap<string, OthersInFlight>;
}

/** A chunk that is booked and not written yet. */
export interface BookedChunk {
  /** The accounts that changed, at their new seq. */
  readonly accounts: readonly Account[];
  /** By tenant, what its granted entries change of what is available, in order. */
  readonly wanted: ReadonlyMap<string, readonly OverlayItem[]>;
  /** What is written; `holdExpiresAt` is when its holds expire (ISO 8601 UTC), by the hold policy they are taken under. */
  contentWith(holdExpiresAt: Readonly<Record<HoldPolicy, string>>): BatchContent;
}

/** Books a planned chunk: one pass, in order. */
export function bookChunk(input: BookingInput): BookedChunk {
  const book = new ChunkBook(input);
  for (const planned of input.planned) book.add(planned);
  return book;
}

/** What a chunk has done to one tenant so far. */
interface TenantBook {
  account: Account;
  /** Where its entries stand among those of the chunk. */
  readonly places: number[];
  readonly wanted: OverlayItem[];
  readonly others: OthersInFlight;
}

/** A hold whose end is not known before its batch is sealed. */
type HoldDraft = { -readonly [K in keyof OpenHold]: OpenHold[K] };

class ChunkBook {
  readonly #input: BookingInput;
  readonly #tenants = new Map<string, TenantBook>();
  readonly #entries: LedgerEntry[] = [];
  readonly #holdsOpened: HoldDraft[] = [];
  /** The hold policy of each. */
  readonly #holdPolicies: HoldPolicy[] = [];
  readonly #holdsClosed: TraceKey[] = [];
  readonly #deadLetters: DeadLetter[] = [];
  readonly #skipped: SkippedEvent[] = [];
  readonly #unpriced: UnpricedUsage[] = [];
  #duplicates = 0;
  #superseded = 0;
  #openings = 0;

  constructor(input: BookingInput) {
    this.#input = input;
  }

  add(planned: PlannedItem): void {
    switch (planned.kind) {
      case 'opening':
        return this.#open(planned.opening);
      case 'entry':
        return this.#charge(planned);
      case 'duplicate':
        this.#duplicates += 1;
        return;
      case 'superseded':
        this.#superseded += 1;
        return;
      case 'unpriced':
        this.#unpriced.push(planned.parked);
        return;
      case 'skipped':
        this.#skipped.push(planned.skipped);
        return;
      case 'deadLetter':
        this.#deadLetters.push(planned.letter);
        return;
      default:
        return unreachable(planned);
    }
  }

  get accounts(): Account[] {
    const changed: Account[] = [];
    for (const book of this.#tenants.values()) if (book.places.length > 0) changed.push(book.account);
    return changed;
  }

  get wanted(): Map<string, readonly OverlayItem[]> {
    const wanted = new Map<string, readonly OverlayItem[]>();
    for (const [tenantId, book] of this.#tenants) if (book.wanted.length > 0) wanted.set(tenantId, book.wanted);
    return wanted;
  }

  contentWith(holdExpiresAt: Readonly<Record<HoldPolicy, string>>): BatchContent {
    const places = new Map<string, readonly number[]>();
    for (const [tenantId, book] of this.#tenants) if (book.places.length > 0) places.set(tenantId, book.places);
    for (const [index, hold] of this.#holdsOpened.entries()) {
      hold.expiresAt = holdExpiresAt[this.#holdPolicies[index] ?? 'estimate'];
    }
    return {
      counts: {
        charged: this.#entries.length - this.#openings,
        openings: this.#openings,
        duplicates: this.#duplicates,
        superseded: this.#superseded,
        skipped: this.#skipped.length,
        unpriced: this.#unpriced.length,
        deadLetters: this.#deadLetters.length,
      },
      entries: this.#entries,
      places,
      accounts: this.accounts,
      holdsOpened: this.#holdsOpened,
      holdsClosed: this.#holdsClosed,
      deadLetters: this.#deadLetters,
      skipped: this.#skipped,
      unpriced: this.#unpriced,
    };
  }

  #open({ tenantId, openedBy }: ChunkOpening): void {
    const { event, message } = openedBy;
    const source = this.#sourceOf(message);
    const book = this.#bookOf(tenantId);
    this.#write(book, bookOpening(book.account, { source, occurredAt: event.occurredAt }));
    this.#openings += 1;
  }

  #charge(planned: PlannedEntry): void {
    const { item, intent } = planned;
    const book = this.#bookOf(item.tenantId);
    const { account } = book;
    const refusal = intent.refusedAs === null ? undefined : refusalBy(book, intent);
    const { traceId, occurredAt } = item.event;
    const booked = bookIntent(
      account,
      { traceId, occurredAt, source: this.#sourceOf(item.message) },
      { intent, refusal },
    );
    if (booked === undefined) {
      const detail =
        'the balance after this event would be 2^63 nano-units or more; allowed: below 9223372036.854775808';
      this.#deadLetters.push(deadLetter(item.message, { reason: 'AMOUNT_OUT_OF_RANGE', detail, event: item.event }));
      return;
    }
    this.#write(book, booked);
    const wanted = refusal === undefined ? wantedOf(planned) : undefined;
    if (wanted !== undefined) book.wanted.push(wanted);
    this.#trackHold(booked, intent.settlesHold);
  }

  #write(book: TenantBook, { entry, account }: Booked): void {
    book.places.push(this.#entries.length);
    book.account = account;
    this.#entries.push(entry);
  }

  #trackHold({ entry, account }: Booked, settlesHold: boolean): void {
    const { tenantId, traceId } = entry;
    if (settlesHold) this.#holdsClosed.push({ tenantId, traceId });
    if (entry.status !== 'PENDING') return;
    const amountNano = (entry.heldAfterNano - entry.heldBeforeNano) as OpenHold['amountNano'];
    const { countedOn } = entry;
    this.#holdsOpened.push({ tenantId, traceId, amountNano, countedOn, expiresAt: '' });
    this.#holdPolicies.push(account.holdPolicy);
  }

  #bookOf(tenantId: string): TenantBook {
    const known = this.#tenants.get(tenantId);
    if (known !== undefined) return known;
    const account = this.#input.accounts.get(tenantId);
    invariant(account !== undefined, 'every planned entry has a locked account', { tenantId });
    const others = this.#input.others.get(tenantId) ?? NOTHING_IN_FLIGHT;
    const book: TenantBook = { account, places: [], wanted: [], others };
    this.#tenants.set(tenantId, book);
    return book;
  }

  #sourceOf({ kafkaOffset }: ChunkMessage): LedgerEntry['source'] {
    const { topic, partition } = this.#input.source;
    return { topic, partition, kafkaOffset };
  }
}

/** What reserves nothing is a check of the account alone: it takes nothing from what others have in flight. */
function refusalBy({ account, others }: TenantBook, { delta, reserves }: EntryIntent): QuotaRefusal | undefined {
  return refusalOf(account, delta, reserves ? others : NOTHING_IN_FLIGHT);
}

/** What a granted entry changes of what is available; undefined when that is nothing. */
function wantedOf({ item, intent }: PlannedEntry): OverlayItem | undefined {
  const { phase, delta, reserves } = intent;
  if (!reserves || (delta.availableNano === 0n && delta.requests === 0)) return undefined;
  return { traceId: item.event.traceId, phase, delta };
}
