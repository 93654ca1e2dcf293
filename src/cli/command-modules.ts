/**
 * Owns: which module adds which commands to the program, in the order of the help.
 * Does not own: what a command does (its module).
 * Invariants: a command that is named loads its own modules alone, since loading all of them takes most of a short command's
 * time; whatever else is asked for (help, a name that does not exist) loads all.
 */
import type { Command } from 'commander';

/** Adds commands to the program. */
type Register = (program: Command) => void;

interface CommandModule {
  /** The commands it adds at the top level. */
  readonly names: readonly string[];
  readonly load: () => Promise<Register>;
}

/** Every module, in the order of the help. */
export const COMMAND_MODULES: readonly CommandModule[] = [
  { names: ['stack'], load: async () => (await import('./stack-command.js')).registerStackCommand },
  { names: ['migrate', 'schema'], load: async () => (await import('./migrate-command.js')).registerMigrateCommand },
  { names: ['topics'], load: async () => (await import('./topics-command.js')).registerTopicsCommand },
  { names: ['consume', 'project'], load: async () => (await import('./consume-command.js')).registerConsumeCommand },
  { names: ['account', 'limits'], load: async () => (await import('./account-commands.js')).registerAccountCommands },
  {
    names: ['credit', 'adjust', 'refund'],
    load: async () => (await import('./money-commands.js')).registerMoneyCommands,
  },
  { names: ['collect', 'void'], load: async () => (await import('./trace-commands.js')).registerTraceCommands },
  { names: ['commands'], load: async () => (await import('./commands-command.js')).registerCommandsCommand },
  { names: ['prices'], load: async () => (await import('./prices-command.js')).registerPricesCommand },
  { names: ['unpriced'], load: async () => (await import('./unpriced-command.js')).registerUnpricedCommand },
  { names: ['account'], load: async () => (await import('./account-show-command.js')).registerAccountShowCommands },
  { names: ['entries'], load: async () => (await import('./entries-command.js')).registerEntriesCommand },
  { names: ['trace'], load: async () => (await import('./trace-show-command.js')).registerTraceShowCommand },
  { names: ['status'], load: async () => (await import('./status-command.js')).registerStatusCommand },
  { names: ['cursors'], load: async () => (await import('./cursors-command.js')).registerCursorsCommand },
  { names: ['producers'], load: async () => (await import('./producers-command.js')).registerProducersCommand },
  { names: ['dead-letters'], load: async () => (await import('./dead-letters-command.js')).registerDeadLettersCommand },
  { names: ['verify'], load: async () => (await import('./verify-command.js')).registerVerifyCommand },
  { names: ['anchors'], load: async () => (await import('./anchors-command.js')).registerAnchorsCommand },
  { names: ['receipt'], load: async () => (await import('./receipt-command.js')).registerReceiptCommand },
  { names: ['rebuild'], load: async () => (await import('./rebuild-command.js')).registerRebuildCommand },
  { names: ['audit'], load: async () => (await import('./audit-command.js')).registerAuditCommand },
  { names: ['export'], load: async () => (await import('./export-command.js')).registerExportCommand },
  { names: ['reconcile'], load: async () => (await import('./reconcile-command.js')).registerReconcileCommand },
  { names: ['replay'], load: async () => (await import('./replay-command.js')).registerReplayCommand },
  { names: ['reprice'], load: async () => (await import('./reprice-command.js')).registerRepriceCommand },
  { names: ['simulate'], load: async () => (await import('./simulate-command.js')).registerSimulateCommand },
  { names: ['contract'], load: async () => (await import('./contract-command.js')).registerContractCommand },
  { names: ['demo'], load: async () => (await import('./demo-command.js')).registerDemoCommand },
  { names: ['docs'], load: async () => (await import('./docs-command.js')).registerDocsCommand },
  { names: ['bench'], load: async () => (await import('./bench-command.js')).registerBenchCommand },
];

/** What adds the commands that a call needs: `args` are its arguments, the program's name not included. */
export async function commandsFor(args: readonly string[]): Promise<Register[]> {
  const asked = args.find((arg) => !arg.startsWith('-'));
  const named = COMMAND_MODULES.filter(({ names }) => names.some((name) => name === asked));
  const needed = named.length > 0 ? named : COMMAND_MODULES;
  return Promise.all(needed.map(({ load }) => load()));
}
