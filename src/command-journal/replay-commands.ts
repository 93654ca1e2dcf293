/**
 * Owns: booking the commands of a journal again, each under its own key: what a restored database has lost comes back.
 * Does not own: reading the topic (reconciliation/topic), what a command does (ledger/commands).
 * Invariants:
 * - Idempotent by tenant and key: a command that the ledger has is left, whoever booked it.
 * - The commands of a tenant are booked in the order of the journal.
 * - A command is booked as it was, or named with the reason why not; the others go on.
 * - A dry run reads keys alone: whether a command is still allowed is decided when it is booked.
 */
import { canonicalJson } from '../ledger/canonical-json.js';
import { bookCommand, type CommandPorts } from '../ledger/commands/book-command.js';
import { type CommandContent, contentOf } from '../ledger/commands/command-content.js';
import type { LedgerCommand } from '../ledger/commands/command.js';
import type { ReadRows } from '../ledger/postgres/anchor-rows.js';
import { type KnownCommand, readKnownCommands } from '../ledger/postgres/journal-rows.js';
import type { TopicPortion } from '../reconciliation/topic/topic-portions.js';
import { besideOthers } from '../runtime/beside-others.js';
import { type ErrorCode, isTollbookError } from '../runtime/errors.js';
import { ownValue } from '../runtime/name-map.js';
import { type JournalRecord, readRecord } from './journal-record.js';

/** What a replay works with. */
export interface ReplayPorts extends CommandPorts {
  readonly rows: ReadRows;
}

/** What became of a record. */
export type ReplayOutcome = 'booked' | 'would_book' | 'already_booked' | 'conflict' | 'refused' | 'malformed';

/** A record that was not simply there already. */
export interface ReplayItem {
  readonly partition: number;
  readonly offset: string;
  readonly outcome: Exclude<ReplayOutcome, 'already_booked'>;
  readonly tenant_id: string | null;
  readonly key: string | null;
  readonly kind: string | null;
  /** The entry that it became before, and now. */
  readonly was_seq: number | null;
  readonly seq: number | null;
  readonly code: ErrorCode | null;
  readonly message: string | null;
}

/** What a replay came to. */
export interface ReplayResult {
  readonly counts: Readonly<Record<ReplayOutcome, number>>;
  /** The first ITEMS_MAX of them, problems before the others. */
  readonly items: readonly ReplayItem[];
  readonly itemsLeftOff: number;
  /** Offsets that the topic no longer has. */
  readonly gone: number;
}

/** How a replay is done. */
export interface ReplayOptions {
  readonly isDryRun: boolean;
  /** Hears how many offsets are done. */
  readonly onProgress?: (offsets: number) => void;
}

const ITEMS_MAX = 1_000;
const FENCED_RETRIES_MAX = 5;
const NOTHING = { tenant_id: null, key: null, kind: null, was_seq: null, seq: null, code: null, message: null };

/** Books what the ledger does not have. Throws POSTGRES_*, CLOCK_SKEWED, KAFKA_UNAVAILABLE. */
export async function replayCommands(
  ports: ReplayPorts,
  portions: AsyncIterable<TopicPortion>,
  { isDryRun, onProgress }: ReplayOptions,
): Promise<ReplayResult> {
  const tally = new Tally();
  let done = 0;
  for await (const portion of portions) {
    for (const { from, to } of portion.expired) tally.gone += Number(to - from);
    await replayPortion(ports, portion, { isDryRun, tally });
    onProgress?.((done += portion.offsets));
  }
  return tally.result();
}

interface Place {
  readonly partition: number;
  readonly offset: string;
}

async function replayPortion(
  ports: ReplayPorts,
  { source, messages }: TopicPortion,
  { isDryRun, tally }: { readonly isDryRun: boolean; readonly tally: Tally },
): Promise<void> {
  const records: { readonly place: Place; readonly record: JournalRecord }[] = [];
  for (const { value, kafkaOffset } of messages) {
    const place = { partition: source.partition, offset: kafkaOffset.toString() };
    const found = readRecord(value);
    if (found.kind === 'record') records.push({ place, record: found.record });
    else tally.add({ ...place, ...NOTHING, outcome: 'malformed', message: found.why });
  }
  const known = await readKnownCommands(
    ports.rows,
    records.map(({ record }) => record.command),
  );
  for (const [index, { place, record }] of records.entries()) {
    const { tenantId, key, kind } = record.command;
    const item = { ...place, ...NOTHING, tenant_id: tenantId, key, kind, was_seq: record.seq };
    const there = known[index];
    if (there !== undefined) tally.addKnown(item, { record, there });
    else if (!isDryRun) tally.addItem(item, await bookAgain(ports, record));
    else tally.addItem(item, { outcome: tally.plans(`${tenantId} ${key}`) ? 'would_book' : 'already_booked' });
  }
}

/** What booking came to, with the fields of an item that it tells. */
type Booked = { readonly outcome: ReplayOutcome } & Partial<Pick<ReplayItem, 'seq' | 'code' | 'message'>>;

async function bookAgain(ports: ReplayPorts, record: JournalRecord): Promise<Booked> {
  const command = commandNow(record);
  const defaults = { ...ports.defaults, ...(record.openedWith === undefined ? {} : { terms: record.openedWith }) };
  for (let retry = 0; ; retry += 1) {
    try {
      const { outcome, entry } = await besideOthers(() => bookCommand({ ...ports, defaults }, command));
      return outcome === 'booked' ? { outcome, seq: entry.seq } : { outcome: 'already_booked' };
    } catch (error) {
      if (!isTollbookError(error)) throw error;
      if (error.code === 'FENCED' && retry < FENCED_RETRIES_MAX) continue;
      if (error.disposition === 'retry' || error.disposition === 'halt') throw error;
      const outcome = error.code === 'IDEMPOTENCY_KEY_REUSED' ? 'conflict' : 'refused';
      return { outcome, code: error.code, message: error.message };
    }
  }
}

/**
 * The command as it is booked now. In a restored ledger other entries may have the old numbers, so a refund that named an
 * entry by its number names its trace.
 */
function commandNow({ command, referenceTraceId }: JournalRecord): LedgerCommand {
  if (command.kind !== 'refund' || !('seq' in command.of) || referenceTraceId === undefined) return command;
  return { ...command, of: { traceId: referenceTraceId } };
}

/** Where the command that is there differs from the record; empty when it is the same. */
function differencesOf(record: JournalRecord, there: KnownCommand): string[] {
  const { kind, actor } = record.command;
  const now = contentOf(commandNow(record), record.content['currency'] ?? '');
  const isSame = (content: CommandContent): boolean => canonicalJson(content) === canonicalJson(there.content);
  const first: CommandContent = { kind: there.kind, actor: there.actor, ...there.content };
  const second: CommandContent = { kind, actor, ...record.content };
  if (there.kind === kind && there.actor === actor && (isSame(record.content) || isSame(now))) return [];
  const names = [...new Set([...Object.keys(first), ...Object.keys(second)])];
  return names.filter((name) => ownValue(first, name) !== ownValue(second, name));
}

/** Counts outcomes, and keeps the items that are shown. */
class Tally {
  readonly #counts: Record<ReplayOutcome, number> = {
    ...{ booked: 0, would_book: 0, already_booked: 0, conflict: 0, refused: 0, malformed: 0 },
  };
  readonly #fine: ReplayItem[] = [];
  readonly #problems: ReplayItem[] = [];
  readonly #planned = new Set<string>();
  #left = 0;
  gone = 0;

  /** Whether a dry run plans to book this name for the first time. */
  plans(name: string): boolean {
    const isNew = !this.#planned.has(name);
    this.#planned.add(name);
    return isNew;
  }

  add(item: ReplayItem): void {
    this.#counts[item.outcome] += 1;
    const list = item.outcome === 'booked' || item.outcome === 'would_book' ? this.#fine : this.#problems;
    if (list.length < ITEMS_MAX) list.push(item);
    else this.#left += 1;
  }

  addItem(item: Omit<ReplayItem, 'outcome'>, { outcome, ...told }: Booked): void {
    if (outcome === 'already_booked') this.#counts.already_booked += 1;
    else this.add({ ...item, ...told, outcome });
  }

  addKnown(
    item: Omit<ReplayItem, 'outcome'>,
    { record, there }: { readonly record: JournalRecord; readonly there: KnownCommand },
  ): void {
    const fields = differencesOf(record, there);
    if (fields.length === 0) return this.addItem(item, { outcome: 'already_booked' });
    const message = `the key is used for the ${there.kind} of entry ${there.seq}, which differs in ${fields.join(', ')}`;
    this.addItem(item, { outcome: 'conflict', code: 'IDEMPOTENCY_KEY_REUSED', message });
  }

  result(): ReplayResult {
    const { gone } = this;
    return { counts: this.#counts, items: [...this.#problems, ...this.#fine], itemsLeftOff: this.#left, gone };
  }
}
