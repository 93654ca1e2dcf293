/**
 * Owns: what a batch sets aside beside its entries (dead letters, skipped events, parked completions): the canonical form and the
 * hash of each row, and the root over them, which the batch's own hash covers.
 * Does not own: storage (ledger/postgres/set-aside-writes.ts), nor what becomes of a row later: being redriven, discarded or
 * priced is recorded elsewhere and leaves the row as it is.
 * Invariants: pure; a row is hashed with its position, so no two rows have one hash; the root is over the hashes in ascending
 * order, so that no collation and no clock can change it; a batch that sets nothing aside costs nothing.
 */
import { hash } from 'node:crypto';
import type { StreamSource } from './batch.js';
import { canonicalJson } from './canonical-json.js';
import type { DeadLetter, LetterPosition } from './dead-letter.js';
import { merkleRoot, ROOT_OF_NONE } from './merkle.js';
import type { SkippedEvent, UnpricedUsage } from './ledger-store.js';

/** The table that keeps a row that was set aside. */
export type AsideKind = 'deadLetter' | 'skipped' | 'unpriced';

/** The facts of such a row, in the order of its canonical form: docs/hashing.md. */
export interface AsideFacts {
  readonly kind: AsideKind;
  readonly topic: string;
  readonly partition: string;
  readonly kafkaOffset: string;
  readonly tenantId: string | null;
  readonly traceId: string | null;
  /** The reason of a dead letter or of a skip; of a parked completion, the meters without a price as canonical JSON. */
  readonly reason: string;
  /** Of a dead letter alone. */
  readonly detail: string | null;
  /** SHA-256 of the message's key and value, as hexadecimal digits; of a dead letter alone. */
  readonly keyDigest: string | null;
  readonly valueDigest: string | null;
  /** Canonical JSON of the headers of a dead letter, or of the event. */
  readonly content: string;
}

/** A row to set aside: where its message stands, and its hash as 64 hexadecimal digits. */
export interface AsideRow<T> {
  readonly source: StreamSource;
  readonly row: T;
  readonly rowHash: string;
}

/** What a batch sets aside, with the root over it. */
export interface SealedAside {
  readonly deadLetters: readonly AsideRow<DeadLetter>[];
  readonly skipped: readonly AsideRow<SkippedEvent>[];
  readonly unpriced: readonly AsideRow<UnpricedUsage>[];
  /** 32 bytes. */
  readonly root: Buffer;
}

/** What a batch sets aside, before it is sealed. */
export interface Aside {
  readonly deadLetters: readonly DeadLetter[];
  readonly skipped: readonly SkippedEvent[];
  readonly unpriced: readonly UnpricedUsage[];
  /** Dead letters that stand at positions of other sources: what a repair finds. */
  readonly buried?: readonly { readonly position: LetterPosition; readonly letter: DeadLetter }[];
}

const ASIDE_DOMAIN = 'tollbook.aside.v1';
/** The byte before a leaf of a Merkle tree; source: RFC 6962 §2.1. */
const LEAF_PREFIX = '\u0000';

const NOTHING_ASIDE: SealedAside = { deadLetters: [], skipped: [], unpriced: [], root: ROOT_OF_NONE };

/** Hashes what a batch of a source sets aside. */
export function sealAside(source: StreamSource, { deadLetters, skipped, unpriced, buried = [] }: Aside): SealedAside {
  if (deadLetters.length + skipped.length + unpriced.length + buried.length === 0) return NOTHING_ASIDE;
  const letters = [
    ...deadLetters.map((letter) => asideRow(source, letter, letterFacts)),
    ...buried.map(({ position: { topic, partition }, letter }) => asideRow({ topic, partition }, letter, letterFacts)),
  ];
  const rows = {
    deadLetters: letters,
    skipped: skipped.map((event) => asideRow(source, event, skippedFacts)),
    unpriced: unpriced.map((parked) => asideRow(source, parked, parkedFacts)),
  };
  const hashes = Object.values(rows).flatMap((ofKind) => ofKind.map(({ rowHash }) => rowHash));
  return { ...rows, root: asideRoot(hashes) };
}

/** The root (32 bytes) over the hashes of rows, given in any order, each as hexadecimal digits. */
export function asideRoot(rowHashes: readonly string[]): Buffer {
  return merkleRoot([...rowHashes].sort());
}

/** The canonical form of a row that was set aside: the text of a JSON array. */
export function canonicalAside(facts: AsideFacts): string {
  const { kind, topic, partition, kafkaOffset, tenantId, traceId, reason, detail } = facts;
  return JSON.stringify([
    ...[ASIDE_DOMAIN, kind, topic, partition, kafkaOffset, tenantId, traceId, reason, detail],
    ...[facts.keyDigest, facts.valueDigest, facts.content],
  ]);
}

/** SHA-256 of a zero byte and the canonical form in UTF-8, as 64 hexadecimal digits. */
export function asideHash(facts: AsideFacts): string {
  return hash('sha256', LEAF_PREFIX + canonicalAside(facts), 'hex');
}

function asideRow<T>(source: StreamSource, row: T, factsOf: (source: StreamSource, row: T) => AsideFacts): AsideRow<T> {
  return { source, row, rowHash: asideHash(factsOf(source, row)) };
}

/** The facts of a dead letter of a source. */
export function letterFacts(source: StreamSource, letter: DeadLetter): AsideFacts {
  const { tenantId, traceId, reason, detail, headers } = letter;
  return {
    kind: 'deadLetter',
    ...positionTexts(source, letter),
    ...{ tenantId, traceId, reason, detail },
    keyDigest: digestOf(letter.key),
    valueDigest: digestOf(letter.value),
    content: canonicalJson(headers),
  };
}

/** The facts of a skipped event of a source. */
export function skippedFacts(source: StreamSource, skipped: SkippedEvent): AsideFacts {
  const { event, reason } = skipped;
  const { tenantId = null, traceId } = event;
  return {
    ...{ kind: 'skipped', ...positionTexts(source, skipped), tenantId, traceId, reason, ...NO_LETTER },
    content: canonicalJson(event),
  };
}

/** The facts of a parked completion of a source. */
export function parkedFacts(source: StreamSource, parked: UnpricedUsage): AsideFacts {
  const { event, tenantId, meters } = parked;
  const reason = canonicalJson(meters);
  return {
    ...{ kind: 'unpriced', ...positionTexts(source, parked), tenantId, traceId: event.traceId, reason, ...NO_LETTER },
    content: canonicalJson(event),
  };
}

const NO_LETTER = { detail: null, keyDigest: null, valueDigest: null };

function positionTexts(
  { topic, partition }: StreamSource,
  { kafkaOffset }: { readonly kafkaOffset: bigint },
): Pick<AsideFacts, 'topic' | 'partition' | 'kafkaOffset'> {
  return { topic, partition: String(partition), kafkaOffset: kafkaOffset.toString() };
}

function digestOf(bytes: Buffer | null): string | null {
  return bytes === null ? null : hash('sha256', bytes, 'hex');
}
