/**
 * Owns: finding records beside the entries that do not fit the ledger: commands and their entries, what was set aside and
 * the counts of its batch, what became of dead letters.
 * Does not own: entries, accounts and chains, which the proofs read as streams.
 * Invariants: reads only, in a proof snapshot; each check is one statement that finds nothing in a healthy ledger; how
 * many findings come back is bounded.
 */
import { type ProofScope, sourcesIn } from './proof-scope.js';
import { literal, type ProofSnapshot } from './proof-snapshot.js';

/** A record that does not fit, as a sentence that names it. */
export interface RecordFinding {
  readonly kind: 'command' | 'setAside';
  readonly message: string;
}

/** Finds what does not fit in a scope, at most `limit` of each check. Throws POSTGRES_*. */
export async function findUnfitRecords(
  snapshot: ProofSnapshot,
  scope: ProofScope,
  limit: number,
): Promise<RecordFinding[]> {
  const findings: RecordFinding[] = [];
  for (const { kind, statement } of checksOf(scope)) {
    const rows = await snapshot.rows<{ message: string }>(`${statement} ORDER BY 1 LIMIT ${limit}`);
    findings.push(...rows.map(({ message }) => ({ kind, message })));
  }
  return findings;
}

interface RecordCheck {
  readonly kind: RecordFinding['kind'];
  /** Selects one column, `message`. */
  readonly statement: string;
}

function checksOf(scope: ProofScope): RecordCheck[] {
  switch (scope.kind) {
    case 'full':
      return [...commandChecks(undefined), ...setAsideChecks('true'), ...letterChecks(), ...repairChecks()];
    case 'tenant':
      return commandChecks(scope.tenantId);
    case 'source':
      return setAsideChecks(sourcesIn(scope, 'b'));
  }
}

/** A command and its entry name each other: by seq, and by the actor that only commands have. */
function commandChecks(tenantId: string | undefined): RecordCheck[] {
  const ofTenant = (alias: string): string =>
    tenantId === undefined ? 'true' : `${alias}.tenant_id = ${literal(tenantId)}`;
  return [
    `SELECT format('command %s of %s names entry #%s, which does not exist', c.key, c.tenant_id, c.seq) AS message
     FROM ledger_commands c WHERE ${ofTenant('c')}
       AND NOT EXISTS (SELECT FROM ledger_entries e WHERE e.tenant_id = c.tenant_id AND e.seq = c.seq)`,
    `SELECT format('command %s of %s differs from its entry #%s in actor, batch or time', c.key, c.tenant_id, c.seq) AS message
     FROM ledger_commands c JOIN ledger_entries e ON e.tenant_id = c.tenant_id AND e.seq = c.seq
     WHERE ${ofTenant('c')}
       AND (c.actor <> coalesce(e.actor, '') OR c.batch_id <> e.batch_id OR c.recorded_at <> e.recorded_at)`,
    `SELECT format('entry %s#%s names an actor, and no command made it', e.tenant_id, e.seq) AS message
     FROM ledger_entries e WHERE ${ofTenant('e')} AND e.actor IS NOT NULL
       AND NOT EXISTS (SELECT FROM ledger_commands c WHERE c.tenant_id = e.tenant_id AND c.seq = e.seq)`,
  ].map((statement) => ({ kind: 'command', statement }));
}

/** What was set aside, by table: the count of the batch that covers it, and what to call it. */
const SET_ASIDE = [
  { table: 'dead_letters', count: 'dead_letters', what: 'dead letter' },
  { table: 'skipped_events', count: 'skipped', what: 'skipped event' },
  { table: 'unpriced_usage', count: 'unpriced', what: 'parked completion' },
] as const;

/** A repair that finds a dead letter puts it where its message is, and seals it in a batch of the repair stream. */
const NOT_REPAIRED = `NOT EXISTS (SELECT FROM repaired_messages r WHERE r.topic = b.topic AND r.partition = b.partition
         AND r.kafka_offset = b.kafka_offset AND r.batch_id = b.batch_id AND r.repaired_at = b.recorded_at)`;

function setAsideChecks(batches: string): RecordCheck[] {
  return SET_ASIDE.flatMap(({ table, count, what }) =>
    [
      `SELECT format('batch %s/%s#%s counts ${what}s: %s, the ledger has %s', b.topic, b.partition, b.batch_no, b.${count},
         coalesce(s.found, 0)) AS message
       FROM ledger_batches b
       LEFT JOIN (SELECT batch_id, count(*) AS found FROM ${table} GROUP BY batch_id) s ON s.batch_id = b.batch_id
       WHERE b.${count} <> coalesce(s.found, 0) AND ${batches}`,
      `SELECT format('${what} %s/%s/%s does not have the source, position or time of its batch', b.topic, b.partition,
         b.kafka_offset) AS message
       FROM ${table} b WHERE ${batches} AND NOT EXISTS (SELECT FROM ledger_batches t WHERE t.batch_id = b.batch_id
         AND t.topic = b.topic AND t.partition = b.partition AND t.sealed_at = b.recorded_at
         AND b.kafka_offset >= t.first_offset AND b.kafka_offset < t.next_offset) AND ${NOT_REPAIRED}`,
    ].map((statement): RecordCheck => ({ kind: 'setAside', statement })),
  );
}

/** The state of a dead letter is what its record says, and what was redriven stands where the record says. */
function letterChecks(): RecordCheck[] {
  return [
    `SELECT format('dead letter %s/%s/%s is %s, its record says %s', d.topic, d.partition, d.kafka_offset,
       d.redrive_state, coalesce(a.action, 'nothing')) AS message
     FROM dead_letters d LEFT JOIN dead_letter_actions a ON a.topic = d.topic AND a.partition = d.partition
       AND a.kafka_offset = d.kafka_offset
     WHERE d.redrive_state <> coalesce(a.action, 'open')`,
    `SELECT format('dead letter %s/%s/%s was redriven as %s/%s/%s, which no batch covers', a.topic, a.partition,
       a.kafka_offset, a.source_topic, a.source_partition, a.source_offset) AS message
     FROM dead_letter_actions a WHERE a.action = 'redriven' AND NOT EXISTS (
       SELECT FROM ledger_batches b WHERE b.batch_id = a.batch_id AND b.topic = a.source_topic
         AND b.partition = a.source_partition AND a.source_offset >= b.first_offset AND a.source_offset < b.next_offset)`,
    `SELECT format('dead letter %s/%s/%s was redriven and charged, and trace %s of %s has no such entry', a.topic,
       a.partition, a.kafka_offset, a.trace_id, a.tenant_id) AS message
     FROM dead_letter_actions a WHERE a.outcome = 'charged' AND NOT EXISTS (
       SELECT FROM ledger_entries e WHERE e.tenant_id = a.tenant_id AND e.trace_id = a.trace_id
         AND e.batch_id = a.batch_id AND e.source_offset = a.source_offset)`,
  ].map((statement) => ({ kind: 'setAside', statement }));
}

/** What was repaired stands where the record says. */
function repairChecks(): RecordCheck[] {
  return [
    `SELECT format('message %s/%s/%s was repaired as %s/%s/%s, which no batch covers', r.topic, r.partition,
       r.kafka_offset, r.repair_topic, r.repair_partition, r.repair_offset) AS message
     FROM repaired_messages r WHERE NOT EXISTS (
       SELECT FROM ledger_batches b WHERE b.batch_id = r.batch_id AND b.topic = r.repair_topic
         AND b.partition = r.repair_partition AND r.repair_offset >= b.first_offset AND r.repair_offset < b.next_offset)`,
    `SELECT format('message %s/%s/%s was repaired and charged, and trace %s of %s has no such entry', r.topic,
       r.partition, r.kafka_offset, r.trace_id, r.tenant_id) AS message
     FROM repaired_messages r WHERE r.outcome = 'charged' AND NOT EXISTS (
       SELECT FROM ledger_entries e WHERE e.tenant_id = r.tenant_id AND e.trace_id = r.trace_id
         AND e.batch_id = r.batch_id AND e.source_offset = r.repair_offset)`,
  ].map((statement) => ({ kind: 'setAside', statement }));
}
