/**
 * Owns: the judgement of a window: matching messages with what the ledger has at their positions, looking up what some of
 * them need, and holding the counts of each sealed batch against what its messages came to.
 * Does not own: reading the window (window-loader.ts), the judgement of a message (judge-message.ts).
 * Invariants: messages are judged in the order of their batches, each once; an entry that no message claimed is a finding,
 * at the latest when its offset has been passed.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { IntakeItem } from '../../consumers/intake.js';
import { intake } from '../../consumers/intake.js';
import type { StreamSource } from '../../ledger/batch.js';
import { letterName } from '../../ledger/dead-letter.js';
import type { EntryLine } from './entry-lines.js';
import type { TopicMessage } from '../topic/partition-reader.js';
import { extraEntry, extraRow, misplacedEntry, unsealedOffsets, wrongCounts } from './findings.js';
import { sourceName } from './frozen-ranges.js';
import type { Case, JudgePorts, Judgement, RecordedThere } from './judgement.js';
import { judge } from './judge-message.js';
import type { BatchSeal } from './ledger-batches.js';
import { PositionedEntries, type SealedEntries } from './positioned-entries.js';
import { SegmentTally } from './segment-tally.js';
import { invariant } from '../../runtime/errors.js';
import { nameMap } from '../../runtime/name-map.js';
import { chained, noteFinding, noteRepairable, type RangeState, type RunState } from './run-state.js';
import type { Segment, Window } from './window-loader.js';
import { needsLookUp, NO_FACTS } from './window-knowledge.js';

/** What judging a window works with. */
export interface WindowJudgePorts extends JudgePorts {
  /** Looks up what cases need beyond their positions, and gives it to them. */
  readonly lookUp: (cases: readonly Case[]) => Promise<Pick<JudgePorts, 'quoteOf'>>;
  /** Hears every event that decodes, for its producer's numbers. */
  readonly onMessage: (message: TopicMessage, item: IntakeItem) => void;
}

/** Nothing is refused for its size or time here: what was refused for them is judged by what was recorded. */
const ANY_SIZE_AND_TIME = {
  eventBytesMax: Number.MAX_SAFE_INTEGER,
  eventAgeMaxMs: Number.POSITIVE_INFINITY,
  nowMs: 8_640_000_000_000_000,
};

/** Judges a window and notes everything in the state. Throws what the look-ups throw. */
export async function judgeWindow(ports: WindowJudgePorts, state: RunState, window: Window): Promise<void> {
  const entries = new PositionedEntries([...state.stray, ...window.entries]);
  const claimed = new Set<string>();
  const waiting: Waiting[] = [];
  const tallies: SegmentTally[] = [];
  for (const segment of window.segments) {
    tallies.push(judgeAtOnce(ports, segment, { input: { window, entries, claimed, ports }, waiting }));
    await nextTurn();
  }
  const quotes = await ports.lookUp(waiting.flatMap(({ subject }) => [subject, ...amendedOf(subject)]));
  const judging: JudgePorts = { ...ports, ...quotes };
  for (const { tally, index, subject } of waiting) tally.add(index, subject, judge(judging, subject));
  for (const [index, segment] of window.segments.entries()) {
    const tally = tallies[index];
    if (tally !== undefined) close(state, segment, { tally, sealed: entries.sealedBy(segment.batch?.batchId) });
  }
  noteUnclaimed(state, { window, entries, claimed });
  state.after = window.span.through;
}

/** A message that is judged once what it needs has been looked up. */
interface Waiting {
  readonly tally: SegmentTally;
  readonly index: number;
  readonly subject: Case;
}

/** Judges what needs no look-up, which is nearly everything, while it is decoded: nothing of it has to be kept. */
function judgeAtOnce(
  ports: JudgePorts,
  segment: Segment,
  { input, waiting }: { readonly input: CaseInput; readonly waiting: Waiting[] },
): SegmentTally {
  const tally = new SegmentTally(segment.messages.length);
  for (const [index, message] of segment.messages.entries()) {
    const subject = caseOf(segment, message, input);
    if (segment.isAcceptedGap) tally.add(index, subject, acceptedGap(subject));
    else if (needsLookUp(subject) || amendedOf(subject).some(needsLookUp)) waiting.push({ tally, index, subject });
    else tally.add(index, subject, judge(ports, subject));
  }
  return tally;
}

interface CaseInput {
  readonly window: Window;
  readonly entries: PositionedEntries;
  readonly claimed: Set<string>;
  readonly ports: WindowJudgePorts;
}

function caseOf(segment: Segment, message: TopicMessage, { window, entries, claimed, ports }: CaseInput): Case {
  const { walked, batch, through } = segment;
  const there = thereOf(entries.claim(walked.name, message.kafkaOffset), {
    window,
    claimed,
    name: `${walked.name}/${message.kafkaOffset}`,
  });
  const item = intake(message, walked.kind, ANY_SIZE_AND_TIME);
  ports.onMessage(message, item);
  const subject: Case = {
    origin: walked.source,
    place: { source: walked.source, kafkaOffset: message.kafkaOffset, batchId: batch?.batchId ?? through },
    sealedAt: batch?.sealedAt,
    facts: NO_FACTS,
    message,
    item,
    there,
  };
  const value = there.redrive?.amendedValue ?? null;
  if (value === null) return subject;
  const { kafkaOffset, key, timestampMs } = message;
  const copy: TopicMessage = { kafkaOffset, key, value, headers: nameMap([]), timestampMs };
  return { ...subject, amended: { ...subject, message: copy, item: intake(copy, walked.kind, ANY_SIZE_AND_TIME) } };
}

function amendedOf({ amended }: Case): Case[] {
  return amended === undefined ? [] : [amended];
}

/** What the ledger has at a position; nearly always its entry alone. */
function thereOf(
  entries: readonly EntryLine[],
  { window, claimed, name }: { window: Window; claimed: Set<string>; name: string },
): RecordedThere {
  const [letter, skip, repair] = [window.letters.get(name), window.skips.get(name), window.repairs.get(name)];
  if (letter !== undefined || skip !== undefined) claimed.add(name);
  return { entries, letter, skip, repair, redrive: letter === undefined ? undefined : window.redrives.get(name) };
}

function rangeOf(state: RunState, source: StreamSource): RangeState | undefined {
  const name = sourceName(source);
  return state.ranges.find(({ range }) => sourceName(range.source) === name);
}

function acceptedGap({ message, there }: Case): Judgement {
  const line = `${message.kafkaOffset}\tacceptedGap`;
  return {
    expected: line,
    actual: line,
    countedAs: undefined,
    findings: there.entries.map((entry) => extraEntry(entry, 'an operator accepted the loss of that message')),
  };
}

/** Notes what a segment came to, and moves its range on. */
function close(
  state: RunState,
  segment: Segment,
  { tally, sealed }: { readonly tally: SegmentTally; readonly sealed: SealedEntries },
): void {
  const range = rangeOf(state, segment.walked.source);
  invariant(range !== undefined, 'every segment is of a frozen range');
  for (const finding of tally.findings) noteFinding(state, finding);
  for (const line of tally.misplaced(segment.batch?.batchId))
    noteFinding(state, misplacedEntry(line, coverOf(segment)));
  for (const subject of tally.missing) noteMissing(state, range, subject);
  noteCounts(state, segment, { tally, sealed, range });
  noteUnsealed(state, segment);
  tally.addTo(range.counts);
  if (segment.isAcceptedGap) range.counts.acceptedGap += segment.messages.length;
  range.expired.push(...segment.expired);
  range.position = segment.to;
  const wereEqual = range.expectedDigest === range.actualDigest;
  range.expectedDigest = chained(range.expectedDigest, tally.expected);
  const areEqual = wereEqual && !tally.differs;
  range.actualDigest = areEqual ? range.expectedDigest : chained(range.actualDigest, tally.actual());
}

function coverOf({ batch }: Segment): string {
  return batch === undefined ? 'no sealed batch' : `batch ${sourceName(batch.source)}#${batch.batchNo}`;
}

function noteMissing(state: RunState, range: RangeState, { message, sealedAt }: Case): void {
  const index = state.ranges.indexOf(range);
  noteRepairable(state, { range: index, kafkaOffset: message.kafkaOffset, sealedAt: sealedAt ?? null });
}

function noteUnsealed(state: RunState, { walked, from, to, batch, isAcceptedGap, messages }: Segment): void {
  if (batch !== undefined || isAcceptedGap || messages.length === 0) return;
  noteFinding(state, unsealedOffsets(`${sourceName(walked.source)}/${from}-${to - 1n}`, messages.length));
}

/** Holds what a batch counts against what its messages came to. What is short of a duplicate can be repaired. */
function noteCounts(
  state: RunState,
  { batch, isWhole, walked }: Segment,
  { tally, sealed, range }: { tally: SegmentTally; sealed: SealedEntries; range: RangeState },
): void {
  if (batch === undefined || !isWhole) return;
  const wrong = tally.wrongCounts(batch.counts, sealed);
  if (wrong.length === 0) return;
  noteFinding(state, wrongCounts(`${sourceName(walked.source)}/${batch.firstOffset}-${batch.nextOffset - 1n}`, wrong));
  for (const { name, counted, found } of wrong) {
    if (name !== 'duplicates' && name !== 'superseded') continue;
    for (const subject of tally.subjects[name].slice(0, Math.max(0, found - counted)))
      noteMissing(state, range, subject);
  }
}

function noteUnclaimed(
  state: RunState,
  { window, entries, claimed }: { window: Window; entries: PositionedEntries; claimed: ReadonlySet<string> },
): void {
  state.stray = [];
  const batches = new Map(window.segments.map(({ batch }) => [batch?.batchId, batch]));
  for (const line of entries.unclaimed()) {
    const range = rangeOf(state, line.source);
    if (range === undefined || line.kafkaOffset < range.range.from || line.kafkaOffset >= range.range.to) {
      if (isOutside(batches.get(line.batchId), line))
        noteFinding(state, extraEntry(line, 'its batch does not cover that offset'));
      continue;
    }
    if (line.kafkaOffset < range.position) noteFinding(state, extraEntry(line, 'Kafka holds no such message'));
    else if (state.stray.length < STRAY_MAX) state.stray.push(line);
    else noteFinding(state, extraEntry(line, 'its batch does not cover that offset'));
  }
  for (const [rows, what] of [[window.letters, 'a dead letter'] as const, [window.skips, 'a skipped event'] as const]) {
    for (const name of rows.keys()) if (!claimed.has(name)) noteFinding(state, extraRow(name, what));
  }
}

const STRAY_MAX = 10_000;

/** Whether the batch that an entry names was walked in this window, and does not reach to where it says it comes from. */
function isOutside(batch: BatchSeal | undefined, { source, kafkaOffset }: EntryLine): boolean {
  if (batch === undefined) return false;
  const isSameSource = sourceName(batch.source) === sourceName(source);
  return !isSameSource || kafkaOffset < batch.firstOffset || kafkaOffset >= batch.nextOffset;
}

/** Notes the entries that no message has claimed by the end. */
export function noteStrayLeft(state: RunState): void {
  for (const line of state.stray) {
    noteFinding(state, extraEntry(line, `no message was found at ${letterName({ ...line.source, ...line })}`));
  }
  state.stray = [];
}
