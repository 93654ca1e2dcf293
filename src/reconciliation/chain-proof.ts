/**
 * Owns: the proof that the sealed batches cover the ledger: every entry hash, Merkle root and chain recomputed, and no
 * entry outside of a batch.
 * Does not own: balances (account-proof.ts), Redis (projection-proof.ts).
 * Invariants: reads only; memory is bounded by one batch; on a ledger at rest no problem is a false alarm.
 */
import type pg from 'pg';
import { batchHash, CHAIN_GENESIS, type SealedBatch } from '../ledger/batch.js';
import { entryHash } from '../ledger/entry.js';
import type { Cursor } from '../ledger/ledger-store.js';
import { merkleRoot } from '../ledger/merkle.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { entriesOfBatch, pageBatches, type StoredEntry, unsealedEntries } from '../ledger/postgres/proof-rows.js';

/** What a proof looked at, and what it found wrong: one sentence a finding, naming the row. */
export interface ChainProof {
  readonly chains: number;
  readonly batches: number;
  readonly entries: number;
  readonly problems: readonly string[];
}

const BATCH_PAGE = 100;
const UNSEALED_NAMED_MAX = 100;

/** Verifies every chain from its genesis to the head its cursor names. Throws POSTGRES_*. */
export async function proveChains(
  pool: pg.Pool,
  onBatch: (entries: number) => void = () => undefined,
): Promise<ChainProof> {
  const cursors = await new PostgresLedgerReader(pool).readCursors();
  const problems: string[] = [];
  let [batches, entries] = [0, 0];
  for (const cursor of cursors) {
    let tip: ChainTip = { batchNo: 0, head: CHAIN_GENESIS, nextOffset: undefined };
    for await (const batch of batchesOf(pool, cursor)) {
      const stored = await entriesOfBatch(pool, batch.batchId);
      problems.push(...linkProblems(batch, tip), ...entryProblems(batch, stored));
      tip = { batchNo: batch.batchNo, head: batch.hash, nextOffset: batch.nextOffset };
      batches += 1;
      entries += stored.length;
      onBatch(stored.length);
    }
    problems.push(...headProblems(cursor, tip));
  }
  problems.push(...(await unsealedProblems(pool)));
  return { chains: cursors.length, batches, entries, problems };
}

interface ChainTip {
  readonly batchNo: number;
  readonly head: Buffer;
  readonly nextOffset: bigint | undefined;
}

async function* batchesOf(pool: pg.Pool, { source }: Cursor): AsyncGenerator<SealedBatch> {
  for (let afterBatchNo = 0; ;) {
    const page = await pageBatches(pool, { source, afterBatchNo }, BATCH_PAGE);
    yield* page;
    const last = page[page.length - 1];
    if (last === undefined || page.length < BATCH_PAGE) return;
    afterBatchNo = last.batchNo;
  }
}

function linkProblems(batch: SealedBatch, tip: ChainTip): string[] {
  const name = nameOf(batch);
  return problemsOf([
    [batch.batchNo === tip.batchNo + 1, `${name} follows batch ${tip.batchNo}: a batch is missing`],
    [batch.prevHash.equals(tip.head), `${name} names another predecessor than the batch before it`],
    [batch.hash.equals(batchHash(batch)), `${name} does not have the hash of its content`],
    [
      tip.nextOffset === undefined || batch.firstOffset >= tip.nextOffset,
      `${name} starts at offset ${batch.firstOffset}, which the batch before it has covered`,
    ],
  ]);
}

function entryProblems(batch: SealedBatch, stored: readonly StoredEntry[]): string[] {
  const name = nameOf(batch);
  const expected = batch.counts.charged + batch.counts.openings;
  const hashes = stored.map(({ entry }) => entryHash(entry));
  const problems = problemsOf([
    [stored.length === expected, `${name} sealed ${expected} entries, the ledger has ${stored.length}`],
    [merkleRoot(hashes).equals(batch.merkleRoot), `${name} has another Merkle root than its entries`],
  ]);
  for (const [index, { entry, entryHash: storedHash, recordedAt }] of stored.entries()) {
    const id = `entry ${entry.tenantId}#${entry.seq}`;
    if (hashes[index] !== storedHash) problems.push(`${id} does not have the hash of its content`);
    if (recordedAt !== batch.sealedAt)
      problems.push(`${id} was recorded at ${recordedAt}, its batch at ${batch.sealedAt}`);
  }
  return problems;
}

function headProblems(cursor: Cursor, tip: ChainTip): string[] {
  const name = `${cursor.source.topic}/${cursor.source.partition}`;
  return problemsOf([
    [
      cursor.batchNo === tip.batchNo,
      `the cursor of ${name} counts ${cursor.batchNo} batches, the chain has ${tip.batchNo}`,
    ],
    [cursor.head.equals(tip.head), `the cursor of ${name} names another head than the last batch of the chain`],
    [
      tip.nextOffset === undefined || cursor.nextOffset >= tip.nextOffset,
      `the cursor of ${name} is at ${cursor.nextOffset}, before the end of the last batch`,
    ],
  ]);
}

async function unsealedProblems(pool: pg.Pool): Promise<string[]> {
  const unsealed = await unsealedEntries(pool, UNSEALED_NAMED_MAX);
  return unsealed.map(({ tenantId, seq }) => `entry ${tenantId}#${seq} is in no sealed batch`);
}

function problemsOf(checks: readonly (readonly [holds: boolean, problem: string])[]): string[] {
  return checks.filter(([holds]) => !holds).map(([, problem]) => problem);
}

function nameOf({ source, batchNo }: SealedBatch): string {
  return `batch ${source.topic}/${source.partition}#${batchNo}`;
}
