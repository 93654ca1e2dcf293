/**
 * Owns: what is wrong with what Redis has of one tenant, held against the ledger at the version of its quota hash.
 * Does not own: reading either (audit-tenants.ts), the overlay's share of it (audit-overlay.ts), mending it (audit-repair.ts).
 * Invariants: pure. A hash that is behind for a moment is not wrong; in any case it is compared with the account as it was at
 * its version.
 * Nothing that a running charge or projection leaves for a moment is a difference.
 */
import type { Account } from '../ledger/account.js';
import type { AccountStanding } from '../ledger/ledger-history.js';
import type { TraceStep } from '../ledger/ledger-reader.js';
import { formatAmount } from '../ledger/money.js';
import { encodeQuotaHash, QUOTA_FIELDS } from '../lua/quota-codec.js';
import type { ObservedHash, QuotaObservation } from '../lua/quota-observation.js';
import type { DropSpec } from '../lua/quota-scripts.js';
import { amountText, type AuditTerms, type Difference, distance, type QuotaField } from './audit-difference.js';
import { overlayDifferences } from './audit-overlay.js';
import { quotaHashOf } from './quota-hash-of.js';

/** What is wrong with one tenant. */
export interface TenantDrift {
  readonly tenantId: string;
  /** The version of the hash; null when it is missing or cannot be read. */
  readonly version: number | null;
  /** The ledger's seq; null when the tenant has no account. */
  readonly seq: number | null;
  readonly differences: readonly Difference[];
  /** Items in flight that never reached the ledger in their time, to be dropped. */
  readonly leaked: readonly DropSpec[];
}

/** What is known of a tenant at the moment of the look. */
export interface TenantEvidence {
  readonly observation: QuotaObservation;
  readonly standing: AccountStanding;
  /** Every recorded step of the traces in flight. */
  readonly steps: readonly TraceStep[];
}

/** A tenant whose ledger has moved is projected within a second or so; ten leave room for a busy machine. */
const HYDRATION_MAX_MS = 10_000;

const MONEY: ReadonlySet<QuotaField> = new Set<QuotaField>(['balance', 'credit_limit', 'held']);

/** Judges one tenant; undefined when nothing is wrong. */
export function driftOf(evidence: TenantEvidence, terms: AuditTerms): TenantDrift | undefined {
  const { observation, standing } = evidence;
  const { account } = standing;
  const wrongAccount = accountDifferences(standing);
  const version = observation.hash.kind === 'read' ? observation.hash.version : null;
  const overlay = overlayDifferences(observation.overlay, { steps: evidence.steps, version }, terms);
  const differences = [
    ...(wrongAccount.length > 0 ? wrongAccount : hashDifferences(observation.hash, standing, terms.nowMs)),
    ...overlay.differences,
  ];
  if (differences.length === 0) return undefined;
  return { tenantId: account.tenantId, version, seq: account.seq, differences, leaked: overlay.leaked };
}

/** Whether the account itself is wrong: Redis is then not held against it, let alone set to it. */
export function isAccountWrong({ differences }: TenantDrift): boolean {
  return differences.some(({ field }) => field === 'account');
}

/** An account that does not say what its last entry left, or whose entries are missing. */
function accountDifferences({ account, lastEntry, corrupt }: AccountStanding): Difference[] {
  if (corrupt !== null) return [accountDifference(`entry ${account.seq}`, corrupt, 0n)];
  if (lastEntry === null)
    return [accountDifference(`at entry ${account.seq}`, 'an account whose last entry exists', 0n)];
  const fields = ['balanceNano', 'heldNano'] as const;
  return fields
    .filter((field) => account[field] !== lastEntry[field])
    .map((field) => {
      const [found, expected] = [account[field], lastEntry[field]];
      const name = field === 'balanceNano' ? 'balance' : 'held';
      return accountDifference(
        `${name} ${formatAmount(found)}`,
        `${formatAmount(expected)}, as entry ${account.seq} left it`,
        distance(found, expected),
      );
    });
}

function accountDifference(found: string, expected: string, amountNano: bigint): Difference {
  return { field: 'account', found, expected, amountNano, ageMs: null };
}

function hashDifferences(hash: ObservedHash, standing: AccountStanding, nowMs: number): Difference[] {
  const { account, then, recordedAt, nextRecordedAt } = standing;
  if (hash.kind === 'missing' && isJustWritten(standing, nowMs)) return [];
  if (hash.kind !== 'read') {
    const found = hash.kind === 'missing' ? 'missing' : hash.found;
    return [{ field: 'hash', found, expected: `the ledger at ${account.seq}`, amountNano: 0n, ageMs: null }];
  }
  if (hash.version > account.seq) {
    const found = String(hash.version);
    return [{ field: 'version', found, expected: `${account.seq} at most`, amountNano: 0n, ageMs: null }];
  }
  const ageMs = recordedAt === null ? null : Math.max(0, nowMs - Date.parse(recordedAt));
  const wrong = then === null ? [] : fieldDifferences(hash.values, then, ageMs);
  return wrong.length > 0 ? wrong : behindDifference(hash.version, { seq: account.seq, nextRecordedAt }, nowMs);
}

/** A hash whose next entry was recorded longer ago than any projection takes: nobody is about to set it. */
function behindDifference(
  version: number,
  { seq, nextRecordedAt }: { readonly seq: number; readonly nextRecordedAt: string | null },
  nowMs: number,
): Difference[] {
  if (nextRecordedAt === null) return [];
  const ageMs = nowMs - Date.parse(nextRecordedAt);
  if (ageMs < HYDRATION_MAX_MS) return [];
  return [{ field: 'version', found: String(version), expected: String(seq), amountNano: 0n, ageMs }];
}

/** Whether the ledger has just moved: a hash that is missing is then about to be projected. */
function isJustWritten({ lastEntry }: AccountStanding, nowMs: number): boolean {
  if (lastEntry === null) return false;
  const ageMs = nowMs - Date.parse(lastEntry.recordedAt);
  return ageMs >= 0 && ageMs < HYDRATION_MAX_MS;
}

/** Compares the values with those of an account. */
function fieldDifferences(values: readonly string[], account: Account, ageMs: number | null): Difference[] {
  const expected = encodeQuotaHash(quotaHashOf(account));
  return QUOTA_FIELDS.flatMap((field, index) => {
    const [found, wanted] = [values[index] ?? '', expected[index] ?? ''];
    return found === wanted ? [] : [fieldDifference(field, { found, wanted }, ageMs)];
  });
}

function fieldDifference(
  field: QuotaField,
  { found, wanted }: { found: string; wanted: string },
  ageMs: number | null,
): Difference {
  if (!MONEY.has(field)) return { field, found: found || 'nothing', expected: wanted, amountNano: 0n, ageMs };
  const foundNano = nanoOf(found);
  const wantedNano = BigInt(wanted);
  return {
    field,
    found: foundNano === undefined ? found || 'nothing' : amountText(foundNano),
    expected: amountText(wantedNano),
    amountNano: distance(foundNano ?? 0n, wantedNano),
    ageMs,
  };
}

/** Reads nano-units as somebody may have written them. */
function nanoOf(text: string): bigint | undefined {
  return /^-?\d{1,24}$/.test(text) ? BigInt(text) : undefined;
}
