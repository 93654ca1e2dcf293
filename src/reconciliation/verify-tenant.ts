/**
 * Owns: what must hold along the entries of one tenant: genuine hashes, a gapless sequence, recorded times that never fall,
 * balances and holds that continue each other, and the account that they fold to.
 * Does not own: reading the entries, nor what is stored beside them (account-proof.ts).
 * Invariants: pure; a broken entry is reported and taken over as it stands, so that one fault gives few findings; the
 * fold is `evolve` itself.
 * Amounts are compared as texts where they must be equal, since most entries change one amount of four. On the hot path
 * no object is spread: that alone cost 10 µs an entry.
 */
import { type Account, emptyAccount, evolve, termsOf } from '../ledger/account.js';
import { balanceEffect, type EntryStatus, type EntryType, type LedgerEntry } from '../ledger/entry.js';
import { unescapedField } from '../ledger/entry-fields.js';
import { type AmountNano, formatAmount, parseAmount, ZERO } from '../ledger/money.js';
import { fieldText, type LeafLine } from '../ledger/postgres/leaf-lines.js';
import { isTollbookError } from '../runtime/errors.js';
import type { ProblemKind, ProblemReport } from './verify-problem.js';
import { exceededProblem, refusalProblem } from './verify-refusals.js';

/** A hold that the entries have opened and not ended. */
export interface OpenHoldFact {
  readonly seq: number;
  readonly heldNano: bigint;
  /** `\N` when it counts no request. */
  readonly countedOn: string;
}

/** Follows the entries of one tenant, by seq. */
export class TenantFold {
  readonly tenantId: string;
  /** By trace id, as its field is written. */
  readonly openHolds = new Map<string, OpenHoldFact>();
  /** Sum of what the COMMITTED deductions took. */
  chargedNano = 0n;
  readonly #report: ProblemReport;
  #account: Account | undefined;
  /** Whether no entry is missing that could have changed the terms since they were last recorded. */
  #termsAreKnown = false;
  #last: Pick<LeafLine, 'balanceAfter' | 'heldAfter' | 'recordedAt'> = {
    ...{ balanceAfter: '0.000000000', heldAfter: '0.000000000', recordedAt: '' },
  };

  constructor(tenantId: string, report: ProblemReport) {
    this.tenantId = fieldText(tenantId);
    this.#report = report;
  }

  /** The fold of the entries so far; undefined before the first. */
  get account(): Account | undefined {
    return this.#account;
  }

  /** Takes the next entry. */
  add(line: LeafLine): void {
    const seq = Number(line.seq);
    if (!line.isGenuine) this.#found(seq, 'does not have the hash of its content');
    const before = this.#account ?? this.#opened(line, seq);
    this.#checkSequence(line, { seq, expected: before.seq + 1 });
    if (seq > before.seq + 1) this.#termsAreKnown = false;
    if (line.type === 'LIMITS' && line.detail !== null) this.#termsAreKnown = true;
    const amounts = this.#amountsOf(line, before);
    this.#checkBalance(line, amounts);
    if (line.status === 'PENDING') this.#checkHold(line, amounts, before);
    else this.#checkRelease(line, amounts);
    if (REFUSED.has(line.status)) this.#checkRefusal(line, amounts, before);
    else if (line.detail !== null && line.status === 'COMMITTED') this.#checkExceeded(line, before);
    if (line.currency !== before.currency)
      this.#found(seq, `is in ${line.currency}, the account in ${before.currency}`);
    if (line.recordedAt < this.#last.recordedAt) {
      this.#found(seq, `was recorded at ${line.recordedAt}, the entry before it at ${this.#last.recordedAt}`);
    }
    this.#account = this.#folded(before, line, amounts);
    this.#last = line;
  }

  /** The account before its first entry, which is to carry its terms. */
  #opened({ detail, type, currency, occurredOn }: LeafLine, seq: number): Account {
    const opening = { tenantId: this.tenantId, currency, day: occurredOn };
    try {
      if (type === 'LIMITS' && detail !== null) return emptyAccount(opening, termsOf(detail));
    } catch (error) {
      if (!isTollbookError(error, 'LEDGER_CORRUPT')) throw error;
    }
    if (seq === 1) this.#found(seq, 'does not open the account: it carries no terms');
    return emptyAccount(opening, NO_TERMS);
  }

  #checkSequence({ balanceBefore, heldBefore }: LeafLine, { seq, expected }: { seq: number; expected: number }): void {
    if (seq > expected) this.#missing(expected, seq - 1);
    if (seq !== expected) return;
    const { balanceAfter, heldAfter } = this.#last;
    if (balanceBefore !== balanceAfter) {
      this.#found(seq, `starts from balance ${balanceBefore}, the entry before it left ${balanceAfter}`);
    }
    if (heldBefore !== heldAfter) {
      this.#found(seq, `starts from ${heldBefore} held, the entry before it left ${heldAfter}`);
    }
  }

  #missing(first: number, last: number): void {
    const what = first === last ? `#${first} is missing` : `#${first} to #${last} are missing`;
    const message = `entry ${this.tenantId}${what}: #${last + 1} does not follow #${first - 1}`;
    this.#report({ kind: 'entry', message, entry: { tenantId: this.tenantId, seq: first } });
  }

  #amountsOf(line: LeafLine, { balanceNano, heldNano }: Account): LineAmounts {
    const balanceBefore = line.balanceBefore === this.#last.balanceAfter ? balanceNano : nanoOf(line.balanceBefore);
    const heldBefore = line.heldBefore === this.#last.heldAfter ? heldNano : nanoOf(line.heldBefore);
    return {
      balanceBefore,
      balanceAfter: line.balanceAfter === line.balanceBefore ? balanceBefore : nanoOf(line.balanceAfter),
      heldBefore,
      heldAfter: line.heldAfter === line.heldBefore ? heldBefore : nanoOf(line.heldAfter),
    };
  }

  #checkBalance(line: LeafLine, { balanceBefore, balanceAfter }: LineAmounts): void {
    const moved = balanceAfter - balanceBefore;
    const effect = effectOf(line);
    if (line.type === 'DEDUCT') this.chargedNano -= effect;
    if (moved === effect) return;
    this.#found(Number(line.seq), `moves the balance by ${decimal(moved)}, its amount says ${decimal(effect)}`);
  }

  /** A hold is its amount under hold policy `estimate`, nothing under `none`. */
  #checkHold(line: LeafLine, { heldBefore, heldAfter }: LineAmounts, { holdPolicy }: Account): void {
    const moved = heldAfter - heldBefore;
    const seq = Number(line.seq);
    this.openHolds.set(detached(line.traceId), { seq, heldNano: moved, countedOn: detached(line.countedOn) });
    const amount = nanoOf(line.amount);
    if (!this.#termsAreKnown && (moved === 0n || moved === amount)) return;
    const expected = holdPolicy === 'estimate' ? amount : 0n;
    if (moved === expected) return;
    const policy = this.#termsAreKnown ? ` under hold policy ${holdPolicy}` : '';
    this.#found(seq, `holds ${decimal(moved)}, its amount is ${line.amount}${policy}`, 'hold');
  }

  /** Without the terms, or after a gap, nobody knows what the account would have said. */
  #checkRefusal(line: LeafLine, { heldBefore, heldAfter }: LineAmounts, before: Account): void {
    const seq = Number(line.seq);
    if (!this.#termsAreKnown || !line.isGenuine || before.seq !== seq - 1) return;
    const requiredNano = nanoOf(line.amount) - (heldBefore - heldAfter);
    const problem = refusalProblem({ line, requiredNano }, before);
    if (problem !== undefined) this.#found(seq, problem);
  }

  #checkExceeded(line: LeafLine, before: Account): void {
    const seq = Number(line.seq);
    if (!this.#termsAreKnown || !line.isGenuine || before.seq !== seq - 1) return;
    const problem = exceededProblem(line, before);
    if (problem !== undefined) this.#found(seq, problem);
  }

  #checkRelease(line: LeafLine, { heldBefore, heldAfter }: LineAmounts): void {
    const moved = heldAfter - heldBefore;
    const seq = Number(line.seq);
    const ended = ENDS_HOLD.has(line.status) && line.type === 'DEDUCT' ? this.#end(line.traceId) : undefined;
    const expected = -(ended?.heldNano ?? 0n);
    if (line.status === 'EXPIRED' && ended === undefined) this.#found(seq, 'expires a hold that is not open', 'hold');
    if (moved === expected) return;
    this.#found(seq, `changes what is held by ${decimal(moved)}, its trace held ${decimal(-expected)}`, 'hold');
  }

  #end(traceId: string): OpenHoldFact | undefined {
    const hold = this.openHolds.get(traceId);
    if (hold !== undefined) this.openHolds.delete(traceId);
    return hold;
  }

  #folded(before: Account, line: LeafLine, amounts: LineAmounts): Account {
    const { tenantId } = this;
    const seq = Number(line.seq);
    const { balanceBefore: balanceNano, heldBefore: heldNano } = amounts;
    const follows = before.seq === seq - 1 && before.balanceNano === balanceNano && before.heldNano === heldNano;
    const entry = {
      tenantId,
      seq,
      type: line.type as EntryType,
      detail: line.detail,
      requests: Number(line.requests) as LedgerEntry['requests'],
      countedOn: unescapedField(line.countedOn),
      balanceBeforeNano: balanceNano,
      balanceAfterNano: amounts.balanceAfter,
      heldBeforeNano: heldNano,
      heldAfterNano: amounts.heldAfter,
    };
    const start = follows ? before : { ...before, balanceNano, heldNano, seq: seq - 1 };
    try {
      return evolve(start, entry);
    } catch (error) {
      if (!isTollbookError(error, 'LEDGER_CORRUPT')) throw error;
      this.#found(seq, `cannot be folded: ${error.message}`);
      return evolve(start, { ...entry, detail: null });
    }
  }

  #found(seq: number, what: string, kind: ProblemKind = 'entry'): void {
    const { tenantId } = this;
    this.#report({ kind, message: `entry ${tenantId}#${seq} ${what}`, entry: { tenantId, seq } });
  }
}

interface LineAmounts {
  readonly balanceBefore: AmountNano;
  readonly balanceAfter: AmountNano;
  readonly heldBefore: AmountNano;
  readonly heldAfter: AmountNano;
}

const NO_TERMS = { creditLimitNano: ZERO, dailyQuota: null, monthlyQuota: null, holdPolicy: 'estimate' } as const;
const REFUSED: ReadonlySet<string> = new Set<EntryStatus>(['REFUSED', 'FAILED']);
const ENDS_HOLD: ReadonlySet<string> = new Set<EntryStatus>(['COMMITTED', 'FAILED', 'VOIDED', 'EXPIRED']);
const DECIMALS = 9;

/** Reads an amount as numeric(28,9) is written, without the checks that a column of that type makes needless. */
function nanoOf(text: string): AmountNano {
  const point = text.length - DECIMALS - 1;
  if (text[point] !== '.') return parseAmount(text);
  return BigInt(text.slice(0, point) + text.slice(point + 1)) as AmountNano;
}

function effectOf({ type, status, amount }: LeafLine): bigint {
  if (status !== 'COMMITTED' || type === 'LIMITS') return 0n;
  return balanceEffect({ type: type as EntryType, status, amountNano: nanoOf(amount) });
}

function decimal(nano: bigint): string {
  return formatAmount(nano as AmountNano);
}

/** A copy of a text that was cut out of a larger one, which would otherwise be kept as long as the copy. */
function detached(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
