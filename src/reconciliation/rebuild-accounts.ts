/**
 * Owns: recomputing accounts from their entries beside the live ones, and putting right those that differ.
 *
 *  1. Fold the entries of some tenants, page by page, while traffic runs.
 *  2. Read their accounts. Where one is further, fold on to its seq; where it then says the same, it is right.
 *  3. Where it does not: lock the account, which keeps every writer of the tenant out; fold the entries that came since;
 *     compare at the same seq; and put the fold in its place. COMMIT.
 *  4. Tell the caller, who projects the tenant afresh: its hash may be made from the wrong account.
 *
 * A crash between 3 and 4 leaves a hash at the right version with wrong fields: an audit finds it.
 * Does not own: the fold (rebuild-accounts-fold.ts), entries that make no sense: they are named, and their account is left alone.
 * Invariants: memory is bounded by a page of entries; an account that is right is never locked; with `isDryRun` nothing is written.
 */
import type pg from 'pg';
import type { Account } from '../ledger/account.js';
import { inDatabaseTransaction } from '../ledger/postgres/database-transaction.js';
import {
  type FoldRange,
  lockAccount,
  pageEntryTenants,
  pageFoldRows,
  putAccount,
  strayAccounts,
} from '../ledger/postgres/fold-rows.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import type { TenantScope } from '../projections/tenant-walk.js';
import { type AccountDifference, accountDifferences, type Fold, foldNext } from './rebuild-accounts-fold.js';

/** An account that is not the fold of its entries. */
export interface AccountDrift {
  readonly tenantId: string;
  /** The seq at which the two were compared. */
  readonly seq: number;
  readonly differences: readonly AccountDifference[];
}

/** What is recomputed, and who watches. */
export interface AccountRebuildOrder {
  readonly scope: TenantScope;
  readonly isDryRun: boolean;
  readonly signal?: AbortSignal;
  /** Hears how many entries are folded, and the last tenant whose account is done; an empty id before the first. */
  readonly onProgress?: (entries: number, last: string) => void;
  /** Hears of every account that differs; it has been put right unless this is a dry run. */
  readonly onDrift: (drift: AccountDrift) => Promise<void>;
  /** Hears of every account that cannot be put right, in a sentence. */
  readonly onProblem: (problem: string) => void;
}

/** What a rebuild of accounts came to. */
export interface AccountRebuild {
  readonly accounts: number;
  readonly entries: number;
  /** The tenant to go on after; null when it is complete. */
  readonly next: string | null;
}

const TENANT_PAGE = 200;
const ENTRY_PAGE = 5_000;
/** Above any seq: the position behind all entries of a tenant. */
const SEQ_END = Number.MAX_SAFE_INTEGER;

/** Tenants by ascending id, and the position from which their entries follow each other without others in between. */
interface TenantPage {
  readonly tenantIds: readonly string[];
  readonly ranges: readonly FoldRange[];
}

/** Recomputes accounts. Throws POSTGRES_*, and what the order's callbacks throw. */
export async function rebuildAccounts(pool: pg.Pool, order: AccountRebuildOrder): Promise<AccountRebuild> {
  let [accounts, entries] = [0, 0];
  let after = order.scope.kind === 'all' ? order.scope.after : '';
  for await (const { tenantIds, ranges } of tenantPages(pool, order.scope)) {
    if (order.signal?.aborted === true) return { accounts, entries, next: after };
    const folds = new Map<string, Fold>();
    const last = after;
    const onEntries = (count: number): void => {
      entries += count;
      order.onProgress?.(entries, last);
    };
    for (const range of ranges) await foldRange(pool, range, folds, onEntries);
    await settleAll(pool, folds, order);
    accounts += folds.size;
    const upTo = tenantIds[tenantIds.length - 1] ?? after;
    if (order.scope.kind === 'all') await reportStrays(pool, { after, upTo }, order);
    after = upTo;
  }
  if (order.scope.kind === 'all') await reportStrays(pool, { after, upTo: null }, order);
  return { accounts, entries, next: null };
}

async function* tenantPages(pool: pg.Pool, scope: TenantScope): AsyncGenerator<TenantPage> {
  if (scope.kind === 'named') {
    const tenantIds = [...new Set(scope.tenantIds)].sort();
    yield { tenantIds, ranges: tenantIds.map((tenantId) => ({ after: { tenantId, seq: 0 }, upTo: tenantId })) };
    return;
  }
  for (let after = scope.after; ;) {
    const tenantIds = await pageEntryTenants(pool, after, TENANT_PAGE);
    const upTo = tenantIds[tenantIds.length - 1];
    if (upTo !== undefined) yield { tenantIds, ranges: [{ after: { tenantId: after, seq: SEQ_END }, upTo }] };
    if (upTo === undefined || tenantIds.length < TENANT_PAGE) return;
    after = upTo;
  }
}

/** Step 1: folds a range of entries onto what is folded of its tenants. */
async function foldRange(
  client: Pick<pg.ClientBase, 'query'>,
  range: FoldRange,
  folds: Map<string, Fold>,
  onEntries: (count: number) => void = () => undefined,
): Promise<void> {
  for (let after = range.after; ;) {
    const page = await pageFoldRows(client, { ...range, after }, ENTRY_PAGE);
    for (const row of page) folds.set(row.tenantId, foldNext(folds.get(row.tenantId), row));
    onEntries(page.length);
    const last = page[page.length - 1];
    if (last === undefined || page.length < ENTRY_PAGE) return;
    after = last;
  }
}

/** Steps 2 to 4 for the tenants of a page. */
async function settleAll(pool: pg.Pool, folds: Map<string, Fold>, order: AccountRebuildOrder): Promise<void> {
  const stored = await new PostgresLedgerReader(pool).readAccounts([...folds.keys()]);
  for (const tenantId of folds.keys()) {
    if (await isRight(pool, folds, stored.get(tenantId))) continue;
    const outcome = await settleLocked(pool, tenantId, { fold: folds.get(tenantId), isDryRun: order.isDryRun });
    if (outcome.kind === 'drift') await order.onDrift(outcome.drift);
    if (outcome.kind === 'corrupt') order.onProblem(`account ${tenantId} cannot be recomputed: ${outcome.problem}`);
  }
}

/** Step 2: whether the account says what its entries say, as far as it goes. */
async function isRight(pool: pg.Pool, folds: Map<string, Fold>, stored: Account | undefined): Promise<boolean> {
  if (stored === undefined) return false;
  const { tenantId, seq } = stored;
  const before = folds.get(tenantId);
  if (before?.kind !== 'account') return false;
  const after = { tenantId, seq: before.account.seq };
  if (seq > after.seq) await foldRange(pool, { after, upTo: tenantId, seqMax: seq }, folds);
  const fold = folds.get(tenantId);
  return fold?.kind === 'account' && accountDifferences(stored, fold.account).length === 0;
}

type Settlement =
  | { readonly kind: 'right' }
  | { readonly kind: 'drift'; readonly drift: AccountDrift }
  | { readonly kind: 'corrupt'; readonly problem: string };

/** Step 3: `fold` is how far the entries are folded already. */
function settleLocked(
  pool: pg.Pool,
  tenantId: string,
  { fold, isDryRun }: { fold: Fold | undefined; isDryRun: boolean },
): Promise<Settlement> {
  return inDatabaseTransaction(pool, async (client) => {
    const stored = await lockAccount(client, tenantId);
    const folds = new Map<string, Fold>(fold === undefined ? [] : [[tenantId, fold]]);
    const seq = fold?.kind === 'account' ? fold.account.seq : 0;
    await foldRange(client, { after: { tenantId, seq }, upTo: tenantId }, folds);
    const whole = folds.get(tenantId);
    if (whole === undefined) return { kind: 'right' };
    if (whole.kind === 'corrupt') return whole;
    const differences = accountDifferences(stored, whole.account);
    if (differences.length === 0) return { kind: 'right' };
    if (!isDryRun && !(await putAccount(client, whole.account, stored === undefined))) return { kind: 'right' };
    return { kind: 'drift', drift: { tenantId, seq: whole.account.seq, differences } };
  });
}

async function reportStrays(
  pool: pg.Pool,
  { after, upTo }: { after: string; upTo: string | null },
  { onProblem }: AccountRebuildOrder,
): Promise<void> {
  for (const tenantId of await strayAccounts(pool, after, upTo)) {
    onProblem(`account ${tenantId} has no entry it could come from`);
  }
}
