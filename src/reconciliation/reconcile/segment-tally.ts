/**
 * Owns: what the messages of one segment came to: the lines of both sides, the counts, and what is missing.
 * Does not own: the judgements it adds up.
 * Invariants: lines keep the order of the messages, whenever they are judged; where both sides are equal, one line stands
 * for both.
 */
import type { BatchCounts } from '../../ledger/batch.js';
import type { EntryLine } from './entry-lines.js';
import type { Finding } from './findings.js';
import { isOpening } from './judge-message.js';
import type { Case, CountedAs, Judgement } from './judgement.js';
import type { SealedEntries } from './positioned-entries.js';
import type { OutcomeCounts } from './run-state.js';

/** A count in which a sealed batch and its messages differ. */
export interface WrongCount {
  readonly name: keyof BatchCounts;
  readonly counted: number;
  readonly found: number;
}

type SetAsideCounts = Record<Exclude<CountedAs, 'charged'>, number>;

/** What the messages of one segment came to. */
export class SegmentTally {
  /** What each message must have become. */
  readonly expected: string[];
  /** What the ledger has of each message where that is something else, by its index. */
  readonly #otherwise = new Map<number, string>();
  readonly #counts: SetAsideCounts = { duplicates: 0, superseded: 0, skipped: 0, unpriced: 0, deadLetters: 0 };
  readonly #lines: EntryLine[] = [];
  readonly findings: Finding[] = [];
  readonly subjects: Record<'duplicates' | 'superseded', Case[]> = { duplicates: [], superseded: [] };
  readonly missing: Case[] = [];
  #openings = 0;
  #repaired = 0;

  constructor(messages: number) {
    this.expected = new Array<string>(messages).fill('');
  }

  /** Whether the two sides differ anywhere. */
  get differs(): boolean {
    return this.#otherwise.size > 0;
  }

  /** Adds the judgement of the message with this index. */
  add(index: number, subject: Case, { expected, actual, countedAs, findings }: Judgement): void {
    this.expected[index] = expected;
    if (expected !== actual) this.#otherwise.set(index, actual);
    for (const line of subject.there.entries) this.#addEntry(line);
    if (subject.there.repair !== undefined) this.#repaired += 1;
    if (countedAs !== undefined && countedAs !== 'charged') this.#counts[countedAs] += 1;
    if (countedAs === 'duplicates' || countedAs === 'superseded') this.#addUnrecorded(countedAs, subject, findings);
    for (const finding of findings) this.findings.push(finding);
    if (findings.some(({ kind }) => kind === 'missing')) this.missing.push(subject);
  }

  /** If one of them was dropped, it is rather one with which something is wrong: those come first. */
  #addUnrecorded(countedAs: 'duplicates' | 'superseded', subject: Case, findings: readonly Finding[]): void {
    if (findings.length > 0) this.subjects[countedAs].unshift(subject);
    else this.subjects[countedAs].push(subject);
  }

  #addEntry(line: EntryLine): void {
    this.#lines.push(line);
    if (isOpening(line)) this.#openings += 1;
  }

  /** What the ledger has of each message. */
  actual(): string[] {
    return this.expected.map((line, index) => this.#otherwise.get(index) ?? line);
  }

  /** The entries that another batch than this says it sealed. */
  misplaced(batchId: number | undefined): EntryLine[] {
    return this.#lines.filter((line) => line.batchId !== batchId);
  }

  /** Where a batch counts other messages than these, given the entries that it sealed. */
  wrongCounts(counted: BatchCounts, { usage, openings }: SealedEntries): WrongCount[] {
    const found: BatchCounts = { ...this.#counts, charged: usage, openings };
    return (Object.keys(found) as (keyof BatchCounts)[])
      .filter((name) => found[name] !== counted[name])
      .map((name) => ({ name, counted: counted[name], found: found[name] }));
  }

  /** Adds everything to the counts of a range. */
  addTo(counts: OutcomeCounts): void {
    counts.messages += this.expected.length;
    counts.charged += this.#lines.length - this.#openings;
    counts.openings += this.#openings;
    counts.repaired += this.#repaired;
    counts.missing += this.missing.length;
    for (const [name, count] of Object.entries(this.#counts) as [keyof SetAsideCounts, number][]) counts[name] += count;
  }
}
