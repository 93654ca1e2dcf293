/**
 * Owns: verifying a ledger, or a part of it, in one snapshot: entries, accounts and holds (account-proof.ts) and chains
 * (chain-proof.ts) side by side, then the records beside them, then the anchors.
 * Does not own: Redis, Kafka; where anchors come from.
 * Invariants: reads only and locks nothing; everything is judged as of the snapshot, which is taken after the anchors
 * were read, so that traffic meanwhile is neither judged nor in the way; memory does not grow with the ledger.
 */
import type pg from 'pg';
import { type ProofScope, sourcesIn } from '../ledger/postgres/proof-scope.js';
import { type ProofSnapshot, withProofSnapshot } from '../ledger/postgres/proof-snapshot.js';
import { findUnfitRecords } from '../ledger/postgres/record-rows.js';
import { type EntryFigures, proveEntries } from './account-proof.js';
import type { FoundAnchor } from './anchor.js';
import { proveAside } from './aside-proof.js';
import { type AnchorFigures, proveAnchors } from './anchor-proof.js';
import { type FollowedChains, followBatches } from './chain-proof.js';
import { type LedgerProblem, ProblemLog } from './verify-problem.js';

/** What to verify, and how. */
export interface VerifyOrder {
  readonly scope: ProofScope;
  /** Findings kept; all are counted. */
  readonly problemsMax: number;
  /** The anchors to check, as they were found before this is called; undefined: none are. */
  readonly anchors?: AsyncIterable<FoundAnchor> | undefined;
  /** Hears how many of `total` entries are done; an entry counts once it is folded and its batch is checked. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What was verified, and what was found wrong. */
export interface VerifyReport {
  readonly entries: number;
  readonly accounts: number;
  readonly chains: number;
  readonly batches: number;
  /** Undefined when no anchors were to be checked. */
  readonly anchors: AnchorFigures | undefined;
  /** How many findings there were. */
  readonly problemCount: number;
  /** The first of them: entries by tenant and seq, then the rest. */
  readonly problems: readonly LedgerProblem[];
  /** The entry with the first finding about an entry. */
  readonly firstBadEntry: NonNullable<LedgerProblem['entry']> | undefined;
}

/** Findings a check of records names at most. */
const RECORDS_NAMED_MAX = 100;

/** Verifies a part of the ledger. Needs four connections of the pool. Throws POSTGRES_*. */
export function verifyLedger(pool: pg.Pool, order: VerifyOrder): Promise<VerifyReport> {
  return withProofSnapshot(pool, (snapshot) => verifySnapshot(snapshot, order));
}

async function verifySnapshot(snapshot: ProofSnapshot, order: VerifyOrder): Promise<VerifyReport> {
  const { scope, anchors } = order;
  const [ofEntries, ofChains, ofRecords] = [1, 2, 3].map(() => new ProblemLog(order.problemsMax)) as Logs;
  const { entries, chains } = await proveBoth(snapshot, order, { ofEntries, ofChains });
  await proveAside(snapshot, scope, ofRecords.add);
  for (const finding of await findUnfitRecords(snapshot, scope, RECORDS_NAMED_MAX)) ofRecords.add(finding);
  const anchored =
    anchors === undefined
      ? undefined
      : await proveAnchors(
          { rows: (sql, values) => snapshot.rows(sql, values), scope, tips: chains.tips },
          anchors,
          ofChains.add,
        );
  const logs = [ofEntries, ofChains, ofRecords];
  const problems = logs.flatMap(({ kept }) => kept).slice(0, order.problemsMax);
  return {
    entries: entries.entries,
    accounts: entries.accounts,
    chains: chains.tips.size,
    batches: chains.batches,
    anchors: anchored,
    problemCount: logs.reduce((sum, { total }) => sum + total, 0),
    problems,
    firstBadEntry: problems.find(({ entry }) => entry !== undefined)?.entry,
  };
}

type Logs = [ofEntries: ProblemLog, ofChains: ProblemLog, ofRecords: ProblemLog];

/** Runs the two large proofs side by side: the first waits for the server most of the time. */
async function proveBoth(
  snapshot: ProofSnapshot,
  { scope, onProgress }: VerifyOrder,
  { ofEntries, ofChains }: { readonly ofEntries: ProblemLog; readonly ofChains: ProblemLog },
): Promise<{ readonly entries: EntryFigures; readonly chains: FollowedChains }> {
  const total = onProgress === undefined ? 0 : await countEntries(snapshot, scope);
  let halves = 0;
  const advance = (count: number): void => {
    halves += count;
    onProgress?.(Math.min(total, Math.floor(halves / 2)), total);
  };
  // The batches of a tenant hold entries of others too: there the entries alone tell how far it is.
  const isWhole = scope.kind !== 'tenant';
  const [entries, chains] = await Promise.all([
    proveEntries(snapshot, scope, {
      report: ofEntries.add,
      onEntries: (count) => advance(isWhole ? count : 2 * count),
    }),
    followBatches(snapshot, scope, { report: ofChains.add, onEntries: (count) => advance(isWhole ? count : 0) }),
  ]);
  return { entries, chains };
}

/** How many entries there are to look at, by what is kept beside them: good enough for progress. */
async function countEntries(snapshot: ProofSnapshot, scope: ProofScope): Promise<number> {
  const statement =
    scope.kind === 'source'
      ? `SELECT sum(b.charged + b.openings) AS count FROM ledger_batches b WHERE ${sourcesIn(scope, 'b')}`
      : `SELECT sum(a.seq) AS count FROM accounts a WHERE $1::text IS NULL OR a.tenant_id = $1`;
  const values = scope.kind === 'source' ? [] : [scope.kind === 'tenant' ? scope.tenantId : null];
  return Number((await snapshot.rows<{ count: string | null }>(statement, values))[0]?.count ?? 0);
}
