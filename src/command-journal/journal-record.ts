/**
 * Owns: the record of a booked command in the journal: its form on the wire, and reading it back.
 * Does not own: where records are kept (journal-follower.ts, replay-commands.ts), what a command does.
 * Invariants:
 * - Pure. A record has all that is needed to book its command again under the same key.
 * - What is read is checked like any other input: closed fields, bounds, and that its content is that of a command.
 */
import { IsObject, Matches, ValidateBy } from 'class-validator';
import { dtoProblems, joinProblems } from '../contract/dto-report.js';
import { Counter, Exactly, Identifier, Instant, OneOf, Optional, Section } from '../contract/field-rules.js';
import { isWireObject, type WireObject } from '../contract/found-value.js';
import { repeatedKey } from '../contract/repeated-key.js';
import { type AccountTerms, termsOf } from '../ledger/account.js';
import { canonicalJson } from '../ledger/canonical-json.js';
import { type CommandContent, contentOf } from '../ledger/commands/command-content.js';
import type { CommandKind, LedgerCommand } from '../ledger/commands/command.js';
import { commandOfRecord } from '../ledger/commands/recorded-command.js';
import type { JournalRow } from '../ledger/postgres/journal-rows.js';
import { isTollbookError } from '../runtime/errors.js';
import { ownValue } from '../runtime/name-map.js';

/** A command as the journal has it. */
export interface JournalRecord {
  readonly command: LedgerCommand;
  /** What the ledger keeps of it, and compares a command sent again with. */
  readonly content: CommandContent;
  /** The entry that it became, and the batch of its command stream that sealed it. */
  readonly seq: number;
  readonly batch: { readonly partition: number; readonly batchNo: number; readonly hash: string };
  readonly bookedAt: string;
  /** The trace of the entry that it refers to. */
  readonly referenceTraceId: string | undefined;
  /** The terms of the account, where it opened one. */
  readonly openedWith: AccountTerms | undefined;
}

/** A record, or why a message is none. */
export type FoundRecord =
  { readonly kind: 'record'; readonly record: JournalRecord } | { readonly kind: 'malformed'; readonly why: string };

const SCHEMA_VERSION = 1;
const BYTES_MAX = 256 * 1024;
const KINDS = ['open-account', 'credit', 'adjust', 'refund', 'limits', 'collect', 'void', 'price'] as const;
const TEXT = /^[^\p{Cc}\p{Cs}]{1,500}$/u;
const TEXTS_MAX = 500;

/** Requires an object whose values are all texts. */
function Texts(): PropertyDecorator {
  const message = `an object of at most ${TEXTS_MAX} texts of 1 to 500 printable characters`;
  const rules = [
    IsObject({ message }),
    ValidateBy({ name: 'texts', validator: { validate: (value) => areTexts(value) } }, { message }),
  ];
  return (target, name) => {
    for (const rule of rules) rule(target, name);
  };
}

function areTexts(value: unknown): boolean {
  const texts = isWireObject(value) ? Object.values(value) : [];
  return texts.length <= TEXTS_MAX && texts.every((text) => typeof text === 'string' && TEXT.test(text));
}

/** The batch that sealed the command. */
class JournalBatchDto {
  @Counter({ description: 'Number of the command stream.' })
  partition!: number;

  @Counter({ description: 'Number of the batch in that stream.' })
  batch_no!: number;

  @Matches(/^[0-9a-f]{64}$/, { message: '64 hexadecimal digits' })
  hash!: string;
}

/** The wire form of a record. */
class JournalRecordDto {
  @Exactly({ description: 'Version of this form.' }, SCHEMA_VERSION)
  schema_version!: number;

  @Identifier({ description: 'Tenant.' })
  tenant_id!: string;

  @Identifier({ description: 'Idempotency key.' })
  key!: string;

  @OneOf({ description: 'What the command wants.' }, KINDS)
  kind!: CommandKind;

  @Matches(TEXT, { message: '1 to 500 printable characters' })
  actor!: string;

  @Texts()
  content!: CommandContent;

  @Counter({ description: 'The entry of the tenant that it became.' })
  seq!: number;

  @Instant({ description: 'When it was booked.' })
  booked_at!: string;

  @Section()
  batch!: JournalBatchDto;

  @Optional()
  @Matches(TEXT, { message: '1 to 500 printable characters' })
  reference_trace_id?: string;

  @Optional()
  @Texts()
  opened_with?: Readonly<Record<string, string>>;
}

/** Writes a command as one JSON object. */
export function recordText(partition: number, row: JournalRow): string {
  const { tenantId, key, kind, actor, content, seq, bookedAt, batchNo, hash, referenceTraceId, openedWith } = row;
  const record: JournalRecordDto = {
    schema_version: SCHEMA_VERSION,
    ...{ tenant_id: tenantId, key, kind, actor, content, seq },
    booked_at: bookedAt,
    batch: { partition, batch_no: batchNo, hash },
    ...(referenceTraceId === null ? {} : { reference_trace_id: referenceTraceId }),
    ...(openedWith === null ? {} : { opened_with: openedWith }),
  };
  return JSON.stringify(record);
}

/** Reads a record from the value of a message. Never throws for what it holds. */
export function readRecord(value: Buffer | null): FoundRecord {
  if (value === null) return malformed('it has no value');
  if (value.length > BYTES_MAX) return malformed(`it has ${value.length} bytes; allowed: ${BYTES_MAX}`);
  const text = value.toString('utf8');
  let wire: unknown;
  try {
    wire = JSON.parse(text);
  } catch {
    return malformed('it is not JSON');
  }
  if (!isWireObject(wire)) return malformed('it is not a JSON object');
  const repeated = repeatedKey(text);
  if (repeated !== undefined) return malformed(`the key ${JSON.stringify(repeated.slice(0, 64))} stands twice`);
  const problems = dtoProblems(JournalRecordDto, wire);
  if (problems.length > 0) return malformed(joinProblems(problems));
  return recordOf(wire);
}

function recordOf(wire: WireObject): FoundRecord {
  const { tenant_id, key, kind, actor, content, seq, booked_at, batch, ...rest } = wire as unknown as JournalRecordDto;
  try {
    const command = commandOfRecord({ tenantId: tenant_id, key, kind, actor, content });
    // A command of which something was not understood must not be booked as another one.
    const understood = contentOf(command, ownValue(content, 'currency') ?? '');
    if (canonicalJson(understood) !== canonicalJson(content)) {
      return malformed(`its content is not that of a command ${kind}: ${JSON.stringify(content).slice(0, 500)}`);
    }
    return {
      kind: 'record',
      record: {
        ...{ command, content, seq, bookedAt: booked_at },
        batch: { partition: batch.partition, batchNo: batch.batch_no, hash: batch.hash },
        referenceTraceId: rest.reference_trace_id,
        openedWith: rest.opened_with === undefined ? undefined : termsOf(rest.opened_with),
      },
    };
  } catch (error) {
    if (isTollbookError(error)) return malformed(error.message);
    throw error;
  }
}

function malformed(why: string): FoundRecord {
  return { kind: 'malformed', why };
}
