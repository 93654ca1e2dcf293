/**
 * Owns: what the tests of commands on real servers share: one call per command, usage to command about, and the counts
 * that show whether anything was written.
 */
import type { LedgerCommand } from '../../src/ledger/commands/command.js';
import type { CommandResult } from '../../src/ledger/commands/book-command.js';
import { parseAmount } from '../../src/ledger/money.js';
import { isTollbookError, TollbookError } from '../../src/runtime/errors.js';
import { batchOf, type ProtocolWorld } from './protocol-world.js';
import { type CliResult, runTollbook } from './tollbook-cli.js';
import { wireCompleted, type WireChoices, wirePending } from './wire-usage.js';

/** A command without what every command carries. */
export type CommandChoices = LedgerCommand extends infer C
  ? C extends LedgerCommand
    ? Omit<C, 'tenantId' | 'key' | 'actor' | 'reason'>
    : never
  : never;

/** Fills in a command: the key defaults to one that no other command has. */
export function commandOf(
  tenantId: string,
  choices: CommandChoices,
  identity: Partial<Pick<LedgerCommand, 'key' | 'actor' | 'reason'>> = {},
): LedgerCommand {
  keys += 1;
  return { tenantId, key: `command-${keys}`, actor: 'ops', reason: 'by hand', ...choices, ...identity };
}

let keys = 0;

/** Gives commands and usage to one tenant of a world. */
export class TenantOfWorld {
  readonly #world: ProtocolWorld;
  readonly tenantId: string;

  constructor(world: ProtocolWorld, tenantId = world.tenant()) {
    this.#world = world;
    this.tenantId = tenantId;
  }

  /** Books a command of the tenant. */
  book(choices: CommandChoices, key?: string): Promise<CommandResult> {
    return this.#world.command(commandOf(this.tenantId, choices, key === undefined ? {} : { key }));
  }

  /** Charges a completion without streaming that costs `units`. */
  async completed(traceId: string, units: number, fields: WireChoices['fields'] = {}): Promise<void> {
    const event = wireCompleted({ tenantId: this.tenantId, traceId, units, fields });
    batchOf(await this.#world.protocol().charge(this.#world.stream('completed').chunk([event])));
  }

  /** Holds `units` for a pending request. */
  async pending(traceId: string, units: number, fields: WireChoices['fields'] = {}): Promise<void> {
    const event = wirePending({ tenantId: this.tenantId, traceId, units, fields });
    batchOf(await this.#world.protocol().charge(this.#world.stream('pending').chunk([event])));
  }
}

/** The options that say who gives a command, and why. */
export const WHO = ['--actor', 'ops', '--reason', 'by hand'];

/** The commands of the ledger with options that are allowed for a prepared tenant, but for the key and WHO. */
export const VALID_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  'account open': [],
  credit: ['--amount', '5'],
  adjust: ['--amount', '-3.25'],
  refund: ['--trace', 'charged'],
  limits: ['--daily-quota', '100', '--credit-limit', '2.5'],
  collect: ['--trace', 'failed', '--allow-negative'],
  void: ['--trace', 'held'],
};

/** A tenant with 10 units (key `taken`) and the traces `charged` (4), `failed` (11) and `held` (2): entries 1 to 5. */
export async function preparedTenant(world: ProtocolWorld): Promise<TenantOfWorld> {
  const tenant = new TenantOfWorld(world);
  await tenant.book({ kind: 'credit', amountNano: parseAmount('10') }, 'taken');
  await tenant.completed('charged', 4);
  await tenant.completed('failed', 11);
  await tenant.pending('held', 2);
  return tenant;
}

/** Runs a command of the ledger on the command line, against the database of the world. */
export function runCommand(
  { database }: ProtocolWorld,
  command: string,
  ...options: readonly string[]
): Promise<CliResult> {
  return runTollbook([...command.split(' '), ...options], { DATABASE_URL: database.url });
}

const COUNTED = ['ledger_entries', 'ledger_commands', 'ledger_batches', 'accounts', 'open_holds', 'stream_cursors'];

/** How many rows each table has that a command writes to. */
export async function rowCounts(world: ProtocolWorld): Promise<Readonly<Record<string, string>>> {
  const counts = COUNTED.map((table) => `(SELECT count(*) FROM ${table}) AS ${table}`);
  const [row] = await world.rows<Record<string, string>>(`SELECT ${counts.join(', ')}`);
  return row ?? {};
}

/** The error of this project that the work fails with. */
export async function failureOf(work: Promise<unknown>): Promise<TollbookError> {
  try {
    await work;
  } catch (error) {
    if (isTollbookError(error)) return error;
    throw error;
  }
  throw new TollbookError('INVARIANT_BROKEN', 'the work was expected to fail');
}
