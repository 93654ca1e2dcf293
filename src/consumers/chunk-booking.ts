/**
 * Owns: step 6 of the charge protocol up to the write: entries, accounts, holds and counts of a planned chunk.
 * Does not own: the plan (chunk-plan.ts), nor the write itself (the ledger store).
 * Invariants: pure; an intent is granted only where Redis (if it answered) and the locked account both grant it, so the
 * ledger is right even when Redis has lost something; entries are ordered by (kafka offset, seq).
 */
import type { Account, HoldPolicy } from '../ledger/account.js';
import type { BatchContent } from '../ledger/append-sealed.js';
import type { StreamSource } from '../ledger/batch.js';
import { type Booked, bookIntent, bookOpening } from '../ledger/charge.js';
import type { DeadLetter } from '../ledger/dead-letter.js';
import type { LedgerEntry } from '../ledger/entry.js';
import type { OpenHold, SkippedEvent, TraceKey, UnpricedUsage } from '../ledger/ledger-store.js';
import { monthOf, type QuotaRefusal, refusalOf } from '../ledger/quota-rule.js';
import { invariant, unreachable } from '../runtime/errors.js';
import type { ChunkOpening, PlannedEntry, PlannedItem } from './chunk-plan.js';
import { type ChunkMessage, deadLetter } from './intake.js';

/** What a chunk is booked from. */
export interface BookingInput {
  readonly source: StreamSource;
  readonly planned: readonly PlannedItem[];
  readonly accounts: ReadonlyMap<string, Account>;
  /** What Redis refused; an entry that it granted, or was not asked about, is absent. */
  readonly refusals: ReadonlyMap<PlannedEntry, QuotaRefusal>;
  /** When the holds opened by this chunk expire (ISO 8601 UTC), by the hold policy they are taken under. */
  readonly holdExpiresAt: Readonly<Record<HoldPolicy, string>>;
}

/** Books a planned chunk: one pass, in order. */
export function bookChunk(input: BookingInput): BatchContent {
  const book = new ChunkBook(input);
  for (const planned of input.planned) book.add(planned);
  return book.close();
}

/** What a chunk has done to one tenant so far. */
interface TenantBook {
  account: Account;
  /** Where its entries stand among those of the chunk. */
  readonly places: number[];
}

class ChunkBook {
  readonly #input: BookingInput;
  readonly #tenants = new Map<string, TenantBook>();
  readonly #entries: LedgerEntry[] = [];
  readonly #holdsOpened: OpenHold[] = [];
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

  close(): BatchContent {
    const accounts: Account[] = [];
    const places = new Map<string, readonly number[]>();
    for (const [tenantId, book] of this.#tenants) {
      if (book.places.length === 0) continue;
      accounts.push(book.account);
      places.set(tenantId, book.places);
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
      accounts,
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
    const refusal = intent.refusedAs === null ? undefined : this.#refusalOf(planned, account);
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
    this.#trackHold(booked, intent.settlesHold);
  }

  /** Redis may refuse for a window that it still takes for the open one; the account knows that the window is past. */
  #refusalOf(planned: PlannedEntry, account: Account): QuotaRefusal | undefined {
    const { delta } = planned.intent;
    const byRedis = this.#input.refusals.get(planned);
    const isPast =
      (byRedis?.code === 'DAILY_QUOTA_EXCEEDED' && delta.day < account.dailyDate) ||
      (byRedis?.code === 'MONTHLY_QUOTA_EXCEEDED' && monthOf(delta.day) < account.monthlyMonth);
    return byRedis === undefined || isPast ? refusalOf(account, delta) : byRedis;
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
    const expiresAt = this.#input.holdExpiresAt[account.holdPolicy];
    this.#holdsOpened.push({ tenantId, traceId, amountNano, countedOn, expiresAt });
  }

  #bookOf(tenantId: string): TenantBook {
    const known = this.#tenants.get(tenantId);
    if (known !== undefined) return known;
    const account = this.#input.accounts.get(tenantId);
    invariant(account !== undefined, 'every planned entry has a locked account', { tenantId });
    const book: TenantBook = { account, places: [] };
    this.#tenants.set(tenantId, book);
    return book;
  }

  #sourceOf({ kafkaOffset }: ChunkMessage): LedgerEntry['source'] {
    const { topic, partition } = this.#input.source;
    return { topic, partition, kafkaOffset };
  }
}
