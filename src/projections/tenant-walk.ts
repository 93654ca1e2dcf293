/**
 * Owns: walking over tenants a page at a time: all of them by ascending id, or the ones named.
 * Invariants: memory is bounded by two pages. A page is done as a whole or not at all, and pages count as done in their
 * order, so that a walk that is stopped says after which tenant to go on.
 */
import type { LedgerReader } from '../ledger/ledger-reader.js';
import { invariant } from '../runtime/errors.js';

/** Which tenants: all after one of them (an empty id: from the first), or the ones named. */
export type TenantScope =
  { readonly kind: 'all'; readonly after: string } | { readonly kind: 'named'; readonly tenantIds: readonly string[] };

/** How a walk is watched and stopped. */
export interface WalkControl {
  /** Stops the walk after the page under way. */
  readonly signal?: AbortSignal;
  /** Hears how many tenants are done, and the last of them. */
  readonly onProgress?: (tenants: number, last: string) => void;
}

/** How far a walk came. */
export interface WalkResult {
  readonly tenants: number;
  /** The tenant to go on after; null when the walk is complete. */
  readonly next: string | null;
}

/** What is walked over, and how many tenants at once. */
export interface Walk extends WalkControl {
  readonly scope: TenantScope;
  readonly pageSize: number;
}

/** Visits pages of tenants, two at once, until all are done or the signal comes. Throws POSTGRES_*, and what a visit throws. */
export async function walkTenants(
  reader: LedgerReader,
  { scope, pageSize, signal, onProgress }: Walk,
  visit: (tenantIds: readonly string[]) => Promise<void>,
): Promise<WalkResult> {
  let tenants = 0;
  let last = scope.kind === 'all' ? scope.after : '';
  let isStopped = false;
  const pages = scope.kind === 'all' ? allPages(reader, last, pageSize) : namedPages(scope.tenantIds, pageSize);
  const running: Visit[] = [];
  const finishOldest = async ({ tenantIds, done }: Visit): Promise<void> => {
    await done;
    tenants += tenantIds.length;
    last = tenantIds[tenantIds.length - 1] ?? last;
    onProgress?.(tenants, last);
  };
  try {
    for await (const tenantIds of pages) {
      isStopped = signal?.aborted === true;
      if (isStopped) break;
      running.push(startVisit(tenantIds, visit));
      if (running.length === VISITS_AT_ONCE) await finishOldest(takeOldest(running));
    }
    while (running.length > 0) await finishOldest(takeOldest(running));
  } finally {
    await Promise.allSettled(running.map(({ done }) => done));
  }
  return { tenants, next: isStopped ? last : null };
}

/** So that one page is read from PostgreSQL while another is read from Redis. */
const VISITS_AT_ONCE = 2;

interface Visit {
  readonly tenantIds: readonly string[];
  readonly done: Promise<void>;
}

function startVisit(tenantIds: readonly string[], visit: (tenantIds: readonly string[]) => Promise<void>): Visit {
  const done = visit(tenantIds);
  // Whoever awaits it hears of the failure; until then it is not one that nobody hears of.
  done.catch(() => undefined);
  return { tenantIds, done };
}

function takeOldest(running: Visit[]): Visit {
  const oldest = running.shift();
  invariant(oldest !== undefined, 'a page is under way');
  return oldest;
}

async function* allPages(reader: LedgerReader, from: string, size: number): AsyncGenerator<readonly string[]> {
  for (let after = from; ;) {
    const page = await reader.pageAccounts(after, size);
    if (page.length > 0) yield page.map(({ tenantId }) => tenantId);
    const last = page[page.length - 1];
    if (last === undefined || page.length < size) return;
    after = last.tenantId;
  }
}

/** By ascending id too, so that a walk over named tenants can be gone on with in the same way. */
function* namedPages(tenantIds: readonly string[], size: number): Generator<readonly string[]> {
  const distinct = [...new Set(tenantIds)].sort();
  for (let from = 0; from < distinct.length; from += size) yield distinct.slice(from, from + size);
}
