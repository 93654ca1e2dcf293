/**
 * Owns: the id of the event that a dead letter holds, where it can be read.
 * Order: one column that is null for the letters there are: their ids stay in their bytes.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const EVENT_IDS = `
ALTER TABLE dead_letters ADD COLUMN event_id text COLLATE "C";
COMMENT ON COLUMN dead_letters.event_id IS 'As the message names it, which its bytes tell as well; null where it cannot be read.';
CREATE INDEX dead_letters_event_id ON dead_letters (event_id) WHERE event_id IS NOT NULL;
COMMENT ON INDEX dead_letters_event_id IS 'Serves: finding the dead letter of an event that a gateway has in its log.';
`;

/** Adds the column and its index. */
export class LetterEventIds1769299200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(EVENT_IDS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE dead_letters DROP COLUMN event_id');
  }
}
