/**
 * Owns: the repair of one chunk of missing messages, in one database transaction (its steps: repair.ts).
 * Does not own: the commit; reading the messages.
 * Invariants: what is sent takes steps 3 to 6 of the charge protocol and no other way; what has been repaired before is
 * left out; a message is numbered in the repair stream, and its record names both positions.
 */
import { chargeItems, type ChargedItems, type ChargePorts } from '../../consumers/chunk-charge.js';
import type { PlannedItem } from '../../consumers/chunk-plan.js';
import { deadLetter, type IntakeItem, renumbered } from '../../consumers/intake.js';
import { appendSealed } from '../../ledger/append-sealed.js';
import type { StreamSource } from '../../ledger/batch.js';
import { batchContent, lockCommandCursor } from '../../ledger/commands/command-stream.js';
import { type DeadLetter, letterName, type LetterPosition, type RedriveOutcome } from '../../ledger/dead-letter.js';
import type { EntryStatus } from '../../ledger/entry.js';
import type { Cursor } from '../../ledger/ledger-store.js';
import { type AmountNano } from '../../ledger/money.js';
import { invariant } from '../../runtime/errors.js';
import type { TopicMessage } from '../topic/partition-reader.js';
import type { RepairOutcome, RepairRecord, RepairSigner, RepairTransaction } from './repair-store.js';

/** A missing message as Kafka has it, decoded as of the time when it was passed over. */
export interface LostMessage {
  readonly position: LetterPosition;
  readonly message: TopicMessage;
  readonly item: IntakeItem;
}

/** The entry that a repaired message became. */
export interface RepairedEntry {
  readonly tenantId: string;
  readonly seq: number;
  readonly status: EntryStatus;
  readonly amountNano: AmountNano;
  readonly currency: string;
}

/** What a repair came to for one message. */
export type MessageRepair = { readonly position: LetterPosition } & (
  | { readonly kind: 'repaired'; readonly outcome: RepairOutcome; readonly entry: RepairedEntry | undefined }
  | { readonly kind: 'repairedBefore' }
  | { readonly kind: 'expired' }
  /** Rows of its tenant were removed, perhaps its own, and the account still counts them. */
  | { readonly kind: 'refused'; readonly tenantId: string }
);

/** What one attempt at a chunk came to; not final: some would be dead letters, so it is repeated with them set apart. */
export interface RepairAttempt {
  readonly results: readonly MessageRepair[];
  readonly isWritten: boolean;
  readonly isFinal: boolean;
  /** Found to be dead letters by this attempt, by `letterName` of their position in Kafka. */
  readonly dead: ReadonlyMap<string, DeadLetter>;
}

/** One chunk, and what earlier attempts found to be dead letters. */
export interface AttemptInput {
  readonly source: StreamSource;
  readonly lost: readonly LostMessage[];
  readonly dead: ReadonlyMap<string, DeadLetter>;
  readonly signer: RepairSigner;
}

/** Runs one attempt in the caller's database transaction. Throws POSTGRES_*, FENCED. */
export async function attemptRepair(
  ports: ChargePorts,
  transaction: RepairTransaction,
  input: AttemptInput,
): Promise<RepairAttempt> {
  const { lost, dead, source, signer } = input;
  const cursor = await lockCommandCursor(transaction.ledger, source);
  const done = await transaction.repairedAmong(lost.map(({ position }) => position));
  const open = lost.filter(({ position }) => !done.has(letterName(position)));
  const before = lost.flatMap(({ position }): MessageRepair[] =>
    done.has(letterName(position)) ? [{ position, kind: 'repairedBefore' }] : [],
  );
  const letters = open.flatMap((each) => letterOf(each, dead));
  const chargeable = open.filter((each) => letterOf(each, dead).length === 0);
  if (open.length === 0) return { results: before, isWritten: false, isFinal: true, dead };
  const charged = await charge(ports, transaction, { chargeable, cursor });
  const found = charged === undefined ? new Map<string, DeadLetter>() : deadIn(charged, { chargeable, cursor });
  if (found.size > 0) return { results: [], isWritten: false, isFinal: false, dead: new Map([...dead, ...found]) };
  const repaired = charged === undefined ? [] : repairedOf(charged, { chargeable, cursor });
  if (charged !== undefined) await transaction.record(repaired.map(recordOf), charged.batch, signer);
  const buried = await bury(ports, transaction, { letters, source, signer });
  return { results: [...before, ...repaired.map(resultOf), ...buried], isWritten: true, isFinal: true, dead };
}

/** The dead letter that a message is, as found before the charge or by an earlier attempt. */
function letterOf(
  { position, message, item }: LostMessage,
  dead: ReadonlyMap<string, DeadLetter>,
): { position: LetterPosition; letter: DeadLetter }[] {
  const letter = item.kind === 'deadLetter' ? item.letter : dead.get(letterName(position));
  return letter === undefined ? [] : [{ position, letter: { ...letter, kafkaOffset: message.kafkaOffset } }];
}

interface Chargeable {
  readonly chargeable: readonly LostMessage[];
  readonly cursor: Cursor;
}

async function charge(
  ports: ChargePorts,
  transaction: RepairTransaction,
  { chargeable, cursor }: Chargeable,
): Promise<ChargedItems | undefined> {
  if (chargeable.length === 0) return undefined;
  const items = chargeable.map(({ item }, index) => numbered(item, cursor.nextOffset + BigInt(index)));
  const nextOffset = cursor.nextOffset + BigInt(items.length);
  return chargeItems(ports, transaction.ledger, { cursor, items, nextOffset });
}

/** A message under its number in the repair stream. */
function numbered(item: IntakeItem, kafkaOffset: bigint): IntakeItem {
  return item.kind === 'deadLetter' ? item : { ...item, message: renumbered(item.message, kafkaOffset) };
}

/** What the charge itself found to be dead letters: their bytes are those of the message, their reason is found now. */
function deadIn({ content }: ChargedItems, { chargeable, cursor }: Chargeable): Map<string, DeadLetter> {
  return new Map(
    content.deadLetters.map((found) => {
      const lost = chargeable[Number(found.kafkaOffset - cursor.nextOffset)];
      invariant(
        lost !== undefined && lost.item.kind !== 'deadLetter',
        'a dead letter of a repair is one of its messages',
      );
      const { reason, detail } = found;
      return [letterName(lost.position), deadLetter(lost.message, { reason, detail, event: lost.item.event })];
    }),
  );
}

interface Repaired {
  readonly lost: LostMessage;
  readonly outcome: RedriveOutcome;
  readonly repairedAs: LetterPosition;
  readonly entry: RepairedEntry | undefined;
}

/** What each message came to; there is one planned item for each, in order, and openings between them. */
function repairedOf({ planned, content, batch }: ChargedItems, { chargeable, cursor }: Chargeable): Repaired[] {
  const outcomes = planned.flatMap(outcomeOf);
  invariant(outcomes.length === chargeable.length, 'every message of a chunk is planned as one item');
  const entries = new Map(
    content.entries.map(({ source, tenantId, seq, status, amountNano, currency }) => [
      source.kafkaOffset,
      { tenantId, seq, status, amountNano, currency },
    ]),
  );
  return chargeable.map((lost, index) => {
    const outcome = outcomes[index] ?? 'skipped';
    const kafkaOffset = cursor.nextOffset + BigInt(index);
    const entry = outcome === 'charged' ? entries.get(kafkaOffset) : undefined;
    return { lost, outcome, repairedAs: { ...batch.source, kafkaOffset }, entry };
  });
}

function outcomeOf(planned: PlannedItem): RedriveOutcome[] {
  if (planned.kind === 'opening' || planned.kind === 'deadLetter') return [];
  return [planned.kind === 'entry' ? 'charged' : planned.kind];
}

function recordOf({ lost: { position, item }, outcome, repairedAs }: Repaired): RepairRecord {
  const event = item.kind === 'deadLetter' ? undefined : item.event;
  return { ...position, outcome, tenantId: event?.tenantId ?? null, traceId: event?.traceId ?? null, repairedAs };
}

function resultOf({ lost: { position }, outcome, entry }: Repaired): MessageRepair {
  return { position, kind: 'repaired', outcome, entry };
}

/** Dead letters go where their messages are, so that a redrive finds them; a batch of the repair stream counts them. */
async function bury(
  { clock }: ChargePorts,
  transaction: RepairTransaction,
  {
    letters,
    source,
    signer,
  }: {
    readonly letters: readonly { position: LetterPosition; letter: DeadLetter }[];
    readonly source: StreamSource;
    readonly signer: RepairSigner;
  },
): Promise<MessageRepair[]> {
  if (letters.length === 0) return [];
  const cursor = await lockCommandCursor(transaction.ledger, source);
  const content = batchContent({ counts: { deadLetters: letters.length }, buried: letters });
  const nextOffset = cursor.nextOffset + BigInt(letters.length);
  const batch = await appendSealed(transaction.ledger, content, { cursor, nextOffset, sealedAtMs: clock.nowMs() });
  const records = letters.map(({ position, letter: { tenantId, traceId } }, index): RepairRecord => {
    const repairedAs = { ...source, kafkaOffset: cursor.nextOffset + BigInt(index) };
    return { ...position, outcome: 'deadLetter', tenantId, traceId, repairedAs };
  });
  await transaction.record(records, batch, signer);
  return letters.map(({ position }) => ({ position, kind: 'repaired', outcome: 'deadLetter', entry: undefined }));
}
