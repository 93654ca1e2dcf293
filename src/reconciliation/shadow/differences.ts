/**
 * Owns: what a comparison of a ledger and its shadow found: how many rows of each table, and the first differing ones.
 * Invariants: pure; memory is bounded: only the first differences, in the order of the batches, are kept.
 */

/** A field of a row that has one value in the ledger and another in the shadow; null is an absent value. */
export interface FieldDifference {
  readonly field: string;
  readonly live: string | null;
  readonly shadow: string | null;
}

/** A row that differs: it is on one side only, or has other values. */
export interface RowDifference {
  readonly table: string;
  readonly key: Readonly<Record<string, string>>;
  /** The batch that wrote it; null for what no single batch has written. */
  readonly batchId: number | null;
  readonly kind: 'onlyInLedger' | 'onlyInShadow' | 'different';
  /** The fields that differ; of a row on one side, none. */
  readonly fields: readonly FieldDifference[];
}

/** How a table compares. */
export interface TableTally {
  readonly table: string;
  /** Rows of the ledger that were compared. */
  rows: number;
  differences: number;
  /** Batches that differ in nothing but the hashes that follow from an earlier difference. */
  followers: number;
}

/** Collects differences. */
export class Differences {
  readonly #keptMax: number;
  readonly #tables = new Map<string, TableTally>();
  #first: RowDifference[] = [];

  constructor(keptMax: number) {
    this.#keptMax = keptMax;
  }

  /** The first differences: by batch, and what no batch has written last. */
  get first(): readonly RowDifference[] {
    return this.#first;
  }

  get tables(): readonly TableTally[] {
    return [...this.#tables.values()];
  }

  /** Rows that differ, of all tables. */
  get total(): number {
    return this.tables.reduce((sum, { differences }) => sum + differences, 0);
  }

  compared(table: string, rows: number): void {
    this.#tallyOf(table).rows += rows;
  }

  follows(table: string): void {
    this.#tallyOf(table).followers += 1;
  }

  add(difference: RowDifference): void {
    this.#tallyOf(difference.table).differences += 1;
    const last = this.#first[this.#first.length - 1];
    if (this.#first.length === this.#keptMax && last !== undefined && !isBefore(difference, last)) return;
    const place = this.#first.findIndex((known) => isBefore(difference, known));
    this.#first.splice(place === -1 ? this.#first.length : place, 0, difference);
    this.#first = this.#first.slice(0, this.#keptMax);
  }

  #tallyOf(table: string): TableTally {
    const known = this.#tables.get(table);
    if (known !== undefined) return known;
    const fresh = { table, rows: 0, differences: 0, followers: 0 };
    this.#tables.set(table, fresh);
    return fresh;
  }
}

function isBefore(one: RowDifference, other: RowDifference): boolean {
  return (one.batchId ?? Number.POSITIVE_INFINITY) < (other.batchId ?? Number.POSITIVE_INFINITY);
}
