/**
 * Owns: the corrected copy under which a dead letter was redriven, beside its original bytes, which stay.
 * Order: one column that holds nothing yet.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const AMENDED = `
ALTER TABLE dead_letter_actions ADD COLUMN amended_value bytea
  CHECK (amended_value IS NULL OR (action = 'redriven' AND reason IS NOT NULL));
COMMENT ON COLUMN dead_letter_actions.amended_value IS
  'The corrected copy that was charged in place of the value of the message; null: the message itself was.';
`;

/** Adds the column. */
export class AmendedLetters1769126400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(AMENDED);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE dead_letter_actions DROP COLUMN amended_value');
  }
}
