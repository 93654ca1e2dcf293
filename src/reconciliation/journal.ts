/**
 * Owns: the ledger as a double-entry journal for hledger: one balanced transaction for each entry that moves money.
 * Does not own: which entries (export-entries.ts), how names are written (journal-text.ts). Documented in docs/books.md.
 * Seen from the side of the tenants: what they have is an asset, what they use an expense, what they are given a revenue.
 *
 *   CREDIT       tenants:TENANT  +      funding:credits         −
 *   DEDUCT       tenants:TENANT  −      usage:PROVIDER:MODEL    +
 *   REFUND       tenants:TENANT  +      usage:PROVIDER:MODEL    −
 *   ADJUSTMENT   tenants:TENANT  ±      equity:adjustments      ∓
 *
 * Invariants: what is posted is the amount of the entry, and every posting to a tenant asserts the balance that the entry
 * left: so hledger adds up by itself and proves the ledger. An entry that moves no money is left out. Holds move none: they
 * are left out, or stand in unbalanced postings of their own.
 * A transaction's date is the day it was recorded, never before that of the tenant's entry before it.
 */
import { balanceEffect, type LedgerEntry } from '../ledger/entry.js';
import type { ExportedEntry } from '../ledger/postgres/export-rows.js';
import { accountPart, amountOf, commentText } from './journal-text.js';

/** What a journal holds besides the money. */
export interface JournalOptions {
  /** Holds as unbalanced postings to `(holds:TENANT)`. */
  readonly withHolds: boolean;
}

const HEAD = `; The ledger of Tollbook as a double-entry journal, seen from the side of the tenants (docs/books.md).
decimal-mark .
account tenants  ; type: A
account usage  ; type: X
account funding  ; type: R
account equity  ; type: E
account funding:credits
account equity:adjustments
account equity:opening
`;

/** Writes a journal piece by piece; remembers the currencies and models it has declared, and the tenant it is at. */
export class Journal {
  readonly #options: JournalOptions;
  readonly #declared = new Set<string>();
  #declaredTenantId = '';
  #tenantId = '';
  #day = '';

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** What a journal starts with. */
  head(): string {
    return this.#options.withHolds ? `${HEAD}account holds\n` : HEAD;
  }

  /** What a tenant had before the first entry exported, as its last entry before left it. */
  opening(last: LedgerEntry, since: string): string {
    const { tenantId, seq, balanceAfterNano, heldAfterNano } = last;
    const day = this.#enter(tenantId, since);
    const postings = [
      ...(balanceAfterNano === 0n ? [] : this.#moved(last, { other: 'equity:opening', byNano: balanceAfterNano })),
      ...this.#held(last, heldAfterNano),
    ];
    if (postings.length === 0) return '';
    const head = `\n${day} * (${seq}) opening balance\n    ; tenant:${tenantId}, seq:${seq}\n`;
    return this.#declareTenant(last) + head + postings.join('');
  }

  /** The transaction of an entry; empty for one that moves nothing. */
  entry(exported: ExportedEntry): string {
    const { entry, recordedAt } = exported;
    const day = this.#enter(entry.tenantId, recordedAt);
    const byNano = balanceEffect(entry);
    const other = counterAccount(exported);
    const postings = [
      ...(byNano === 0n ? [] : this.#moved(entry, { other, byNano })),
      ...this.#held(entry, entry.heldAfterNano - entry.heldBeforeNano),
    ];
    if (postings.length === 0) return '';
    const declarations = this.#declareTenant(entry) + (byNano === 0n ? '' : this.#declare(`account ${other}`));
    return `${declarations}\n${day} * (${entry.seq}) ${titleOf(exported)}\n${comments(entry)}${postings.join('')}`;
  }

  /** Turns to a tenant; returns the day of its next transaction. */
  #enter(tenantId: string, instant: string): string {
    const day = instant.slice(0, 10);
    this.#day = tenantId === this.#tenantId && this.#day > day ? this.#day : day;
    this.#tenantId = tenantId;
    return this.#day;
  }

  #moved(
    { tenantId, currency, balanceAfterNano }: LedgerEntry,
    { other, byNano }: { other: string; byNano: bigint },
  ): string[] {
    const assertion = `= ${amountOf(balanceAfterNano, currency)}`;
    return [
      `    tenants:${accountPart(tenantId)}  ${amountOf(byNano, currency)} ${assertion}\n`,
      `    ${other}  ${amountOf(-byNano, currency)}\n`,
    ];
  }

  #held({ tenantId, currency, heldAfterNano }: LedgerEntry, byNano: bigint): string[] {
    if (!this.#options.withHolds || byNano === 0n) return [];
    const account = `holds:${accountPart(tenantId)}`;
    return [`    (${account})  ${amountOf(byNano, currency)} = ${amountOf(heldAfterNano, currency)}\n`];
  }

  /** Declares a tenant and its currency before its first transaction, as `hledger check --strict` wants it. */
  #declareTenant({ tenantId, currency }: LedgerEntry): string {
    if (this.#declaredTenantId === tenantId) return '';
    this.#declaredTenantId = tenantId;
    const part = accountPart(tenantId);
    const holds = this.#options.withHolds ? `account holds:${part}\n` : '';
    return `${this.#declare(`commodity 1000.000000000 ${currency}`)}\naccount tenants:${part}\n${holds}`;
  }

  #declare(directive: string): string {
    if (this.#declared.has(directive)) return '';
    this.#declared.add(directive);
    return `\n${directive}\n`;
  }
}

function counterAccount({ entry, provider, model }: ExportedEntry): string {
  switch (entry.type) {
    case 'CREDIT':
      return 'funding:credits';
    case 'ADJUSTMENT':
    case 'LIMITS':
      return 'equity:adjustments';
    case 'DEDUCT':
    case 'REFUND':
      return `usage:${accountPart(provider ?? 'unknown')}:${accountPart(model ?? 'unknown')}`;
  }
}

function titleOf({ entry, provider, model }: ExportedEntry): string {
  switch (entry.type) {
    case 'CREDIT':
      return 'credit';
    case 'ADJUSTMENT':
      return 'adjustment';
    case 'LIMITS':
      return 'limits';
    case 'REFUND':
      return `refund of ${entry.referenceSeq}`;
    case 'DEDUCT':
      return `${accountPart(provider ?? 'unknown')} | ${accountPart(model ?? 'unknown')}`;
  }
}

function comments({ tenantId, traceId, seq, type, status, occurredAt, actor, description }: LedgerEntry): string {
  const tags = [
    `tenant:${tenantId}, trace:${traceId}, seq:${seq}`,
    `type:${type}, status:${status}, occurred:${occurredAt.slice(0, 10)}`,
  ];
  const texts = [
    ...(actor === null ? [] : [`actor ${commentText(actor)}`]),
    ...(description === null ? [] : [`why ${commentText(description)}`]),
  ];
  return [...tags, ...(texts.length === 0 ? [] : [texts.join(', ')])].map((line) => `    ; ${line}\n`).join('');
}
