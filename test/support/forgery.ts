/**
 * Owns: changing a ledger behind its back, as a superuser could who disables the triggers, and putting it back.
 * Invariants: what is forged is committed, so that every connection sees it; `restore` brings every row back.
 */
import { expect } from 'chai';
import type pg from 'pg';
import { openOwnerPool, type TestDatabase } from './test-database.js';

/** In an order that no foreign key minds. */
const TABLES = [
  'journal_positions',
  ...['ledger_entries', 'ledger_batches', 'accounts', 'open_holds', 'stream_cursors', 'stream_gaps'],
  ...['dead_letters', 'dead_letter_actions', 'skipped_events', 'unpriced_usage', 'ledger_commands'],
];

/** The owner of the tables, with ill intent. */
export class Forgery {
  readonly owner: pg.Pool;

  private constructor(owner: pg.Pool) {
    this.owner = owner;
  }

  /** Switches the triggers off and keeps a copy of everything. */
  static async open(database: TestDatabase): Promise<Forgery> {
    const owner = openOwnerPool(database);
    await owner.query('CREATE SCHEMA kept');
    for (const table of TABLES) {
      await owner.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
      await owner.query(`CREATE TABLE kept.${table} AS TABLE ${table}`);
    }
    return new Forgery(owner);
  }

  /** Runs statements, each of which must change something. */
  async forge(statements: readonly string[]): Promise<void> {
    for (const statement of statements)
      expect((await this.owner.query(statement)).rowCount, statement).to.be.at.least(1);
  }

  /** Puts every row back. */
  async restore(): Promise<void> {
    for (const table of TABLES) {
      await this.owner.query(`TRUNCATE ${table}; INSERT INTO ${table} TABLE kept.${table};`);
    }
  }

  close(): Promise<void> {
    return this.owner.end();
  }
}

/** Changes a ledger for good; each statement must change something. */
export async function forgeOnce(database: TestDatabase, statements: readonly string[]): Promise<void> {
  const owner = openOwnerPool(database);
  try {
    for (const table of TABLES) await owner.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
    for (const statement of statements) expect((await owner.query(statement)).rowCount, statement).to.be.at.least(1);
  } finally {
    await owner.end();
  }
}
