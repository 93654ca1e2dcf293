/**
 * Owns: Redis's part in a replay. Redis cannot be asked again what it refused, and why is gone with it, so the gate of a
 * replay says what the ledger has recorded, but only where that was Redis's word and not the account's.
 * Does not own: the rule (ledger/quota-rule.ts).
 * Invariants: a refusal is taken over only when its figures are not those of the account at that entry. All others have to
 * be found again by the charging code, so that code which wrongly grants, or names other figures, shows.
 */
import type { PlannedEntry, PlannedItem } from '../../consumers/chunk-plan.js';
import type { QuotaGate } from '../../consumers/quota-gate.js';
import { type Account, evolve } from '../../ledger/account.js';
import type { LedgerEntry } from '../../ledger/entry.js';
import { parseAmount } from '../../ledger/money.js';
import { availableNano, monthOf, type QuotaDelta, type QuotaRefusal, usedIn } from '../../ledger/quota-rule.js';
import { isTollbookError } from '../../runtime/errors.js';

/** The gate of a replay: it answers for one recorded batch after the other. */
export class RecordedGate implements QuotaGate {
  readonly #onAsked: () => void;
  #entries: readonly LedgerEntry[] = [];
  /** Refusals taken over so far. */
  takenOver = 0;

  /** `onAsked` is called at every question, which is after decoding and before sealing. */
  constructor(onAsked: () => void) {
    this.#onAsked = onAsked;
  }

  /** From now on answers for a batch with these entries, by seq within each tenant; without refusals none are needed. */
  expect(entries: readonly LedgerEntry[]): void {
    this.#entries = entries;
  }

  refusals(
    planned: readonly PlannedItem[],
    accounts: ReadonlyMap<string, Account>,
  ): Promise<Map<PlannedEntry, QuotaRefusal>> {
    this.#onAsked();
    const words = wordsOfRedis(this.#entries, { planned, accounts });
    this.takenOver += words.size;
    return Promise.resolve(words);
  }
}

interface Question {
  readonly planned: readonly PlannedItem[];
  readonly accounts: ReadonlyMap<string, Account>;
}

/** What Redis refused among some recorded entries, by the planned entry it was asked about. */
export function wordsOfRedis(
  entries: readonly LedgerEntry[],
  { planned, accounts }: Question,
): Map<PlannedEntry, QuotaRefusal> {
  const words = new Map<PlannedEntry, QuotaRefusal>();
  if (entries.length === 0) return words;
  const byName = new Map(
    planned.flatMap((item) => (item.kind === 'entry' ? [[plannedName(item), item] as const] : [])),
  );
  const folds = new Map<string, Account | undefined>(accounts);
  for (const entry of entries) {
    const before = folds.get(entry.tenantId);
    const refusal = before === undefined ? undefined : recordedRefusal(entry);
    const item = byName.get(recordedName(entry));
    if (before !== undefined && refusal !== undefined && item !== undefined) {
      if (!isWordOfAccount(refusal, before, item.intent.delta)) words.set(item, refusal);
    }
    folds.set(entry.tenantId, before === undefined ? undefined : folded(before, entry));
  }
  return words;
}

function plannedName({ item: { tenantId, event, message } }: PlannedEntry): string {
  return `${message.kafkaOffset} ${tenantId} ${event.traceId}`;
}

function recordedName({ tenantId, traceId, source }: LedgerEntry): string {
  return `${source.kafkaOffset} ${tenantId} ${traceId}`;
}

/** The account after a recorded entry; undefined once the shadow's account is not the one the entries follow. */
function folded(account: Account, entry: LedgerEntry): Account | undefined {
  try {
    return evolve(account, entry);
  } catch (error) {
    if (isTollbookError(error, 'LEDGER_CORRUPT')) return undefined;
    throw error;
  }
}

function recordedRefusal({ status, description, detail }: LedgerEntry): QuotaRefusal | undefined {
  if ((status !== 'REFUSED' && status !== 'FAILED') || detail === null) return undefined;
  const { required = '', available = '', limit, used } = detail;
  if (description === 'INSUFFICIENT_BALANCE') {
    const [requiredNano, availableOfRedis] = [parseAmount(required, 'required'), parseAmount(available, 'available')];
    return { code: description, requiredNano, availableNano: availableOfRedis };
  }
  if (description !== 'DAILY_QUOTA_EXCEEDED' && description !== 'MONTHLY_QUOTA_EXCEEDED') return undefined;
  return { code: description, limit: Number(limit), used: Number(used) };
}

/** Whether the account itself has the figures of a refusal; the balance comes first, so a quota is its word only then. */
function isWordOfAccount(
  refusal: QuotaRefusal,
  account: Account,
  { availableNano: delta, checkBalance, day }: QuotaDelta,
): boolean {
  const available = availableNano(account);
  if (refusal.code === 'INSUFFICIENT_BALANCE') return refusal.availableNano === available;
  if (checkBalance && delta < 0n && available + delta < 0n) return false;
  const [limit, used] =
    refusal.code === 'DAILY_QUOTA_EXCEEDED'
      ? [account.dailyQuota, usedIn(day, account.dailyDate, account.dailyUsed)]
      : [account.monthlyQuota, usedIn(monthOf(day), account.monthlyMonth, account.monthlyUsed)];
  return refusal.limit === limit && refusal.used === used;
}
