/**
 * Owns: the commands in PostgreSQL, written with their batch and found by their key; and the entries that a command is
 * about, read in full.
 * Invariants: every statement goes by an index that starts with the tenant; none scans with history.
 */
import type pg from 'pg';
import type { CommandContent, RecordedCommand } from '../commands/command-content.js';
import type { CommandKind } from '../commands/command.js';
import type { LedgerEntry } from '../entry.js';
import type { BatchAppend, CommandKey, EntryKey, TraceKey } from '../ledger-store.js';
import { type AmountNano, parseAmount } from '../money.js';
import { ENTRY_SELECT, type EntryRow, storedEntryOf } from './proof-rows.js';

/** Writes the commands of a batch. */
export async function insertCommands(client: pg.ClientBase, { batch, commands }: BatchAppend): Promise<void> {
  for (const { tenantId, key, kind, content, seq, actor } of commands) {
    await client.query(
      `INSERT INTO ledger_commands (tenant_id, key, kind, content, seq, actor, batch_id, recorded_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [tenantId, key, kind, JSON.stringify(content), seq, actor, batch.batchId, batch.sealedAt],
    );
  }
}

interface CommandRow extends EntryRow {
  readonly command_kind: CommandKind;
  readonly command_content: CommandContent;
  readonly command_actor: string;
}

/** Finds the command that a key was used for, and its entry. */
export async function selectCommand(
  client: pg.ClientBase,
  { tenantId, key }: CommandKey,
): Promise<RecordedCommand | undefined> {
  const { rows } = await client.query<CommandRow>(
    `SELECT ${ENTRY_SELECT}, c.kind AS command_kind, c.content AS command_content, c.actor AS command_actor
     FROM ledger_commands c JOIN ledger_entries e ON e.tenant_id = c.tenant_id AND e.seq = c.seq
     WHERE c.tenant_id = $1 COLLATE "C" AND c.key = $2 COLLATE "C"`,
    [tenantId, key],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const { command_kind: kind, command_content: content, command_actor: actor } = row;
  return { kind, content, actor, entry: storedEntryOf(row).entry };
}

/** Reads one entry in full. */
export async function selectEntry(
  client: pg.ClientBase,
  { tenantId, seq }: EntryKey,
): Promise<LedgerEntry | undefined> {
  const { rows } = await client.query<EntryRow>(
    `SELECT ${ENTRY_SELECT} FROM ledger_entries e WHERE e.tenant_id = $1 COLLATE "C" AND e.seq = $2`,
    [tenantId, seq],
  );
  return rows[0] === undefined ? undefined : storedEntryOf(rows[0]).entry;
}

/** Reads the entries of a trace in full, in the order of their seq. */
export async function selectTraceEntries(
  client: pg.ClientBase,
  { tenantId, traceId }: TraceKey,
): Promise<LedgerEntry[]> {
  const { rows } = await client.query<EntryRow>(
    `SELECT ${ENTRY_SELECT} FROM ledger_entries e
     WHERE e.tenant_id = $1 COLLATE "C" AND e.trace_id = $2 COLLATE "C" ORDER BY e.seq`,
    [tenantId, traceId],
  );
  return rows.map((row) => storedEntryOf(row).entry);
}

/** Sums the refunds of an entry. */
export async function selectRefunded(client: pg.ClientBase, { tenantId, seq }: EntryKey): Promise<AmountNano> {
  const { rows } = await client.query<{ refunded: string }>(
    `SELECT coalesce(sum(e.amount), 0)::text AS refunded FROM ledger_entries e
     WHERE e.tenant_id = $1 COLLATE "C" AND e.reference_seq = $2 AND e.type = 'REFUND'`,
    [tenantId, seq],
  );
  return parseAmount(rows[0]?.refunded ?? '0', 'refunded');
}
