/**
 * Owns: issuing the receipt of an entry: finding it, its place, and the anchor that its chain leads to.
 * Does not own: the document (receipt.ts).
 * Invariants: reads only; a receipt is checked before it is handed out, so a ledger that contradicts itself or its anchor
 * issues none.
 * Of several anchors the nearest is taken: it vouches for the entry since an earlier time than any later one, with the
 * fewest links. The newest would make a receipt of hundreds of kilobytes for every entry of a busy chain.
 */
import type pg from 'pg';
import type { SealedBatch } from '../ledger/batch.js';
import type { TraceKey } from '../ledger/ledger-store.js';
import { merklePath } from '../ledger/merkle-path.js';
import { pageBatches, type StoredEntry } from '../ledger/postgres/proof-rows.js';
import { readSnapshot } from '../ledger/postgres/read-snapshot.js';
import { type EntryPlace, selectPlace, selectSealedTrace } from '../ledger/postgres/receipt-rows.js';
import { TollbookError } from '../runtime/errors.js';
import type { Anchor, AnchorPlace, FoundAnchor } from './anchor.js';
import { receiptOf, type Receipt } from './receipt.js';
import { checkReceipt } from './receipt-check.js';
import { sourceName } from './verify-chain.js';

/** Which entry, and how far the receipt may reach. */
export interface ReceiptOrder {
  readonly trace: TraceKey;
  /** One of the trace's entries; undefined: its charge, else the last one. */
  readonly seq: number | undefined;
  /** Most batches between the entry's and what the receipt leads to. */
  readonly linksMax: number;
  /** Where to look for an anchor. */
  readonly places: readonly AnchorPlace[];
}

/** What issuing works with. */
export interface ReceiptPorts {
  readonly pool: pg.Pool;
  readonly clock: { nowMs(): number };
}

/** A receipt, and the nearest anchor where there was one too far away. */
export interface IssuedReceipt {
  readonly receipt: Receipt;
  /** Batches from the entry's to the nearest anchor after it; undefined when there is none at all. */
  readonly anchorDistance: number | undefined;
}

/** Issues a receipt. Throws TRACE_UNKNOWN, LEDGER_CORRUPT, POSTGRES_*, and what reading the anchors throws. */
export async function issueReceipt(ports: ReceiptPorts, order: ReceiptOrder): Promise<IssuedReceipt> {
  // The entry is looked up first: its source is what the anchors are searched for. The snapshot comes after the anchors,
  // so that no anchor is ahead of the chain it sees.
  const { batch: found } = await readSnapshot(ports.pool, (client) => readEntry(client, order));
  const anchor = await nearestAnchor(order.places, found);
  return readSnapshot(ports.pool, async (client) => {
    const { stored, ...place } = await readEntry(client, order);
    const distance = anchor === undefined ? undefined : anchor.batchNo - place.batch.batchNo;
    const used = distance !== undefined && distance <= order.linksMax ? anchor : undefined;
    const receipt = receiptOf({
      issuedAt: new Date(ports.clock.nowMs()).toISOString(),
      entry: stored.entry,
      path: merklePath(place.leaves, place.leafIndex),
      batch: place.batch,
      links: await linksTo(client, place, { target: used?.batchNo ?? place.head.batchNo, linksMax: order.linksMax }),
      head: place.head,
      anchor: used,
    });
    assertValid(receipt, stored);
    return { receipt, anchorDistance: distance };
  });
}

async function readEntry(
  client: pg.ClientBase,
  { trace, seq }: ReceiptOrder,
): Promise<EntryPlace & { readonly stored: StoredEntry }> {
  const stored = choose(await selectSealedTrace(client, trace), trace, seq);
  return { stored, ...(await selectPlace(client, stored)) };
}

function choose(
  entries: readonly StoredEntry[],
  { tenantId, traceId }: TraceKey,
  seq: number | undefined,
): StoredEntry {
  const charge = entries.find(({ entry }) => entry.status === 'COMMITTED') ?? entries[entries.length - 1];
  const chosen = seq === undefined ? charge : entries.find(({ entry }) => entry.seq === seq);
  if (chosen !== undefined) return chosen;
  const seqs = entries.map(({ entry }) => `${entry.seq} (${entry.status})`).join(', ');
  const why =
    entries.length === 0
      ? `tenant ${tenantId} has no entry of trace ${traceId}`
      : `trace ${traceId} of ${tenantId} has no entry ${seq}; it has ${seqs}`;
  throw new TollbookError('TRACE_UNKNOWN', why, { context: { tenantId, traceId } });
}

/** The anchor of the batch or of the first batch after it that has one. */
async function nearestAnchor(
  places: readonly AnchorPlace[],
  { source, batchNo }: SealedBatch,
): Promise<Anchor | undefined> {
  let nearest: Anchor | undefined;
  for (const place of places) nearest = nearerOf(nearest, await nearestIn(await place.freeze(), { source, batchNo }));
  return nearest;
}

async function nearestIn(
  anchors: AsyncIterable<FoundAnchor>,
  { source, batchNo }: Pick<SealedBatch, 'source' | 'batchNo'>,
): Promise<Anchor | undefined> {
  let nearest: Anchor | undefined;
  for await (const found of anchors) {
    if (found.kind !== 'anchor' || sourceName(found.anchor.source) !== sourceName(source)) continue;
    const { anchor } = found;
    // What came before a replacement speaks of a chain that is no more.
    if (anchor.replacement !== undefined) nearest = undefined;
    if (anchor.batchNo >= batchNo) nearest = nearerOf(nearest, anchor);
  }
  return nearest;
}

function nearerOf(one: Anchor | undefined, other: Anchor | undefined): Anchor | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return other.batchNo < one.batchNo ? other : one;
}

async function linksTo(
  client: pg.ClientBase,
  { batch }: EntryPlace,
  { target, linksMax }: { readonly target: number; readonly linksMax: number },
): Promise<SealedBatch[]> {
  const links = target - batch.batchNo;
  if (links <= 0 || links > linksMax) return [];
  return pageBatches(client, { source: batch.source, afterBatchNo: batch.batchNo }, links);
}

function assertValid(receipt: Receipt, { entry }: StoredEntry): void {
  const verdict = checkReceipt(JSON.stringify(receipt));
  if (verdict.kind === 'valid') return;
  const { where, why } = verdict;
  throw new TollbookError(
    'LEDGER_CORRUPT',
    `no receipt for entry ${entry.tenantId}#${entry.seq}: ${where} ${why}; run "tollbook verify"`,
    { context: { tenantId: entry.tenantId, seq: entry.seq, where } },
  );
}
