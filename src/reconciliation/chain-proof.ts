/**
 * Owns: the proof of the chains: every batch links to the one before it and has the hash of its content (verify-chain.ts),
 * its Merkle root is that of its entries' hashes, and no entry stands outside of a batch.
 * Does not own: whether the hash of an entry is that of its content (account-proof.ts); Redis (projection-proof.ts).
 * Invariants: one snapshot; reads only; memory is bounded by one batch and by the number of chains. Batches and leaves
 * are read side by side in the order of batch ids, in which every chain ascends.
 */
import type pg from 'pg';
import type { SealedBatch } from '../ledger/batch.js';
import type { EntryKey } from '../ledger/ledger-store.js';
import { merkleRoot, ROOT_OF_NONE } from '../ledger/merkle.js';
import {
  type BatchLeaves,
  batchOfLine,
  batchStatement,
  leavesOfLine,
  leavesStatement,
  LineReader,
} from '../ledger/postgres/batch-lines.js';
import { entriesBeside, entriesNaming, readCursorsOf, readGapsOf } from '../ledger/postgres/chain-rows.js';
import type { ProofScope } from '../ledger/postgres/proof-scope.js';
import { type ProofSnapshot, withProofSnapshot } from '../ledger/postgres/proof-snapshot.js';
import type { ProofEvents } from './account-proof.js';
import { batchName, type ChainTip, ChainWalk } from './verify-chain.js';
import { ProblemLog, type ProblemReport } from './verify-problem.js';

/** What a proof looked at, and what it found wrong: one sentence a finding, naming the row. */
export interface ChainProof {
  readonly chains: number;
  readonly batches: number;
  readonly entries: number;
  readonly problems: readonly string[];
}

/** What was looked at of a scope, and where its chains end, by source name. */
export interface FollowedChains {
  readonly tips: ReadonlyMap<string, ChainTip>;
  readonly batches: number;
  readonly entries: number;
}

const PROBLEMS_KEPT = 1_000;
/** Entries named for one batch that they do not fit. */
const NAMED_MAX = 20;

/** Proves every chain from its genesis to the head its cursor names. Throws POSTGRES_*. */
export async function proveChains(
  pool: pg.Pool,
  onEntries: (entries: number) => void = () => undefined,
): Promise<ChainProof> {
  const problems = new ProblemLog(PROBLEMS_KEPT);
  const { tips, batches, entries } = await withProofSnapshot(pool, (snapshot) =>
    followBatches(snapshot, { kind: 'full' }, { report: problems.add, onEntries }),
  );
  return { chains: tips.size, batches, entries, problems: problems.kept.map(({ message }) => message) };
}

/** Proves the chains of a scope; of a tenant, those that its entries stand in. Throws POSTGRES_*. */
export async function followBatches(
  snapshot: ProofSnapshot,
  scope: ProofScope,
  events: ProofEvents,
): Promise<FollowedChains> {
  const cursors = await readCursorsOf(snapshot, scope);
  const walk = new ChainWalk(await readGapsOf(snapshot, scope), events.report);
  const check = new LeafCheck(snapshot, events.report);
  const batches = new LineReader(snapshot.lines(batchStatement(scope)));
  const groups = new LeafReader(new LineReader(snapshot.lines(leavesStatement(scope))));
  let [batchesSeen, entries] = [0, 0];
  for (let line = await batches.next(); line !== undefined; line = await batches.next()) {
    const batch = batchOfLine(line);
    for await (const stray of groups.before(batch.batchId)) await check.unsealed(stray);
    walk.add(batch);
    batchesSeen += 1;
    const leaves = await groups.of(batch.batchId);
    // Of a tenant's chains, only the batches that its entries name are looked into.
    if (leaves !== undefined || scope.kind !== 'tenant') await check.batch(batch, leaves);
    entries += leaves?.entries ?? 0;
    events.onEntries(leaves?.entries ?? 0);
  }
  for await (const stray of groups.before(Number.POSITIVE_INFINITY)) await check.unsealed(stray);
  walk.close(cursors);
  return { tips: walk.tips, batches: batchesSeen, entries };
}

/** Reads the leaves of batches beside the batches themselves. */
class LeafReader {
  readonly #lines: LineReader;
  #ahead: BatchLeaves | undefined;
  #isRead = false;

  constructor(lines: LineReader) {
    this.#lines = lines;
  }

  /** The leaves that name a batch before this one, and have not been handed out. */
  async *before(batchId: number): AsyncGenerator<BatchLeaves> {
    for (
      let leaves = await this.#peek();
      leaves !== undefined && leaves.batchId < batchId;
      leaves = await this.#peek()
    ) {
      this.#isRead = false;
      yield leaves;
    }
  }

  /** The leaves of a batch; undefined when no entry names it. */
  async of(batchId: number): Promise<BatchLeaves | undefined> {
    const leaves = await this.#peek();
    if (leaves?.batchId !== batchId) return undefined;
    this.#isRead = false;
    return leaves;
  }

  async #peek(): Promise<BatchLeaves | undefined> {
    if (this.#isRead) return this.#ahead;
    const line = await this.#lines.next();
    this.#isRead = true;
    this.#ahead = line === undefined ? undefined : leavesOfLine(line);
    return this.#ahead;
  }
}

const NO_LEAVES: readonly string[] = [];

/** Holds batches against the entries that name them. */
class LeafCheck {
  readonly #snapshot: ProofSnapshot;
  readonly #report: ProblemReport;

  constructor(snapshot: ProofSnapshot, report: ProblemReport) {
    this.#snapshot = snapshot;
    this.#report = report;
  }

  async batch(batch: SealedBatch, found: BatchLeaves | undefined): Promise<void> {
    const expected = batch.counts.charged + batch.counts.openings;
    const entries = found?.entries ?? 0;
    if (entries !== expected) {
      this.#batch(batch, `sealed ${expected} entries, the ledger has ${entries}`);
    } else if (!merkleRoot(found?.leaves ?? NO_LEAVES).equals(batch.merkleRoot)) {
      this.#batch(batch, 'has another Merkle root than its entries');
    }
    this.#checkAside(batch);
    if (found === undefined || fits(batch, found)) return;
    const sealed = `${batchName(batch)} (offsets ${batch.firstOffset} to ${batch.nextOffset - 1n}, ${batch.sealedAt})`;
    this.#entries(
      await entriesBeside(this.#snapshot, batch, NAMED_MAX),
      `does not have the source, position or time of ${sealed}`,
    );
  }

  /** What it set aside is held against its root elsewhere (aside-proof.ts), where there is anything. */
  #checkAside(batch: SealedBatch): void {
    const { skipped, unpriced, deadLetters } = batch.counts;
    if (skipped + unpriced + deadLetters > 0 || batch.asideRoot.equals(ROOT_OF_NONE)) return;
    this.#batch(batch, 'set nothing aside, and has a root over something');
  }

  async unsealed({ batchId }: BatchLeaves): Promise<void> {
    const entries = await entriesNaming(this.#snapshot, batchId, NAMED_MAX);
    this.#entries(entries, `is in no sealed batch: there is none with id ${batchId}`);
  }

  #batch(batch: SealedBatch, what: string): void {
    this.#report({ kind: 'batch', message: `${batchName(batch)} ${what}` });
  }

  #entries(entries: readonly EntryKey[], what: string): void {
    for (const { tenantId, seq } of entries) {
      this.#report({ kind: 'entry', message: `entry ${tenantId}#${seq} ${what}`, entry: { tenantId, seq } });
    }
  }
}

function fits({ source, firstOffset, nextOffset, sealedAt }: SealedBatch, found: BatchLeaves): boolean {
  const { offsets, recordedAt, topics, partitions } = found;
  return (
    offsets[0] >= firstOffset &&
    offsets[1] < nextOffset &&
    recordedAt.every((time) => time === sealedAt) &&
    topics.every((topic) => topic === source.topic) &&
    partitions.every((partition) => partition === source.partition)
  );
}
