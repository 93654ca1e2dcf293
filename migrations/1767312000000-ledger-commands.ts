/**
 * Owns: the commands of operators as rows of their own: idempotency by key, for ever, with the content that a re-sent
 * command is compared with; and the index over entries that refer to another.
 * Does not own: what a command does; the entries, which stay the truth about money.
 * Invariants: append-only, twice; a command and its entry are written together. Credits that an earlier version booked
 * are carried over, so that their keys stay taken. Order: one scan of ledger_entries for the credits, one for the index.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const LEDGER_COMMANDS = `
CREATE TABLE ledger_commands (
  tenant_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  kind text NOT NULL CHECK (kind IN ('open-account', 'credit', 'adjust', 'refund', 'limits', 'collect', 'void', 'price')),
  content jsonb NOT NULL,
  seq bigint NOT NULL,
  actor text NOT NULL,
  batch_id bigint NOT NULL,
  recorded_at timestamptz(3) NOT NULL,
  PRIMARY KEY (tenant_id, key),
  UNIQUE (tenant_id, seq)
);
COMMENT ON TABLE ledger_commands IS 'Commands that became an entry: append-only, so that a key stays taken for ever. A refused command leaves no row.';
COMMENT ON COLUMN ledger_commands.key IS 'Idempotency key: the same command sent again with it returns its first result, another command is an error.';
COMMENT ON COLUMN ledger_commands.kind IS 'What the command wants.';
COMMENT ON COLUMN ledger_commands.content IS 'Its parameters and its reason in canonical form, as text by name: what a command sent again is compared with.';
COMMENT ON COLUMN ledger_commands.seq IS 'The entry of the tenant that the command became.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_commands FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON ledger_commands TO tollbook_app;
`;

/** An earlier version found a credit again by its trace id, "~" and the key. */
const CARRY_OVER_CREDITS = `
INSERT INTO ledger_commands (tenant_id, key, kind, content, seq, actor, batch_id, recorded_at)
SELECT tenant_id, substr(trace_id, 2), 'credit',
  jsonb_build_object('amount', amount::text, 'currency', currency, 'reason', coalesce(description, '')),
  seq, coalesce(actor, ''), batch_id, recorded_at
FROM ledger_entries WHERE type = 'CREDIT' AND trace_id LIKE '~%';
`;

const REFERENCES = `
CREATE INDEX ledger_entries_reference ON ledger_entries (tenant_id, reference_seq) WHERE reference_seq IS NOT NULL;
COMMENT ON INDEX ledger_entries_reference IS 'Serves: what earlier refunds have put back of an entry, and the entries that refer to one. Usage refers to nothing and does not touch it.';
`;

const REFUSE_IN_USE = `
LOCK TABLE ledger_commands IN ACCESS EXCLUSIVE MODE;
DO $$
BEGIN
  IF EXISTS (SELECT FROM ledger_commands) THEN
    RAISE EXCEPTION 'ledger_commands has been written to: no migration drops it' USING ERRCODE = 'restrict_violation';
  END IF;
END $$;
`;

/** Creates the table of commands. Taking it back is refused once it has a row. */
export class LedgerCommands1767312000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [LEDGER_COMMANDS, CARRY_OVER_CREDITS, REFERENCES]) await runner.query(part);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(REFUSE_IN_USE);
    await runner.query('DROP INDEX ledger_entries_reference; DROP TABLE ledger_commands;');
  }
}
