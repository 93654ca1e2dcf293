/**
 * Owns: the fold of one tenant's entries as they are read, and how it stands to the stored account.
 * Invariants: pure. A fold that meets an entry that does not follow, or that contradicts itself, stops there for good: no
 * account is ever made of a broken ledger.
 */
import { type Account, emptyAccount, evolve, termsOf } from '../ledger/account.js';
import { balanceEffect } from '../ledger/entry.js';
import { type AmountNano, formatAmount } from '../ledger/money.js';
import type { FoldRow } from '../ledger/postgres/fold-rows.js';
import { isTollbookError } from '../runtime/errors.js';

/** How far a fold came: an account, or the first entry that makes no sense. */
export type Fold =
  { readonly kind: 'account'; readonly account: Account } | { readonly kind: 'corrupt'; readonly problem: string };

/** One field of an account that is not what the entries say. */
export interface AccountDifference {
  /** The column of the accounts table; `account` for a row that is missing. */
  readonly field: string;
  /** Amounts in currency units with nine decimals. */
  readonly found: string;
  readonly expected: string;
}

/** Folds the next entry of a tenant; undefined is a tenant without any so far. */
export function foldNext(before: Fold | undefined, row: FoldRow): Fold {
  if (before?.kind === 'corrupt') return before;
  const movedNano = row.balanceAfterNano - row.balanceBeforeNano;
  const effectNano = balanceEffect(row);
  if (movedNano !== effectNano) {
    const [moved, effect] = [movedNano, effectNano].map((nano) => formatAmount(nano as AmountNano));
    return corrupt(`entry ${row.tenantId}#${row.seq} moves the balance by ${moved}, its amount says ${effect}`);
  }
  try {
    return { kind: 'account', account: evolve(before?.account ?? opened(row), row) };
  } catch (error) {
    if (isTollbookError(error, 'LEDGER_CORRUPT')) return corrupt(error.message);
    throw error;
  }
}

function corrupt(problem: string): Fold {
  return { kind: 'corrupt', problem };
}

/** The account before its first entry, which carries its terms. */
function opened({ tenantId, currency, occurredAt, detail }: FoldRow): Account {
  return emptyAccount({ tenantId, currency, day: occurredAt }, termsOf(detail ?? {}));
}

/** Compares a stored account with the fold of its entries, field by field. */
export function accountDifferences(stored: Account | undefined, folded: Account): AccountDifference[] {
  if (stored === undefined) {
    return [{ field: 'account', found: 'missing', expected: `the fold of ${folded.seq} entries` }];
  }
  return (Object.keys(folded) as (keyof Account)[])
    .filter((field) => stored[field] !== folded[field])
    .map((field) => ({ field: columnOf(field), found: textOf(stored[field]), expected: textOf(folded[field]) }));
}

/** `creditLimitNano` is kept in `credit_limit`. */
function columnOf(field: keyof Account): string {
  return field.replace(/Nano$/, '').replace(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`);
}

function textOf(value: Account[keyof Account]): string {
  if (typeof value === 'bigint') return formatAmount(value);
  return value === null ? 'unlimited' : String(value);
}
