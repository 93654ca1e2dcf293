/**
 * Owns: which topic the positions of a journal belong to, where one was deleted and created again under the same name.
 * Order: one pass over a few rows.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const TOPIC_IDS = `
ALTER TABLE journal_positions ADD COLUMN topic_id text;
COMMENT ON COLUMN journal_positions.topic_id IS 'Id that Kafka gave the topic: a topic with another id has nothing yet. Null: the broker gives none.';
`;

/** Adds the ids of topics. */
export class JournalTopicIds1768521600001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TOPIC_IDS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE journal_positions DROP COLUMN topic_id;');
  }
}
