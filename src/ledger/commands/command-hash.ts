/**
 * Owns: the canonical form of a command's record and its hash, which the command's entry carries.
 * Does not own: the content of a command (command-content.ts), nor its place: the entry names seq, batch and time.
 * Invariants: pure; whoever changes the key, the kind, the actor or the content of a record changes its hash.
 */
import { hash } from 'node:crypto';
import { canonicalJson } from '../canonical-json.js';
import type { CommandRecord } from './command-content.js';

const COMMAND_DOMAIN = 'tollbook.command.v1';

/** What of a record is hashed. */
export type CommandFacts = Omit<CommandRecord, 'seq'>;

/** The canonical form of a command's record: the text of a JSON array of strings. */
export function canonicalCommand({
  tenantId,
  key,
  kind,
  actor,
  content,
}: Readonly<Record<keyof CommandFacts, unknown>>): string {
  return JSON.stringify([COMMAND_DOMAIN, tenantId, key, kind, actor, canonicalJson(content)]);
}

/** SHA-256 of the canonical form in UTF-8, as 64 hexadecimal digits. */
export function commandHash(record: Readonly<Record<keyof CommandFacts, unknown>>): string {
  return hash('sha256', canonicalCommand(record), 'hex');
}
