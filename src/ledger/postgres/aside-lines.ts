/**
 * Owns: reading what batches set aside, and the records of commands, as lines: each with the hash it was stored with.
 * Does not own: what they must hash to (ledger/set-aside.ts, ledger/commands/command-hash.ts).
 * Invariants: memory is bounded by a row, or by the hashes of one batch; keys and values of messages are hashed by PostgreSQL and
 * never sent. Needs the settings of a proof snapshot: bytea in hex.
 */
import type { AsideFacts, AsideKind } from '../set-aside.js';
import { unescapedField } from '../entry-fields.js';
import { safeInteger } from './rows.js';
import { type ProofScope, sourcesIn } from './proof-scope.js';
import { literal } from './proof-snapshot.js';

/** A row that was set aside, and the hash that is stored with it. */
export interface AsideLine {
  readonly facts: AsideFacts;
  readonly rowHash: string;
}

const LETTER_COLUMNS = `'deadLetter', r.topic, r.partition, r.kafka_offset, r.tenant_id, r.trace_id, r.reason, r.detail,
  encode(sha256(r.message_key), 'hex'), encode(sha256(r.message_value), 'hex'), r.headers, encode(r.row_hash, 'hex')`;
const EVENT_COLUMNS = (kind: AsideKind, reason: string): string =>
  `'${kind}', r.topic, r.partition, r.kafka_offset, r.tenant_id, r.trace_id, ${reason}, NULL, NULL, NULL, r.event,
  encode(r.row_hash, 'hex')`;

/** What each table is selected by; the JSON of a row comes as PostgreSQL keeps it. */
const TABLES = [
  { table: 'dead_letters', columns: LETTER_COLUMNS },
  { table: 'skipped_events', columns: EVENT_COLUMNS('skipped', 'r.reason') },
  { table: 'unpriced_usage', columns: EVENT_COLUMNS('unpriced', 'to_jsonb(r.meters)::text') },
] as const;

/** The rows of a scope, for `asideOfLine`: one statement a table. */
export function asideStatements(scope: ProofScope): string[] {
  return TABLES.map(({ table, columns }) => `SELECT ${columns} FROM ${table} r WHERE ${rowsIn(scope)}`);
}

/** Reads a row from its line. */
export function asideOfLine(line: string): AsideLine {
  const fields = line.split('\t').map(unescapedField);
  const [kind, topic, partition, kafkaOffset, tenantId = null, traceId = null, reason, detail = null, ...more] = fields;
  const [keyDigest = null, valueDigest = null, content, rowHash] = more;
  return {
    facts: {
      kind: kind as AsideKind,
      ...{ topic: topic ?? '', partition: partition ?? '', kafkaOffset: kafkaOffset ?? '', tenantId, traceId },
      ...{ reason: reason ?? '', detail, keyDigest, valueDigest, content: content ?? '' },
    },
    rowHash: rowHash ?? '',
  };
}

/** The hashes of the rows that one batch set aside, and what the batch says of them. */
export interface AsideGroup {
  readonly name: string;
  readonly sealedRows: number;
  readonly asideRoot: string;
  readonly rowHashes: readonly string[];
}

const HASH_DIGITS = 64;

/** The hashes by batch, for `asideGroupOfLine`; of batches that the scope looks at, each with all its rows. */
export function asideGroupStatement(scope: ProofScope): string {
  const rows = TABLES.map(({ table }) => `SELECT r.batch_id, r.row_hash FROM ${table} r WHERE ${rowsIn(scope)}`);
  return `SELECT b.topic || '/' || b.partition || '#' || b.batch_no, b.skipped + b.unpriced + b.dead_letters,
      encode(b.aside_root, 'hex'), string_agg(encode(r.row_hash, 'hex'), '' ORDER BY r.row_hash)
    FROM (${rows.join(' UNION ALL ')}) r JOIN ledger_batches b ON b.batch_id = r.batch_id
    WHERE ${scope.kind === 'source' ? sourcesIn(scope, 'b') : 'true'}
    GROUP BY b.topic, b.partition, b.batch_no`;
}

/** Reads the hashes of a batch from their line. */
export function asideGroupOfLine(line: string): AsideGroup {
  const [name = '', rows = '', asideRoot = '', hashes = ''] = line.split('\t');
  const rowHashes: string[] = [];
  for (let at = 0; at < hashes.length; at += HASH_DIGITS) rowHashes.push(hashes.slice(at, at + HASH_DIGITS));
  return { name: unescapedField(name) ?? '', sealedRows: safeInteger(rows), asideRoot, rowHashes };
}

/** The condition on a table `r`: rows of the batches that set something aside of the scope. */
function rowsIn(scope: ProofScope): string {
  switch (scope.kind) {
    case 'full':
      return 'true';
    case 'tenant': {
      const ofTenant = TABLES.map(
        ({ table }) => `SELECT t.batch_id FROM ${table} t WHERE t.tenant_id = ${literal(scope.tenantId)}`,
      );
      return `r.batch_id IN (${ofTenant.join(' UNION ')})`;
    }
    case 'source':
      return `(${sourcesIn(scope, 'r')} OR r.batch_id IN
        (SELECT b.batch_id FROM ledger_batches b WHERE b.topic = '~repair' AND ${sourcesIn(scope, 'b')}))`;
  }
}

/** A command's record as its row says it, with the seq of its entry and the hash which that carries. */
export interface CommandLine {
  readonly tenantId: string;
  readonly key: string;
  readonly kind: string;
  readonly actor: string;
  readonly content: string;
  readonly seq: string;
  readonly commandHash: string | null;
}

/** The commands of a scope with their entries, for `commandOfLine`; an actor that differs is another check's finding. */
export function commandStatement(scope: ProofScope): string {
  const ofTenant = scope.kind === 'tenant' ? `AND c.tenant_id = ${literal(scope.tenantId)}` : '';
  return `SELECT c.tenant_id, c.key, c.kind, c.actor, c.content, c.seq, e.command_hash
    FROM ledger_commands c JOIN ledger_entries e ON e.tenant_id = c.tenant_id AND e.seq = c.seq
    WHERE c.actor = e.actor ${ofTenant}`;
}

/** Reads a command's record from its line. */
export function commandOfLine(line: string): CommandLine {
  const [tenantId, key, kind, actor, content, seq, commandHash = null] = line.split('\t').map(unescapedField);
  return {
    ...{ tenantId: tenantId ?? '', key: key ?? '', kind: kind ?? '', actor: actor ?? '', content: content ?? '' },
    ...{ seq: seq ?? '', commandHash },
  };
}
