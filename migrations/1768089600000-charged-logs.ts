/**
 * Owns: what tells the log of a source from another of the same name, the record of an accepted log, and when the last entry
 * of a tenant was recorded.
 * Does not own: the comparison (src/consumers/log-identity.ts).
 * Invariants: accepted logs are append-only, twice. Order: one look-up by key in ledger_entries for each account.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const CURSORS = `
ALTER TABLE stream_cursors
  ADD COLUMN log_base bigint NOT NULL DEFAULT 0,
  ADD COLUMN topic_id text,
  ADD COLUMN last_position bigint,
  ADD COLUMN last_digest bytea,
  ADD CHECK ((last_position IS NULL) = (last_digest IS NULL));
COMMENT ON COLUMN stream_cursors.log_base IS 'Position in the ledger less offset in Kafka: 0, unless an operator accepted another log in the place of the first.';
COMMENT ON COLUMN stream_cursors.topic_id IS 'The id that Kafka gave the topic of the charged log; null where it is not known.';
COMMENT ON COLUMN stream_cursors.last_position IS 'Position of the last charged message; next_offset may lie further, past transaction markers.';
COMMENT ON COLUMN stream_cursors.last_digest IS 'SHA-256 of that message (docs/hashing.md): tells its log from another one.';
`;

const ACCEPTED_LOGS = `
CREATE TABLE accepted_logs (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  from_position bigint NOT NULL,
  log_base bigint NOT NULL,
  topic_id text,
  actor text NOT NULL,
  reason text NOT NULL,
  accepted_at timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition, from_position, accepted_at)
);
COMMENT ON TABLE accepted_logs IS 'Logs that an operator accepted in the place of the one charged before: positions from from_position on are offsets of the new log plus log_base.';
COMMENT ON COLUMN accepted_logs.from_position IS 'The first position of the ledger that is one of the accepted log.';
COMMENT ON COLUMN accepted_logs.log_base IS 'Position in the ledger less offset in the accepted log.';
COMMENT ON COLUMN accepted_logs.topic_id IS 'The id that Kafka gave the topic of the accepted log; null where it is not known.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accepted_logs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON accepted_logs TO tollbook_app;
`;

const RECORDED = `
ALTER TABLE accounts ADD COLUMN last_recorded_at timestamptz(3);
COMMENT ON COLUMN accounts.last_recorded_at IS 'recorded_at of the last entry folded in: what is sealed next is recorded no earlier; null before the first.';
UPDATE accounts a SET last_recorded_at = e.recorded_at FROM ledger_entries e WHERE e.tenant_id = a.tenant_id AND e.seq = a.seq;
`;

/** Dropping the record of an accepted log would leave positions that nobody can explain. */
const REFUSE_IN_USE = `
LOCK TABLE accepted_logs IN ACCESS EXCLUSIVE MODE;
DO $$
BEGIN
  IF EXISTS (SELECT FROM accepted_logs) THEN
    RAISE EXCEPTION 'accepted_logs has been written to: no migration drops it' USING ERRCODE = 'restrict_violation';
  END IF;
END $$;
`;

/** Lets the ledger tell its logs from others, and keeps recorded_at from falling. */
export class ChargedLogs1768089600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [CURSORS, ACCEPTED_LOGS, RECORDED]) await runner.query(part);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(REFUSE_IN_USE);
    await runner.query(`
      DROP TABLE accepted_logs;
      ALTER TABLE accounts DROP COLUMN last_recorded_at;
      ALTER TABLE stream_cursors DROP COLUMN log_base, DROP COLUMN topic_id, DROP COLUMN last_position, DROP COLUMN last_digest;
    `);
  }
}
