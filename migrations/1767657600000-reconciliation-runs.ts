/**
 * Owns: what reconciliations leave in the ledger: the runs that someone signed, and every message that a repair charged.
 * Does not own: the entries a repair makes, which stand in the ledger like any others.
 * Invariants: append-only, twice; a message is repaired once, and its repair has a place of its own in a repair stream.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const RUNS = `
CREATE TABLE reconciliation_runs (
  run_id text COLLATE "C" PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('reconcile', 'repair')),
  actor text NOT NULL,
  reason text,
  started_at timestamptz(3) NOT NULL,
  finished_at timestamptz(3) NOT NULL CHECK (finished_at >= started_at),
  cluster_id text NOT NULL,
  ranges jsonb NOT NULL,
  counts jsonb NOT NULL,
  findings jsonb NOT NULL,
  expected_digest bytea NOT NULL CHECK (octet_length(expected_digest) = 32),
  actual_digest bytea NOT NULL CHECK (octet_length(actual_digest) = 32),
  report_digest bytea NOT NULL CHECK (octet_length(report_digest) = 32)
);
COMMENT ON TABLE reconciliation_runs IS 'Reconciliations and repairs that someone signed: what was compared, and what was found.';
COMMENT ON COLUMN reconciliation_runs.run_id IS 'Name of the run, as its report has it.';
COMMENT ON COLUMN reconciliation_runs.kind IS 'Whether it only compared, or repaired what was missing as well.';
COMMENT ON COLUMN reconciliation_runs.started_at IS 'When the ranges were frozen.';
COMMENT ON COLUMN reconciliation_runs.finished_at IS 'When the report was made.';
COMMENT ON COLUMN reconciliation_runs.counts IS 'What the messages came to, over all ranges.';
COMMENT ON COLUMN reconciliation_runs.reason IS 'Why it was repaired; null for a reconciliation.';
COMMENT ON COLUMN reconciliation_runs.cluster_id IS 'The Kafka cluster whose offsets the ranges are.';
COMMENT ON COLUMN reconciliation_runs.ranges IS 'What was compared of each partition, and its digests.';
COMMENT ON COLUMN reconciliation_runs.findings IS 'How many findings of each kind.';
COMMENT ON COLUMN reconciliation_runs.expected_digest IS 'SHA-256 over what the messages must have become.';
COMMENT ON COLUMN reconciliation_runs.actual_digest IS 'SHA-256 over what the ledger has; equal to expected_digest exactly when nothing differs.';
COMMENT ON COLUMN reconciliation_runs.report_digest IS 'SHA-256 of the JSON report, as the report names it.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation_runs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON reconciliation_runs TO tollbook_app;
`;

const REPAIRED = `
CREATE TABLE repaired_messages (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  run_id text COLLATE "C" NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('charged', 'duplicate', 'superseded', 'skipped', 'unpriced', 'deadLetter')),
  tenant_id text COLLATE "C",
  trace_id text COLLATE "C",
  repair_topic text COLLATE "C" NOT NULL,
  repair_partition integer NOT NULL,
  repair_offset bigint NOT NULL,
  batch_id bigint NOT NULL,
  actor text NOT NULL,
  reason text NOT NULL,
  repaired_at timestamptz(3) NOT NULL,
  PRIMARY KEY (topic, partition, kafka_offset),
  UNIQUE (repair_topic, repair_partition, repair_offset)
);
COMMENT ON TABLE repaired_messages IS 'Messages that the ledger had passed without a trace and that a repair has sent through the charge protocol since.';
COMMENT ON COLUMN repaired_messages.kafka_offset IS 'Where Kafka has the message.';
COMMENT ON COLUMN repaired_messages.run_id IS 'The repair, as its report names it; recorded in reconciliation_runs before its first message.';
COMMENT ON COLUMN repaired_messages.outcome IS 'What it came to, as the batch of the repair counts it.';
COMMENT ON COLUMN repaired_messages.repair_topic IS 'The repair stream: ~repair.';
COMMENT ON COLUMN repaired_messages.repair_partition IS 'By tenant, as of the command streams.';
COMMENT ON COLUMN repaired_messages.repair_offset IS 'Number of the message in the repair stream: where its entry, if it got one, says it comes from.';
COMMENT ON COLUMN repaired_messages.repaired_at IS 'When its batch was sealed.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON repaired_messages FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON repaired_messages TO tollbook_app;
`;

const REFUSE_IN_USE = `
LOCK TABLE reconciliation_runs, repaired_messages IN ACCESS EXCLUSIVE MODE;
DO $$
BEGIN
  IF EXISTS (SELECT FROM reconciliation_runs) OR EXISTS (SELECT FROM repaired_messages) THEN
    RAISE EXCEPTION 'reconciliations have been recorded: no migration drops them' USING ERRCODE = 'restrict_violation';
  END IF;
END $$;
`;

/** Creates the records of reconciliations. Taking it back is refused once there is one. */
export class ReconciliationRuns1767657600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [RUNS, REPAIRED]) await runner.query(part);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(REFUSE_IN_USE);
    await runner.query('DROP TABLE repaired_messages, reconciliation_runs;');
  }
}
