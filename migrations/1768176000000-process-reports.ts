/**
 * Owns: what processes and checks last told of themselves, so that one command sees all of them, on whatever machine.
 * Does not own: anything of the ledger: these rows are overwritten and removed, and nothing is proved by them.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const REPORTS = `
CREATE TABLE process_reports (
  instance text COLLATE "C" PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('consume', 'project')),
  host text NOT NULL,
  pid integer NOT NULL,
  version text NOT NULL,
  started_at timestamptz(3) NOT NULL,
  reported_at timestamptz(3) NOT NULL,
  report jsonb NOT NULL
);
COMMENT ON TABLE process_reports IS 'What each running process last told of itself: one row a process, overwritten every few seconds and removed when it stops.';
COMMENT ON COLUMN process_reports.instance IS 'Drawn by the process when it starts.';
COMMENT ON COLUMN process_reports.kind IS 'Whether it charges events, or only projects.';
COMMENT ON COLUMN process_reports.host IS 'Name of the machine it runs on.';
COMMENT ON COLUMN process_reports.pid IS 'Its number on that machine.';
COMMENT ON COLUMN process_reports.version IS 'Version of Tollbook.';
COMMENT ON COLUMN process_reports.started_at IS 'When it started, by its own clock.';
COMMENT ON COLUMN process_reports.reported_at IS 'By the clock of the database: an old one is a process that hangs, was killed, or cannot write.';
COMMENT ON COLUMN process_reports.report IS 'What its /readyz told at that time.';
GRANT SELECT, INSERT, UPDATE, DELETE ON process_reports TO tollbook_app;

CREATE TABLE latest_checks (
  kind text COLLATE "C" PRIMARY KEY CHECK (kind IN ('audit', 'verify', 'reconcile')),
  finished_at timestamptz(3) NOT NULL,
  findings bigint NOT NULL CHECK (findings >= 0),
  scope text NOT NULL
);
COMMENT ON TABLE latest_checks IS 'When each kind of check was last complete, and how much it found.';
COMMENT ON COLUMN latest_checks.kind IS 'Which check.';
COMMENT ON COLUMN latest_checks.finished_at IS 'When it was complete, by the clock of the database.';
COMMENT ON COLUMN latest_checks.findings IS 'How much it found wrong; 0: clean.';
COMMENT ON COLUMN latest_checks.scope IS 'What it looked at, in words.';
GRANT SELECT, INSERT, UPDATE ON latest_checks TO tollbook_app;
`;

/** Creates the tables of process reports and latest checks. */
export class ProcessReports1768176000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(REPORTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE latest_checks, process_reports;');
  }
}
