/**
 * Owns: how far the commands are published to the journal, and the index by which they are read for it.
 * Does not own: the journal itself, which is a Kafka topic.
 * Order: one scan of ledger_commands for the index.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const JOURNAL = `
CREATE INDEX ledger_commands_batch ON ledger_commands (batch_id);
COMMENT ON INDEX ledger_commands_batch IS 'Serves: the commands of the batches that are not in the journal yet.';
CREATE TABLE journal_positions (
  journal text COLLATE "C" NOT NULL,
  partition integer NOT NULL CHECK (partition >= 0),
  batch_no bigint NOT NULL DEFAULT 0 CHECK (batch_no >= 0),
  PRIMARY KEY (journal, partition)
);
COMMENT ON TABLE journal_positions IS 'How far each command stream is published to a journal: at most what is in the topic, so that nothing is left out.';
COMMENT ON COLUMN journal_positions.journal IS 'Name of the Kafka topic.';
COMMENT ON COLUMN journal_positions.partition IS 'Which command stream.';
COMMENT ON COLUMN journal_positions.batch_no IS 'The last batch whose commands are in the topic; 0 before the first.';
GRANT SELECT, INSERT, UPDATE ON journal_positions TO tollbook_app;
`;

/** Creates the positions of the journal. */
export class CommandJournal1768521600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(JOURNAL);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE journal_positions; DROP INDEX ledger_commands_batch;');
  }
}
