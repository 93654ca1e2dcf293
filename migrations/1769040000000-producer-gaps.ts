/**
 * Owns: the numbers of gateways whose events will never be published, as operators accepted them.
 * Order: one empty table.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const GAPS = `
CREATE TABLE producer_gaps (
  instance text COLLATE "C" NOT NULL CHECK (instance <> ''),
  epoch bigint NOT NULL CHECK (epoch >= 0),
  from_seq bigint NOT NULL CHECK (from_seq >= 0),
  to_seq bigint NOT NULL CHECK (to_seq >= from_seq),
  actor text NOT NULL CHECK (actor <> ''),
  reason text NOT NULL CHECK (reason <> ''),
  accepted_at timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (instance, epoch, from_seq)
);
COMMENT ON TABLE producer_gaps IS 'Numbers that a gateway gave to events which no topic has, and that an operator accepted as lost: from_seq to to_seq, both included.';
COMMENT ON COLUMN producer_gaps.instance IS 'The gateway, as its events name it (producer.instance).';
COMMENT ON COLUMN producer_gaps.from_seq IS 'The first number (producer.seq).';
COMMENT ON COLUMN producer_gaps.to_seq IS 'The last number, included.';
COMMENT ON COLUMN producer_gaps.epoch IS 'Which start of the gateway, as its events name it.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON producer_gaps FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON producer_gaps TO tollbook_app;
`;

/** Creates the accepted gaps of producers. */
export class ProducerGaps1769040000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(GAPS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE producer_gaps');
  }
}
