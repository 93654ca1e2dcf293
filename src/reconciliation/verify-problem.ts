/**
 * Owns: what a proof can find wrong, and keeping the first of many findings.
 * Invariants: memory is bounded by the number of findings kept, however many there are; all are counted.
 */

/** What a finding is about. */
export type ProblemKind = 'entry' | 'account' | 'hold' | 'batch' | 'chain' | 'command' | 'setAside' | 'anchor';

/** One finding: a sentence that names the row and says what is wrong with it. */
export interface LedgerProblem {
  readonly kind: ProblemKind;
  readonly message: string;
  /** The entry it is about, if it is about one. */
  readonly entry?: { readonly tenantId: string; readonly seq: number };
}

/** Hears of a finding. */
export type ProblemReport = (problem: LedgerProblem) => void;

/** Keeps the first findings and counts all. */
export class ProblemLog {
  readonly #max: number;
  readonly #kept: LedgerProblem[] = [];
  #total = 0;

  /** Keeps `max` findings at most. */
  constructor(max: number) {
    this.#max = max;
  }

  readonly add: ProblemReport = (problem) => {
    this.#total += 1;
    if (this.#kept.length < this.#max) this.#kept.push(problem);
  };

  /** The findings kept, in the order in which they were made. */
  get kept(): readonly LedgerProblem[] {
    return this.#kept;
  }

  /** How many findings there were. */
  get total(): number {
    return this.#total;
  }
}
