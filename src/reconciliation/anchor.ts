/**
 * Owns: the anchor: the head of a chain as it was told to someone outside of the database, and its form as one line of JSON.
 * Does not own: where anchors are kept (anchor-topic.ts, anchor-file.ts), when they are published (anchor-publisher.ts).
 * Invariants: pure; an anchor fixes its chain up to its batch: whoever has it can tell when any of that was changed.
 */
import type { StreamSource } from '../ledger/batch.js';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { ownValue } from '../runtime/name-map.js';

/** The head of a chain at some time. */
export interface Anchor {
  readonly source: StreamSource;
  readonly batchNo: number;
  /** Hash of the batch, as 64 hexadecimal digits. */
  readonly hash: string;
  /** The offset after the batch. */
  readonly nextOffset: bigint;
  readonly sealedAt: string;
  readonly anchoredAt: string;
  /** The Kafka cluster of the source; "commands" for command streams. */
  readonly clusterId: string;
  /** Who put it in the place of an anchor that was not on the chain, and why. */
  readonly replacement?: AnchorReplacement;
}

/** The anchor that another was put in the place of. */
export interface AnchorReplacement {
  readonly batchNo: number;
  readonly hash: string;
  readonly actor: string;
  readonly reason: string;
}

/** An anchor as it was found somewhere, what was found in the place of one, or that a place holds none at all. */
export type FoundAnchor =
  | { readonly kind: 'anchor'; readonly anchor: Anchor; readonly place: string }
  | { readonly kind: 'none'; readonly place: string }
  | { readonly kind: 'malformed'; readonly place: string; readonly why: string };

/** A place anchors are kept in. */
export interface AnchorPlace {
  /** For people: `topic NAME` or `file PATH`. */
  readonly name: string;
  /** What it holds when this is called, oldest first; read while it is iterated. Throws KAFKA_UNAVAILABLE, FILE_UNREADABLE. */
  freeze(): Promise<AsyncIterable<FoundAnchor>>;
}

const SCHEMA_VERSION = 1;
const HASH = /^[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const OFFSET = /^\d{1,19}$/;

/** Writes an anchor as one line of JSON, without an end of line. */
export function anchorText(anchor: Anchor): string {
  const { source, batchNo, hash, nextOffset, sealedAt, anchoredAt, clusterId, replacement } = anchor;
  return JSON.stringify({
    schema_version: SCHEMA_VERSION,
    source: { topic: source.topic, partition: source.partition },
    batch_no: batchNo,
    hash,
    next_offset: nextOffset.toString(),
    sealed_at: sealedAt,
    anchored_at: anchoredAt,
    cluster_id: clusterId,
    ...(replacement === undefined ? {} : { replaces: replacesOf(replacement) }),
  });
}

function replacesOf({ batchNo, hash, actor, reason }: AnchorReplacement): object {
  return { batch_no: batchNo, hash, actor, reason };
}

/** Reads an anchor; a text that is none comes back as the reason why. */
export function readAnchor(text: string, place: string): Exclude<FoundAnchor, { kind: 'none' }> {
  try {
    return { kind: 'anchor', anchor: anchorOf(JSON.parse(text)), place };
  } catch (error) {
    const why = isTollbookError(error) ? error.message : 'it is not JSON';
    return { kind: 'malformed', place, why };
  }
}

/** Reads an anchor from what JSON was parsed to. Throws FILE_UNREADABLE that names the field. */
export function anchorOf(value: unknown): Anchor {
  const fields = fieldsOf(value, 'the anchor');
  if (fields['schema_version'] !== SCHEMA_VERSION)
    throw wrong('schema_version', fields['schema_version'], SCHEMA_VERSION);
  const source = fieldsOf(fields['source'], 'source');
  const { replaces } = fields;
  return {
    source: { topic: text(source, 'topic'), partition: count(source, 'partition') },
    batchNo: count(fields, 'batch_no'),
    hash: text(fields, 'hash', HASH),
    nextOffset: BigInt(text(fields, 'next_offset', OFFSET)),
    sealedAt: text(fields, 'sealed_at', TIME),
    anchoredAt: text(fields, 'anchored_at', TIME),
    clusterId: text(fields, 'cluster_id'),
    ...(replaces === undefined ? {} : { replacement: replacementOf(replaces) }),
  };
}

function replacementOf(value: unknown): AnchorReplacement {
  const fields = fieldsOf(value, 'replaces');
  return {
    batchNo: count(fields, 'batch_no'),
    hash: text(fields, 'hash', HASH),
    actor: text(fields, 'actor'),
    reason: text(fields, 'reason'),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown, name: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw wrong(name, value, 'an object');
}

function text(fields: Fields, name: string, pattern = /^.+$/s): string {
  const value = ownValue(fields, name);
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw wrong(name, value, `text like ${pattern.source}`);
}

function count(fields: Fields, name: string): number {
  const value = ownValue(fields, name);
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong(name, value, 'a whole number');
}

function wrong(name: string, found: unknown, allowed: unknown): TollbookError {
  const shown = found === undefined ? 'missing' : JSON.stringify(found);
  return new TollbookError('FILE_UNREADABLE', `${name} is ${shown}; allowed: ${String(allowed)}`);
}
