/**
 * Owns: `tollbook stack …`: the command line of the local stack.
 * Does not own: what the actions do (src/stack/local-stack.ts), or the exit code of a failure (the entry point).
 * Invariants: steps are told on stderr; stdout carries the result alone, and with --json exactly one JSON object.
 */
import { Argument, Option, type Command } from 'commander';
import { stackDown, stackStatus, stackUp, startServer, stopServer, type StackStatus } from '../stack/local-stack.js';
import {
  BROKER_COUNTS,
  BROKER_NAMES,
  type ServerName,
  STACK_DEFAULTS,
  type StackAddresses,
} from '../stack/stack-state.js';

interface StackFlags {
  readonly json?: boolean;
  readonly dir?: string;
  readonly brokers?: string;
  readonly purge?: boolean;
  readonly signal?: 'TERM' | 'KILL';
}

interface Output {
  readonly result: (text: string) => void;
  readonly report: (line: string) => void;
}

/** Adds `stack up | down | status | stop SERVER | start SERVER` to the program. */
export function registerStackCommand(program: Command): void {
  const stack = program.command('stack').description('run Kafka, PostgreSQL and Redis on this machine, without Docker');
  addUp(stack);
  addDown(stack);
  addStatus(stack);
  addStop(stack);
  addStart(stack);
}

function addUp(stack: Command): void {
  withSharedFlags(stack.command('up'))
    .description('start what does not run yet, downloading it on the first run, and wait until it answers')
    .addOption(
      new Option('--brokers <n>', 'Kafka brokers of a new stack (default: 1); three survive the loss of one').choices(
        BROKER_COUNTS.map(String),
      ),
    )
    .action(async (flags: StackFlags, command: Command) => {
      const output = outputOf(command);
      const brokers = flags.brokers === undefined ? undefined : Number(flags.brokers);
      const { addresses, started } = await stackUp({ dir: flags.dir, report: output.report, brokers });
      if (started.length === 0) output.report('the stack is already running');
      output.result(flags.json === true ? toJson(addresses) : exportLines(addresses));
    });
}

function addDown(stack: Command): void {
  withSharedFlags(stack.command('down'))
    .description('stop all servers; their data stays')
    .option('--purge', 'remove their data, logs and passwords as well')
    .action(async (flags: StackFlags, command: Command) => {
      const output = outputOf(command);
      const { stopped } = await stackDown({ dir: flags.dir, report: output.report, purge: flags.purge === true });
      if (stopped.length === 0) output.report('the stack was not running');
      if (flags.json === true) output.result(toJson({ stopped }));
    });
}

function addStatus(stack: Command): void {
  withSharedFlags(stack.command('status'))
    .description('show which servers run, where, and with which log')
    .action((flags: StackFlags, command: Command) => {
      const status = stackStatus({ dir: flags.dir });
      outputOf(command).result(flags.json === true ? toJson(statusJson(status)) : statusTable(status));
    });
}

function addStop(stack: Command): void {
  withSharedFlags(stack.command('stop'))
    .description('stop one server and leave the others; it keeps its port')
    .addArgument(serverArgument())
    .addOption(new Option('--signal <name>', 'KILL ends it as a crash would').choices(['TERM', 'KILL']).default('TERM'))
    .action(async (server: ServerName, flags: StackFlags, command: Command) => {
      const output = outputOf(command);
      const signal = flags.signal === 'KILL' ? 'SIGKILL' : undefined;
      const stopped = await stopServer(server, { dir: flags.dir, report: output.report, signal });
      if (!stopped) output.report(`${server} was not running`);
      if (flags.json === true) output.result(toJson({ server, stopped }));
    });
}

function addStart(stack: Command): void {
  withSharedFlags(stack.command('start'))
    .description('start one server on the port it had')
    .addArgument(serverArgument())
    .action(async (server: ServerName, flags: StackFlags, command: Command) => {
      const output = outputOf(command);
      const started = await startServer(server, { dir: flags.dir, report: output.report });
      if (flags.json === true) output.result(toJson({ server, started }));
    });
}

function serverArgument(): Argument {
  return new Argument('<server>', 'the server').choices([...BROKER_NAMES, 'postgres', 'redis']);
}

function withSharedFlags(command: Command): Command {
  return command
    .option('--json', 'print the result as one JSON object')
    .option('--dir <folder>', 'folder of the stack (default: TOLLBOOK_STACK_DIR, else .tollbook/stack)');
}

/** Goes through commander's own writers, so that an embedding program or a test can redirect both streams. */
function outputOf(command: Command): Output {
  const streams = command.configureOutput();
  return {
    result: (text) => streams.writeOut?.(`${text}\n`),
    report: (line) => streams.writeErr?.(`${line}\n`),
  };
}

function toJson(value: object): string {
  return JSON.stringify(value);
}

function exportLines(addresses: StackAddresses): string {
  return Object.entries({ ...addresses, ...STACK_DEFAULTS })
    .map(([name, value]) => `export ${name}=${value}`)
    .join('\n');
}

function statusJson({ addresses, ...status }: StackStatus): object {
  const unknown = { KAFKA_BROKERS: null, DATABASE_URL: null, REDIS_URL: null };
  return { ...(addresses ?? unknown), ...status };
}

function statusTable(status: StackStatus): string {
  const rows = Object.entries(status.servers).map(([name, { running, pid, port, log }]) => {
    const where = running ? `running  127.0.0.1:${String(port)}  pid ${String(pid)}` : 'stopped';
    return `${name.padEnd(9)} ${where.padEnd(40)} ${log}`;
  });
  return rows.join('\n');
}
