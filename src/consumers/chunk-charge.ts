/**
 * Owns: steps 3 to 6 of the charge protocol (its header, charge-protocol.ts, tells them and what a crash leaves): from
 * decoded messages and a locked cursor to a sealed batch. A redrive of dead letters runs the very same steps.
 * Does not own: where the messages come from, the cursor, nor the commit.
 */
import type { Account, AccountTerms, HoldPolicy } from '../ledger/account.js';
import { appendTogether, type BatchContent, placesOf, sealingTime } from '../ledger/append-sealed.js';
import type { SealedBatch } from '../ledger/batch.js';
import type { LedgerEntry } from '../ledger/entry.js';
import type { LedgerAdvance, TraceStep } from '../ledger/ledger-reader.js';
import type { ChargedLog } from '../ledger/charged-log.js';
import type { Cursor, LedgerTransaction, LockedAccount, Standing, TraceKey } from '../ledger/ledger-store.js';
import { spanOf } from '../ledger/price-book.js';
import type { EstimateLimits } from '../ledger/pricing.js';
import type { OthersInFlight } from '../ledger/quota-rule.js';
import { dayOf } from '../ledger/trace.js';
import type { OverlayItem } from '../lua/quota-scripts.js';
import type { Clock } from '../runtime/clock.js';
import { invariant } from '../runtime/errors.js';
import { faultPoint, poisonPoint } from '../runtime/fault-points.js';
import { type BookedChunk, bookChunk } from './chunk-booking.js';
import {
  type ChunkKnowledge,
  type ChunkOpening,
  type ChunkPriceBook,
  isUnpriced,
  type LedgerBounds,
  planChunk,
  type PlannedItem,
} from './chunk-plan.js';
import type { BillableEvent, IntakeItem, UnquotedEvent } from './intake.js';
import type { QuotaGate } from './quota-gate.js';

/** What charging works with. */
export interface ChargePorts {
  readonly gate: QuotaGate;
  readonly clock: Clock;
  readonly defaults: { readonly currency: string; readonly terms: AccountTerms };
  /** How long a hold stays open without a completion, by the hold policy it was taken under. */
  readonly holdTtlMs: Readonly<Record<HoldPolicy, number>>;
  readonly estimates: EstimateLimits;
  /** The price book that prices events without pricing; undefined: they are skipped. */
  readonly priceBook?: string | undefined;
  readonly bounds?: LedgerBounds | undefined;
}

/** Decoded messages of one source, in order, none of them charged before; the cursor is locked. */
export interface ChargeItems {
  readonly cursor: Cursor;
  readonly items: readonly IntakeItem[];
  readonly nextOffset: bigint;
  /** What is known of the log once they are charged. */
  readonly log?: ChargedLog | undefined;
}

/** What was sealed of one source. */
export interface ChargedItems {
  readonly batch: SealedBatch;
  readonly content: BatchContent;
  /** What each item came to, in order, and the opening before the item that caused it. */
  readonly planned: readonly PlannedItem[];
}

/** How far a batch moves the ledger of each tenant. */
export function advancesOf(content: BatchContent): LedgerAdvance[] {
  const places = placesOf(content);
  const advances: LedgerAdvance[] = [];
  for (const account of content.accounts) {
    const ofTenant = places.get(account.tenantId) ?? [];
    advances.push({ account, sinceSeq: account.seq - ofTenant.length, steps: stepsAt(ofTenant, content.entries) });
  }
  return advances;
}

function stepsAt(places: readonly number[], entries: readonly LedgerEntry[]): TraceStep[] {
  const steps: TraceStep[] = [];
  for (const place of places) {
    const entry = entries[place];
    invariant(entry !== undefined, 'every place is that of an entry');
    const { tenantId, traceId, seq, status } = entry;
    if (entry.type === 'DEDUCT') steps.push({ tenantId, traceId, seq, status });
  }
  return steps;
}

/** Charges items in the caller's database transaction. Throws FENCED, POSTGRES_*. */
export async function chargeItems(
  ports: ChargePorts,
  transaction: LedgerTransaction,
  items: ChargeItems,
): Promise<ChargedItems> {
  const [charged] = await chargeTogether(ports, transaction, [items]);
  invariant(charged !== undefined, 'items of one source are one batch');
  return charged;
}

/**
 * Charges items of different sources in the caller's database transaction, as if they came one source after the other: a
 * batch each, and everything else once for all. Throws FENCED, POSTGRES_*.
 */
export async function chargeTogether(
  ports: ChargePorts,
  transaction: LedgerTransaction,
  sources: readonly ChargeItems[],
): Promise<ChargedItems[]> {
  const items = sources.flatMap((source) => source.items);
  const knowledge = await lockAndRead(ports, transaction, items);
  poisonPoint('charge.deciding', () => items.flatMap(traceOf));
  const planned = planChunk(items, knowledge, ports.estimates);
  return bookPlanned(ports, transaction, { sources, planned, knowledge });
}

function traceOf(item: IntakeItem): string[] {
  return item.kind === 'deadLetter' ? [] : [item.event.traceId];
}

interface PlannedSources {
  readonly sources: readonly ChargeItems[];
  /** Of all sources, in their order. */
  readonly planned: readonly PlannedItem[];
  readonly knowledge: LockedKnowledge;
}

/** What is known of a chunk's accounts and traces, the accounts being locked. */
interface LockedKnowledge extends ChunkKnowledge {
  readonly accounts: ReadonlyMap<string, LockedAccount>;
}

/** The rest of step 4, then steps 5 and 6 up to the commit. */
async function bookPlanned(
  { gate, clock, holdTtlMs }: ChargePorts,
  transaction: LedgerTransaction,
  { sources, planned, knowledge: { accounts } }: PlannedSources,
): Promise<ChargedItems[]> {
  const bySource = plannedBySource(sources, planned);
  let booked = bookInOrder(bySource, accounts);
  await faultPoint('charge.decided');
  const readTraces: LedgerTransaction['readTraces'] = (traces) => transaction.readTraces(traces);
  const contest = await gate.reserve({ planned, accounts, wanted: wantedOf(booked), readTraces });
  if (contest !== undefined) {
    booked = bookInOrder(bySource, accounts, contest.others);
    await contest.settle(wantedOf(booked));
  }
  await faultPoint('charge.asked');
  const sealedAtMs = sealingTime(clock.nowMs(), accounts.values());
  const holdExpiresAt = {
    estimate: new Date(sealedAtMs + holdTtlMs.estimate).toISOString(),
    none: new Date(sealedAtMs + holdTtlMs.none).toISOString(),
  };
  const contents = booked.map((each) => each.contentWith(holdExpiresAt));
  const unsealed = bySource.map(({ cursor, nextOffset, log }, index) => ({
    cursor,
    nextOffset,
    log,
    own: contentAt(contents, index),
  }));
  const batches = await appendTogether(transaction, unsealed, { standing: standingOf(contents), sealedAtMs });
  return bySource.map(({ planned: ofSource }, index) => {
    const batch = batches[index];
    invariant(batch !== undefined, 'every source has its batch');
    return { batch, content: contentAt(contents, index), planned: ofSource };
  });
}

function contentAt(contents: readonly BatchContent[], index: number): BatchContent {
  const content = contents[index];
  invariant(content !== undefined, 'every source has its content');
  return content;
}

/** Books source after source, each on what the one before it left. */
function bookInOrder(
  sources: readonly (ChargeItems & { readonly planned: readonly PlannedItem[] })[],
  locked: ReadonlyMap<string, Account>,
  others: ReadonlyMap<string, OthersInFlight> = NOBODY,
): BookedChunk[] {
  let accounts = locked;
  return sources.map(({ cursor: { source }, planned }, index) => {
    const booked = bookChunk({ source, planned, accounts, others });
    if (index < sources.length - 1) accounts = withChanged(accounts, booked.accounts);
    return booked;
  });
}

const NOBODY: ReadonlyMap<string, never> = new Map<string, never>();

/** What the sources want of each tenant, in order. */
function wantedOf(booked: readonly BookedChunk[]): ReadonlyMap<string, readonly OverlayItem[]> {
  const [only, ...more] = booked;
  if (only !== undefined && more.length === 0) return only.wanted;
  const wanted = new Map<string, readonly OverlayItem[]>();
  for (const each of booked) {
    for (const [tenantId, items] of each.wanted) {
      const known = wanted.get(tenantId);
      wanted.set(tenantId, known === undefined ? items : [...known, ...items]);
    }
  }
  return wanted;
}

/** Gives each source what was planned of it: one item a message, and the opening before the message that causes it. */
function plannedBySource(
  sources: readonly ChargeItems[],
  planned: readonly PlannedItem[],
): (ChargeItems & { readonly planned: readonly PlannedItem[] })[] {
  let place = 0;
  return sources.map((source) => {
    const start = place;
    for (let messages = source.items.length; messages > 0; place += 1) {
      if (planned[place]?.kind !== 'opening') messages -= 1;
    }
    return { ...source, planned: planned.slice(start, place) };
  });
}

function withChanged(
  accounts: ReadonlyMap<string, Account>,
  changed: readonly Account[],
): ReadonlyMap<string, Account> {
  const after = new Map(accounts);
  for (const account of changed) after.set(account.tenantId, account);
  return after;
}

/** The accounts as the last of the batches leaves them. */
function lastAccounts(contents: readonly BatchContent[]): Map<string, Account> {
  const last = new Map<string, Account>();
  for (const { accounts } of contents) for (const account of accounts) last.set(account.tenantId, account);
  return last;
}

function standingOf(contents: readonly BatchContent[]): Standing {
  return {
    accounts: [...lastAccounts(contents).values()],
    holdsOpened: contents.flatMap(({ holdsOpened }) => holdsOpened),
    holdsClosed: contents.flatMap(({ holdsClosed }) => holdsClosed),
  };
}

/** Steps 3 and 4, up to the decision: accounts locked, then everything read. */
async function lockAndRead(
  { defaults, priceBook, bounds }: ChargePorts,
  transaction: LedgerTransaction,
  items: readonly IntakeItem[],
): Promise<LockedKnowledge> {
  const chargeable = chargeableOf(items, priceBook);
  if (chargeable.length === 0) return { ...NOTHING_KNOWN, defaultCurrency: defaults.currency };
  const wanted = bounds?.opensNoAccount === true ? [] : chargeable;
  const tenantIds = [...new Set(chargeable.map(tenantOf))];
  const { accounts, openings } = await lockTenants(transaction, tenantIds, () => openingsFor(defaults, wanted));
  const traces = await transaction.readTraces(tracesOf(chargeable));
  const parked = await transaction.readUnpriced(tracesOf(chargeable.filter(mayBeParked)));
  const book = await readPriceBook(transaction, chargeable, priceBook);
  return { accounts, traces, parked, openings, bounds, priceBook: book, defaultCurrency: defaults.currency };
}

type Chargeable = BillableEvent | UnquotedEvent;

function chargeableOf(items: readonly IntakeItem[], priceBook: string | undefined): Chargeable[] {
  const chargeable: Chargeable[] = [];
  for (const item of items) {
    if (item.kind === 'billable' || (item.kind === 'unquoted' && priceBook !== undefined)) chargeable.push(item);
  }
  return chargeable;
}

function tenantOf({ tenantId }: Chargeable): string {
  return tenantId;
}

/**
 * Locks the accounts of a chunk. Nearly always all are there; else nothing is locked yet when the missing are opened, for
 * who opens an account while it holds the lock of another could wait in a circle.
 */
async function lockTenants(
  transaction: LedgerTransaction,
  tenantIds: readonly string[],
  wantedOf: () => ReadonlyMap<string, ChunkOpening>,
): Promise<Pick<LockedKnowledge, 'accounts' | 'openings'>> {
  const open = await transaction.lockOpenAccounts(tenantIds);
  if (open !== undefined) return { accounts: open, openings: NOTHING_KNOWN.openings };
  const wanted = wantedOf();
  const unopened = tenantIds.filter((tenantId) => !wanted.has(tenantId));
  const opened = await transaction.ensureAccounts([...wanted.values()], unopened);
  const openings = new Map([...wanted].filter(([tenantId]) => opened.has(tenantId)));
  return { accounts: await transaction.lockAccounts(tenantIds), openings };
}

const NOTHING_KNOWN: Omit<LockedKnowledge, 'defaultCurrency'> = {
  accounts: new Map(),
  traces: new Map(),
  parked: new Map(),
  openings: new Map(),
};

/** The account each tenant gets if it has none: opened by its first event in the default currency, or without one. */
function openingsFor(
  { currency, terms }: ChargePorts['defaults'],
  chargeable: readonly Chargeable[],
): Map<string, ChunkOpening> {
  const openings = new Map<string, ChunkOpening>();
  for (const openedBy of chargeable) {
    const { tenantId, event } = openedBy;
    if (openings.has(tenantId) || (event.pricing?.currency ?? currency) !== currency) continue;
    openings.set(tenantId, { tenantId, currency, terms, day: dayOf(event.occurredAt), openedBy });
  }
  return openings;
}

/** Each trace once, in the order of its first mention. */
function tracesOf(chargeable: readonly Chargeable[]): TraceKey[] {
  const traces = new Map<string, TraceKey>();
  for (const { tenantId, key, event } of chargeable) {
    if (!traces.has(key)) traces.set(key, { tenantId, traceId: event.traceId });
  }
  return [...traces.values()];
}

/** Only completions with a price missing are looked up among the parked. */
function mayBeParked(item: Chargeable): boolean {
  return item.kind === 'unquoted' ? item.event.kind === 'completed' : isUnpriced(item);
}

/** The prices that the chunk's events without pricing need: one statement, and only when there is such an event. */
async function readPriceBook(
  transaction: LedgerTransaction,
  chargeable: readonly Chargeable[],
  name: string | undefined,
): Promise<ChunkPriceBook | undefined> {
  const span = spanOf(chargeable.flatMap(({ kind, event }) => (kind === 'unquoted' ? [event] : [])));
  if (name === undefined || span === undefined) return undefined;
  return { name, versions: await transaction.readPricedVersions(name, span) };
}
