/**
 * Owns: steps 1 to 5 of a redrive (its header, redrive.ts, tells them) for one chunk of dead letters, in one database
 * transaction.
 * Does not own: the commit, nor the repetition without what is a dead letter again.
 * Invariants: a message is numbered only once it decodes, so the numbers of a redrive stream have no gaps.
 */
import type { StreamSource } from '../ledger/batch.js';
import { lockCommandCursor } from '../ledger/commands/command-stream.js';
import {
  type DeadLetterReason,
  type LetterAction,
  letterName,
  type LetterPosition,
  type LetterState,
  type LetterSummary,
  type RedriveOutcome,
  type StoredLetter,
} from '../ledger/dead-letter.js';
import type { DeadLetterStore, DeadLetterTransaction } from '../ledger/dead-letter-store.js';
import type { EntryStatus } from '../ledger/entry.js';
import type { Cursor } from '../ledger/ledger-store.js';
import { invariant, TollbookError } from '../runtime/errors.js';
import { nameMap } from '../runtime/name-map.js';
import { type ChargedItems, chargeItems, type ChargePorts } from './chunk-charge.js';
import type { PlannedItem } from './chunk-plan.js';
import { type ChunkMessage, intake, type IntakeItem, type IntakeLimits, type UsageKind } from './intake.js';

/** What a redrive works with. */
export interface RedrivePorts extends ChargePorts {
  readonly letters: DeadLetterStore;
  readonly limits: IntakeLimits;
  /** Topic name → which event it carries. */
  readonly topics: ReadonlyMap<string, UsageKind>;
}

/** Which letters are redriven, in this order, and on whose word. */
export interface RedriveOrder {
  readonly letters: readonly LetterSummary[];
  readonly actor: string;
  readonly reason: string | null;
  /** Find out what they would come to, and write nothing. */
  readonly isDryRun: boolean;
  /** A corrected copy that is charged in place of the value of the one letter that is ordered. */
  readonly amendedValue?: Buffer | undefined;
}

/** The entry that a redriven message became. */
export interface RedrivenEntry {
  readonly tenantId: string;
  readonly seq: number;
  readonly status: EntryStatus;
}

/** What a redrive came to for one letter: redriven now, closed before, or a dead letter again and still open. */
export type LetterRedrive = { readonly position: LetterPosition } & (
  | { readonly kind: 'redriven'; readonly outcome: RedriveOutcome; readonly entry: RedrivenEntry | undefined }
  | { readonly kind: 'closed'; readonly state: Exclude<LetterState, 'open'> }
  | { readonly kind: 'stillDead'; readonly reason: DeadLetterReason; readonly detail: string }
);

/** Letters that are redriven together. */
export interface RedriveChunk {
  readonly source: StreamSource;
  readonly letters: readonly LetterSummary[];
}

/** Which event a topic carries. Throws TOPIC_UNKNOWN. */
export function kindOf({ topics }: Pick<RedrivePorts, 'topics'>, topic: string): UsageKind {
  const kind = topics.get(topic);
  if (kind !== undefined) return kind;
  throw new TollbookError(
    'TOPIC_UNKNOWN',
    `the topic is ${topic}; allowed: ${[...topics.keys()].join(' or ')}; set TOLLBOOK_TOPIC_PENDING or ` +
      `TOLLBOOK_TOPIC_COMPLETED to ${topic} for this command, whichever it carried`,
    { context: { topic } },
  );
}

/** What one attempt at a chunk came to: kept (`isWritten`), over without a change, or to be repeated without some letters. */
export interface RedriveAttempt {
  readonly results: readonly LetterRedrive[];
  readonly isWritten: boolean;
  readonly isFinal: boolean;
}

/** What one attempt is about: the chunk, but for the letters found dead again before. */
export interface AttemptInput {
  readonly chunk: RedriveChunk;
  readonly order: RedriveOrder;
  readonly stillDead: ReadonlyMap<string, LetterRedrive>;
}

/** Runs steps 1 to 5 in the caller's database transaction. Throws DEAD_LETTER_UNKNOWN, TOPIC_UNKNOWN, POSTGRES_*. */
export async function attemptRedrive(
  ports: RedrivePorts,
  transaction: DeadLetterTransaction,
  { chunk, order, stillDead }: AttemptInput,
): Promise<RedriveAttempt> {
  const cursor = await lockCommandCursor(transaction.ledger, chunk.source);
  const stored = await transaction.lockLetters(chunk.letters);
  const byName = new Map(stored.map((letter) => [letterName(letter), letter]));
  const wanted = chunk.letters.map((letter) => byName.get(letterName(letter)) ?? missing(letter));
  const open = wanted.filter((letter) => letter.state === 'open' && !stillDead.has(letterName(letter)));
  const { decoded, refused } = decode(ports, open, { cursor, amendedValue: order.amendedValue });
  const before = [...wanted.flatMap(closedResult), ...refused];
  if (decoded.length === 0) return { results: before, isWritten: false, isFinal: true };
  const nextOffset = cursor.nextOffset + BigInt(decoded.length);
  const charged = await chargeItems(ports, transaction.ledger, {
    cursor,
    items: decoded.map(({ item }) => item),
    nextOffset,
  });
  const again = deadAgain(charged, decoded, cursor);
  if (again.length > 0) return { results: again, isWritten: false, isFinal: false };
  const redriven = redrivenOf(charged, decoded);
  await transaction.record(redriven.map((each) => actionOf(each, { order, charged })));
  return { results: [...before, ...redriven.map(resultOf)], isWritten: true, isFinal: true };
}

/** An open letter whose message decodes, and the message as numbered in the redrive stream. */
interface DecodedLetter {
  readonly letter: StoredLetter;
  readonly item: Exclude<IntakeItem, { kind: 'deadLetter' }>;
}

/** Step 2: consecutive numbers go to what decodes; the others are refused before anything is asked or written. */
function decode(
  ports: RedrivePorts,
  open: readonly StoredLetter[],
  { cursor, amendedValue }: { readonly cursor: Cursor; readonly amendedValue: Buffer | undefined },
): { decoded: DecodedLetter[]; refused: LetterRedrive[] } {
  const bounds = { ...ports.limits, nowMs: ports.clock.nowMs() };
  const decoded: DecodedLetter[] = [];
  const refused: LetterRedrive[] = [];
  for (const letter of open) {
    const kafkaOffset = cursor.nextOffset + BigInt(decoded.length);
    const message =
      amendedValue === undefined ? messageOf(letter, kafkaOffset) : amended(letter, amendedValue, kafkaOffset);
    const item = intake(message, kindOf(ports, letter.topic), bounds);
    if (item.kind === 'deadLetter') refused.push(stillDeadResult(letter, item.letter));
    else decoded.push({ letter, item });
    if (amendedValue !== undefined) assertSameTrace(letter, item);
  }
  return { decoded, refused };
}

/** The bytes of a batch that could not be read are no message: its letter stays what it is. */
function messageOf({ key, value, headers, reason, detail }: StoredLetter, kafkaOffset: bigint): ChunkMessage {
  const bytes = Object.entries(headers).map(([name, values]): [string, Buffer[]] => [
    name,
    values.map((each) => Buffer.from(each, 'base64')),
  ]);
  const unreadable = reason === 'UNREADABLE_BATCH' ? { reason, detail } : undefined;
  return { kafkaOffset, key, value, headers: nameMap(bytes), unreadable };
}

/** The corrected copy of a message: its key stays, and its headers tell nothing of what is charged. */
function amended({ key }: StoredLetter, value: Buffer, kafkaOffset: bigint): ChunkMessage {
  return { kafkaOffset, key, value, headers: nameMap([]) };
}

/** A copy corrects what a request used, never whose it was. Throws USAGE_INVALID. */
function assertSameTrace({ tenantId, traceId }: StoredLetter, item: IntakeItem): void {
  if (item.kind === 'deadLetter') return;
  const { event } = item;
  for (const [field, was, is] of [
    ['tenant_id', tenantId, event.tenantId ?? null],
    ['trace_id', traceId, event.traceId],
  ] as const) {
    if (was === null || was === is) continue;
    throw new TollbookError(
      'USAGE_INVALID',
      `${field} of the corrected copy is ${is ?? 'missing'}; allowed: ${was}, as the dead letter has it. ` +
        'Discard the letter, and publish the event anew, if it belongs to another',
      { context: { field, found: is, allowed: was } },
    );
  }
}

function deadAgain({ content }: ChargedItems, decoded: readonly DecodedLetter[], cursor: Cursor): LetterRedrive[] {
  return content.deadLetters.map((found) => {
    const letter = decoded[Number(found.kafkaOffset - cursor.nextOffset)]?.letter;
    invariant(letter !== undefined, 'a dead letter of a redrive has the offset of one of its messages');
    return stillDeadResult(letter, found);
  });
}

type Redriven = DecodedLetter & { readonly outcome: RedriveOutcome; readonly entry: RedrivenEntry | undefined };

/** What each message came to; there is one planned item for each, in order, and openings between them. */
function redrivenOf({ planned, content }: ChargedItems, decoded: readonly DecodedLetter[]): Redriven[] {
  const outcomes = planned.flatMap(outcomeOf);
  invariant(outcomes.length === decoded.length, 'every message of a chunk is planned as one item');
  const entries = new Map(
    content.entries.map(({ source, tenantId, seq, status }) => [source.kafkaOffset, { tenantId, seq, status }]),
  );
  return decoded.map((each, index) => {
    const outcome = outcomes[index] ?? 'skipped';
    const entry = outcome === 'charged' ? entries.get(each.item.message.kafkaOffset) : undefined;
    return { ...each, outcome, entry };
  });
}

function outcomeOf(planned: PlannedItem): RedriveOutcome[] {
  if (planned.kind === 'opening' || planned.kind === 'deadLetter') return [];
  return [planned.kind === 'entry' ? 'charged' : planned.kind];
}

function actionOf(
  { letter, item, outcome }: Redriven,
  { order, charged: { batch } }: { order: RedriveOrder; charged: ChargedItems },
): LetterAction {
  const { topic, partition, kafkaOffset } = letter;
  const { actor, reason } = order;
  return {
    ...{ topic, partition, kafkaOffset, action: 'redriven', actor, reason, actedAt: batch.sealedAt, outcome },
    tenantId: item.event.tenantId ?? null,
    traceId: item.event.traceId,
    source: { ...batch.source, kafkaOffset: item.message.kafkaOffset },
    batchId: batch.batchId,
    amendedValue: order.amendedValue ?? null,
  };
}

function resultOf({ letter, outcome, entry }: Redriven): LetterRedrive {
  return { position: positionOf(letter), kind: 'redriven', outcome, entry };
}

function closedResult(letter: StoredLetter): LetterRedrive[] {
  const { state } = letter;
  return state === 'open' ? [] : [{ position: positionOf(letter), kind: 'closed', state }];
}

function stillDeadResult(
  letter: StoredLetter,
  { reason, detail }: { reason: DeadLetterReason; detail: string },
): LetterRedrive {
  return { position: positionOf(letter), kind: 'stillDead', reason, detail };
}

function positionOf({ topic, partition, kafkaOffset }: LetterPosition): LetterPosition {
  return { topic, partition, kafkaOffset };
}

function missing(position: LetterPosition): never {
  throw new TollbookError('DEAD_LETTER_UNKNOWN', `there is no dead letter at ${letterName(position)}`);
}
