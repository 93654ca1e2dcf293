/**
 * Owns: the gate between bytes and events. In this order: is there a value, is it small enough, is it a plain message,
 * which the scanner decodes at once; else is it UTF-8, is it JSON, is it an object, is its schema version known, does
 * it follow the published schema, is no key there twice, is every number read as it is
 * written, are no tokens counted twice; then it is mapped.
 * Does not own: what a plain message is (event-scanner.ts), nor what happens to a refused one (a dead letter with the
 * reason and the original bytes).
 * Invariants: never throws, whatever the bytes; a message is read only when its size is allowed; the scanner changes no
 * verdict and no event, only what they cost; class-validator runs only on what the compiled schema refused (about
 * 1 microsecond against 20), to say why.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import type { UsageCompleted, UsagePending } from '../ledger/events.js';
import { contractProblems, joinProblems } from './dto-report.js';
import type { UsageKind } from './dto-kinds.js';
import { scanCompleted, scanPending } from './event-scanner.js';
import { type DeclaredUsage, declaredProblem } from './declared-totals.js';
import { inexactNumber } from './exact-numbers.js';
import { describeFound, isWireObject, printable, shorten } from './found-value.js';
import type { WireObject } from './found-value.js';
import { repeatedKey } from './repeated-key.js';
import { schemaChecks } from './schema-check.js';
import type { WireForms } from './schema-check.js';
import { SCHEMA_VERSION } from './usage-identity-dto.js';
import { toCompleted, toPending } from './wire-mapping.js';

/** Why a message is refused: a closed set. */
export type RejectReason =
  | 'EMPTY_MESSAGE'
  | 'MESSAGE_TOO_LARGE'
  | 'INVALID_UTF8'
  | 'INVALID_JSON'
  | 'UNKNOWN_SCHEMA_VERSION'
  | 'INVALID_EVENT';

/** A refusal: its reason, and a detail of at most 1,000 characters that names field, value found and what is allowed. */
export interface Rejection {
  readonly ok: false;
  readonly reason: RejectReason;
  readonly detail: string;
}

/** Either the decoded event or the refusal. */
export type GateResult<E> = { readonly ok: true; readonly event: E } | Rejection;

/** How large a message may be, in bytes. */
export interface GateLimits {
  readonly eventBytesMax: number;
}

const ACCEPTED = { ok: true } as const;
const PARSER_MESSAGE_LENGTH_MAX = 300;
const NUMBER_LENGTH_MAX = 64;

function reject(reason: RejectReason, detail: string): Rejection {
  return { ok: false, reason, detail };
}

/** Parses the bytes of a message as JSON, or says why they are none. */
function parse(bytes: Buffer): { ok: true; event: unknown; text: string } | Rejection {
  const ascii = isAscii(bytes);
  if (!ascii && !isUtf8(bytes)) return reject('INVALID_UTF8', 'the message is not UTF-8; allowed: a JSON object in UTF-8');
  const text = bytes.toString(ascii ? 'latin1' : 'utf8');
  try {
    return { ok: true, event: JSON.parse(text) as unknown, text };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return reject('INVALID_JSON', `not JSON: ${shorten(printable(message), PARSER_MESSAGE_LENGTH_MAX)}`);
  }
}

/** Tells a version this release does not know from a field that is missing or no version at all. */
function isForeignVersion(version: unknown): version is number {
  return typeof version === 'number' && Number.isInteger(version) && version !== SCHEMA_VERSION;
}

function isOfForeignVersion(wire: unknown): boolean {
  return isWireObject(wire) && isForeignVersion(wire['schema_version']);
}

/** Readers of JSON do not agree on which of the two counts. */
function repeats(key: string): Rejection {
  return reject('INVALID_EVENT', `the key ${describeFound(key)} stands twice in one object; allowed: once`);
}

function explain(kind: UsageKind, wire: WireObject): Rejection {
  if (isForeignVersion(wire['schema_version'])) {
    const found = describeFound(wire['schema_version']);
    return reject('UNKNOWN_SCHEMA_VERSION', `schema_version: found ${found}, allowed: ${SCHEMA_VERSION}`);
  }
  const problems = contractProblems(kind, wire);
  if (problems.length > 0) return reject('INVALID_EVENT', joinProblems(problems));
  const [error] = schemaChecks()[kind].errors ?? [];
  return reject('INVALID_EVENT', `${error?.instancePath ?? ''}: ${error?.message ?? 'breaks the published schema'}`);
}

function bySchema<K extends UsageKind, E>(kind: K, bytes: Buffer, toEvent: (wire: WireForms[K]) => E): GateResult<E> {
  const parsed = parse(bytes);
  if (!parsed.ok) return parsed;
  const wire = parsed.event;
  const isValid = schemaChecks()[kind](wire);
  const repeated = repeatedKey(parsed.text);
  if (repeated !== undefined && !isOfForeignVersion(wire)) return repeats(repeated);
  if (isValid) return misread(parsed.text) ?? doubleCount(kind, wire) ?? { ok: true, event: toEvent(wire) };
  if (isWireObject(wire)) return explain(kind, wire);
  return reject('INVALID_EVENT', `the message is ${describeFound(wire)}; allowed: a JSON object`);
}

/** A number with more digits than a double holds: what was checked is not what was written. */
function misread(text: string): Rejection | undefined {
  const found = inexactNumber(text);
  if (found === undefined) return undefined;
  const number = shorten(found.number, NUMBER_LENGTH_MAX);
  return reject('INVALID_EVENT', `${found.key}: found ${number}, which is read as ${Number(found.number)}; allowed: an integer`);
}

/** What JSON Schema cannot say of a valid event: its tokens are counted once. */
function doubleCount(kind: UsageKind, wire: object): Rejection | undefined {
  const problem = kind === 'completed' ? declaredProblem(wire as { readonly usage: DeclaredUsage }) : undefined;
  return problem === undefined ? undefined : reject('INVALID_EVENT', problem);
}

/** Decodes a pending message by the published schema alone: what decodePending does with messages that are not plain. */
export function decodePendingBySchema(bytes: Buffer): GateResult<UsagePending> {
  return bySchema('pending', bytes, toPending);
}

/** Decodes a completed message by the published schema alone: what decodeCompleted does with those that are not plain. */
export function decodeCompletedBySchema(bytes: Buffer): GateResult<UsageCompleted> {
  return bySchema('completed', bytes, toCompleted);
}

interface Decoding<E> {
  readonly scan: (bytes: Buffer) => E | undefined;
  readonly bySchema: (bytes: Buffer) => GateResult<E>;
}

const PENDING: Decoding<UsagePending> = { scan: scanPending, bySchema: decodePendingBySchema };
const COMPLETED: Decoding<UsageCompleted> = { scan: scanCompleted, bySchema: decodeCompletedBySchema };

function decode<E>(bytes: Buffer | null, { eventBytesMax }: GateLimits, decoding: Decoding<E>): GateResult<E> {
  if (bytes === null || bytes.length === 0) return reject('EMPTY_MESSAGE', 'the message has no value; allowed: a JSON object');
  if (bytes.length > eventBytesMax) {
    return reject('MESSAGE_TOO_LARGE', `the message has ${bytes.length} bytes; allowed: at most ${eventBytesMax}`);
  }
  const event = decoding.scan(bytes);
  return event === undefined ? decoding.bySchema(bytes) : { ok: true, event };
}

/** Decodes a message of the pending topic; never throws. */
export function decodePending(bytes: Buffer | null, limits: GateLimits): GateResult<UsagePending> {
  return decode(bytes, limits, PENDING);
}

/** Decodes a message of the completed topic; never throws. */
export function decodeCompleted(bytes: Buffer | null, limits: GateLimits): GateResult<UsageCompleted> {
  return decode(bytes, limits, COMPLETED);
}

/** Checks an event in its wire form before it is published, with the rules that the consumer applies; never throws. */
export function validateForPublish(kind: UsageKind, wire: WireObject): typeof ACCEPTED | Rejection {
  return schemaChecks()[kind](wire) ? (doubleCount(kind, wire) ?? ACCEPTED) : explain(kind, wire);
}
