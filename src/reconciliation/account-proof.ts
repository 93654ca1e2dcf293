/**
 * Owns: the proof of the entries and of what is folded from them: every entry has the hash of its content, the entries of
 * a tenant continue each other (verify-tenant.ts), accounts and open holds are what they come to (verify-standing.ts).
 * Does not own: the chains of batches (chain-proof.ts), Redis (projection-proof.ts).
 * Invariants: one snapshot; reads only; memory is bounded by TENANTS_MAX tenants and what these hold.
 */
import type pg from 'pg';
import { type AmountNano, formatAmount } from '../ledger/money.js';
import { fieldText, leafLines, type LeafLine } from '../ledger/postgres/leaf-lines.js';
import { leafStatement, type ProofScope } from '../ledger/postgres/proof-scope.js';
import { type ProofSnapshot, withProofSnapshot } from '../ledger/postgres/proof-snapshot.js';
import { readStandings, readStrays } from '../ledger/postgres/standing-rows.js';
import { ProblemLog, type ProblemReport } from './verify-problem.js';
import { compareStanding } from './verify-standing.js';
import { TenantFold } from './verify-tenant.js';

/** What the proof looked at, and what it found wrong. */
export interface AccountProof {
  readonly accounts: number;
  readonly entries: number;
  /** Sum of what the ledger charged: its COMMITTED deductions, as a decimal string. */
  readonly ledgerTotal: string;
  readonly problems: readonly string[];
}

/** What a proof of entries has looked at. */
export interface EntryFigures {
  readonly accounts: number;
  readonly entries: number;
  /** Sum of the COMMITTED deductions; 0 where accounts are not folded. */
  readonly chargedNano: bigint;
}

/** Who hears of a proof while it runs. */
export interface ProofEvents {
  readonly report: ProblemReport;
  /** Hears of the number of entries looked at since the last call. */
  readonly onEntries: (entries: number) => void;
}

const PROBLEMS_KEPT = 1_000;
const TENANTS_MAX = 500;
const HOLDS_MAX = 20_000;
const STRAYS_NAMED = 100;

/** Proves every entry and account. Throws POSTGRES_*. */
export async function proveAccounts(
  pool: pg.Pool,
  onEntries: (entries: number) => void = () => undefined,
): Promise<AccountProof> {
  const problems = new ProblemLog(PROBLEMS_KEPT);
  const { accounts, entries, chargedNano } = await withProofSnapshot(pool, (snapshot) =>
    proveEntries(snapshot, { kind: 'full' }, { report: problems.add, onEntries }),
  );
  const ledgerTotal = formatAmount(chargedNano as AmountNano);
  return { accounts, entries, ledgerTotal, problems: problems.kept.map(({ message }) => message) };
}

/** Proves the entries of a scope; of a source their hashes alone, since a fold takes a whole tenant. Throws POSTGRES_*. */
export async function proveEntries(
  snapshot: ProofSnapshot,
  scope: ProofScope,
  { report, onEntries }: ProofEvents,
): Promise<EntryFigures> {
  const fold = new LedgerFold(snapshot, report);
  const add =
    scope.kind === 'source' ? (line: LeafLine) => checkHash(line, report) : (line: LeafLine) => fold.add(line);
  let entries = 0;
  for await (const block of snapshot.lines(leafStatement(scope))) {
    let lines = 0;
    for (const line of leafLines(block)) {
      add(line);
      lines += 1;
    }
    await fold.settle();
    entries += lines;
    onEntries(lines);
  }
  await fold.close();
  if (scope.kind !== 'source') await reportStrays(snapshot, scope, report);
  return { entries, accounts: fold.accounts, chargedNano: fold.chargedNano };
}

function checkHash({ isGenuine, ...line }: LeafLine, report: ProblemReport): void {
  if (isGenuine) return;
  const [tenantId, seq] = [fieldText(line.tenantId), Number(line.seq)];
  const message = `entry ${tenantId}#${seq} does not have the hash of its content`;
  report({ kind: 'entry', message, entry: { tenantId, seq } });
}

/** Folds tenant by tenant, and compares what they come to with what is stored. */
class LedgerFold {
  accounts = 0;
  chargedNano = 0n;
  readonly #snapshot: ProofSnapshot;
  readonly #report: ProblemReport;
  #field: string | undefined;
  #open: TenantFold | undefined;
  #finished: TenantFold[] = [];

  constructor(snapshot: ProofSnapshot, report: ProblemReport) {
    this.#snapshot = snapshot;
    this.#report = report;
  }

  add(line: LeafLine): void {
    const fold = line.tenantId === this.#field && this.#open !== undefined ? this.#open : this.#start(line.tenantId);
    fold.add(line);
  }

  /** Compares the tenants that are finished once there are enough of them. */
  async settle(): Promise<void> {
    const holds = this.#finished.reduce((sum, { openHolds }) => sum + openHolds.size, 0);
    if (this.#finished.length >= TENANTS_MAX || holds >= HOLDS_MAX) await this.#compare();
  }

  /** Compares the rest. */
  async close(): Promise<void> {
    this.#finish();
    if (this.#finished.length > 0) await this.#compare();
  }

  #start(field: string): TenantFold {
    this.#finish();
    this.#field = field;
    this.#open = new TenantFold(field, this.#report);
    return this.#open;
  }

  #finish(): void {
    if (this.#open === undefined) return;
    this.accounts += 1;
    this.chargedNano += this.#open.chargedNano;
    this.#finished.push(this.#open);
    this.#open = undefined;
  }

  async #compare(): Promise<void> {
    const finished = this.#finished;
    this.#finished = [];
    const tenantIds = finished.map(({ tenantId }) => tenantId);
    const standingOf = await readStandings(this.#snapshot, tenantIds);
    for (const fold of finished) compareStanding(fold, standingOf(fold.tenantId), this.#report);
  }
}

async function reportStrays(snapshot: ProofSnapshot, scope: ProofScope, report: ProblemReport): Promise<void> {
  const { accounts, holds } = await readStrays(snapshot, scope, STRAYS_NAMED);
  for (const tenantId of accounts) report({ kind: 'account', message: `account ${tenantId} has no entry` });
  for (const tenantId of holds) {
    report({ kind: 'hold', message: `open_holds has holds of ${tenantId}, which has no entry` });
  }
}
