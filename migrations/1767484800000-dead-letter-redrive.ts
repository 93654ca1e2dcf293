/**
 * Owns: what became of dead letters: the record of each redrive and discard, and the indexes that finding them needs.
 * Does not own: the dead letters themselves (the first migration).
 * Invariants: a dead letter leaves `open` once, never comes back, and never without a record of who did it.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const ACTIONS = `
CREATE TABLE dead_letter_actions (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  action text NOT NULL CHECK (action IN ('redriven', 'discarded')),
  actor text NOT NULL,
  reason text CHECK (reason IS NOT NULL OR action = 'redriven'),
  acted_at timestamptz(3) NOT NULL,
  outcome text CHECK (outcome IN ('charged', 'duplicate', 'superseded', 'skipped', 'unpriced')),
  tenant_id text COLLATE "C",
  trace_id text COLLATE "C",
  source_topic text,
  source_partition integer,
  source_offset bigint,
  batch_id bigint,
  PRIMARY KEY (topic, partition, kafka_offset),
  CHECK (num_nulls(outcome, source_topic, source_partition, source_offset, batch_id) =
    CASE action WHEN 'redriven' THEN 0 ELSE 5 END)
);
COMMENT ON TABLE dead_letter_actions IS 'What became of each dead letter that is no longer open, and who saw to it: append-only, one row a letter.';
COMMENT ON COLUMN dead_letter_actions.action IS 'The state that the dead letter has since.';
COMMENT ON COLUMN dead_letter_actions.reason IS 'Why, in the words of the actor; a discard never goes without.';
COMMENT ON COLUMN dead_letter_actions.acted_at IS 'When; of a redrive, sealed_at of its batch.';
COMMENT ON COLUMN dead_letter_actions.outcome IS 'What its redrive came to, as the batch counts it; null for a discard.';
COMMENT ON COLUMN dead_letter_actions.tenant_id IS 'As the redriven message names it; the dead letter itself may not know.';
COMMENT ON COLUMN dead_letter_actions.source_offset IS 'Number of the message in the redrive stream: where its entry, if it got one, says it comes from.';
`;

const INDEXES = `
CREATE INDEX dead_letters_open ON dead_letters (recorded_at, topic, partition, kafka_offset) INCLUDE (reason)
  WHERE redrive_state = 'open';
COMMENT ON INDEX dead_letters_open IS 'Serves: the list of what is open, oldest first, its counts by reason, and a redrive by filter.';
CREATE INDEX dead_letters_recorded_at ON dead_letters (recorded_at, topic, partition, kafka_offset);
COMMENT ON INDEX dead_letters_recorded_at IS 'Serves: the list of dead letters in any state, oldest first.';
CREATE INDEX dead_letters_tenant ON dead_letters (tenant_id, recorded_at, topic, partition, kafka_offset);
COMMENT ON INDEX dead_letters_tenant IS 'Serves: the dead letters of one tenant, oldest first.';
`;

const ENFORCEMENT = `
CREATE OR REPLACE FUNCTION refuse_dead_letter_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  unchanged dead_letters := NEW;
BEGIN
  unchanged.redrive_state := OLD.redrive_state;
  IF unchanged IS DISTINCT FROM OLD THEN
    RAISE EXCEPTION 'UPDATE on dead_letters refused: only redrive_state may change' USING ERRCODE = 'restrict_violation';
  END IF;
  IF OLD.redrive_state <> 'open' THEN
    RAISE EXCEPTION 'UPDATE on dead_letters refused: the letter is %, for ever', OLD.redrive_state
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF NOT EXISTS (SELECT FROM dead_letter_actions a WHERE a.topic = NEW.topic AND a.partition = NEW.partition
                   AND a.kafka_offset = NEW.kafka_offset AND a.action = NEW.redrive_state) THEN
    RAISE EXCEPTION 'UPDATE on dead_letters refused: dead_letter_actions does not say that it is %', NEW.redrive_state
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION refuse_action_on_closed_letter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dead_letters d WHERE d.topic = NEW.topic AND d.partition = NEW.partition
                   AND d.kafka_offset = NEW.kafka_offset AND d.redrive_state = 'open') THEN
    RAISE EXCEPTION 'INSERT on dead_letter_actions refused: there is no open dead letter at %/%/%',
      NEW.topic, NEW.partition, NEW.kafka_offset USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER only_open_letters BEFORE INSERT ON dead_letter_actions FOR EACH ROW EXECUTE FUNCTION refuse_action_on_closed_letter();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dead_letter_actions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON dead_letter_actions TO tollbook_app;
COMMENT ON COLUMN dead_letters.redrive_state IS 'The only column that may change: once, from open, to what dead_letter_actions says.';
`;

const REFUSE_IN_USE = `
LOCK TABLE dead_letter_actions IN ACCESS EXCLUSIVE MODE;
DO $$
BEGIN
  IF EXISTS (SELECT FROM dead_letter_actions) THEN
    RAISE EXCEPTION 'dead letters have been redriven or discarded: no migration drops the record of it'
      USING ERRCODE = 'restrict_violation';
  END IF;
END $$;
`;

/** As the first migration made it. */
const FORMER_ENFORCEMENT = `
CREATE OR REPLACE FUNCTION refuse_dead_letter_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (to_jsonb(NEW) - 'redrive_state') IS DISTINCT FROM (to_jsonb(OLD) - 'redrive_state') THEN
    RAISE EXCEPTION 'UPDATE on dead_letters refused: only redrive_state may change' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
COMMENT ON COLUMN dead_letters.redrive_state IS 'The only column that may change.';
`;

/** Records what becomes of dead letters. Taking it back is refused once there is such a record. */
export class DeadLetterRedrive1767484800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [ACTIONS, INDEXES, ENFORCEMENT]) await runner.query(part);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(REFUSE_IN_USE);
    await runner.query(`
      ${FORMER_ENFORCEMENT}
      DROP TABLE dead_letter_actions;
      DROP FUNCTION refuse_action_on_closed_letter;
      DROP INDEX dead_letters_open, dead_letters_recorded_at, dead_letters_tenant;
    `);
  }
}
