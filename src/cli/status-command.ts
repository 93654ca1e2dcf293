/**
 * Owns: `tollbook status`: how everything stands, on one screen or as JSON.
 * Invariants: reads only; exit code 0: healthy, 1: something is stopped, silent or degraded, 3: a server is away.
 */
import type { Command } from 'commander';
import { type JournalStatus, readStatus, type StatusDocument } from '../operations/status.js';
import { loadConfig } from '../runtime/config.js';
import { printJson, printText } from './output.js';
import { plainTable } from './plain-table.js';

const EXIT_CODES: Readonly<Record<StatusDocument['status'], number>> = { healthy: 0, degraded: 1, server_away: 3 };
const CHECKS = ['audit', 'verify', 'reconcile'] as const;

/** Adds `status` to the program. */
export function registerStatusCommand(program: Command): void {
  program
    .command('status')
    .description('how everything stands: servers, partitions, processes, and what waits for an operator')
    .option('--json', 'print it as one JSON object')
    .addHelpText('after', '\nExit code 0: healthy; 1: something is stopped, silent or degraded; 3: a server is away.')
    .action(async ({ json }: { readonly json?: boolean }) => {
      const status = await readStatus(loadConfig());
      if (json === true) printJson(status);
      else printText(statusText(status));
      process.exitCode = EXIT_CODES[status.status];
    });
}

function statusText(document: StatusDocument): string {
  const { status, servers, partitions, processes, lost_history: lost, journal, waiting, checks } = document;
  return [
    `tollbook is ${status.replace('_', ' ')}`,
    serverTable(servers),
    partitions === null ? 'partitions: not known' : partitionTable(partitions),
    processes === null ? 'processes: not known' : processTable(processes),
    ...(lost ?? []).map(lostLine),
    ...(journal === null ? [] : [journalLine(journal)]),
    ...(waiting === null ? [] : waitingLines(waiting)),
    ...(checks === null ? [] : [checksLine(checks)]),
    '',
  ].join('\n');
}

function serverTable(servers: StatusDocument['servers']): string {
  const table = plainTable(['server', 'answers', 'version', 'ms', 'cause'], ['left', 'left', 'left', 'right']);
  for (const { name, ok, version, latency_ms: ms, cause } of servers) {
    table.push([
      name,
      ok ? 'yes' : 'NO',
      version ?? (ok ? 'not told' : ''),
      ms ?? '',
      cause === null ? '' : `${cause.code}: ${cause.message}`,
    ]);
  }
  return table.toString();
}

function partitionTable(partitions: NonNullable<StatusDocument['partitions']>): string {
  const head = ['partition', 'position', 'end', 'lag', 'lag s', 'process', 'stopped'];
  const table = plainTable(head, ['left', 'right', 'right', 'right', 'right']);
  for (const {
    topic,
    partition,
    position,
    end,
    lag,
    lag_seconds: seconds,
    process,
    blocked,
    held_back,
  } of partitions) {
    const held = held_back ? 'open transaction' : '';
    const stopped = blocked === null ? held : `${blocked.code} since ${blocked.since}`;
    table.push([`${topic}/${partition}`, position ?? 'none', end, lag, seconds, process ?? 'nobody', stopped]);
  }
  return table.toString();
}

function processTable(processes: NonNullable<StatusDocument['processes']>): string {
  if (processes.length === 0) return 'no process has told of itself';
  const table = plainTable(['process', 'kind', 'version', 'heard s ago', 'status', 'to project']);
  for (const { process, kind, version, heard_seconds_ago: age, status, projections_waiting: waiting } of processes) {
    table.push([process, kind, version, age, status, waiting]);
  }
  return table.toString();
}

function lostLine(lost: NonNullable<StatusDocument['lost_history']>[number]): string {
  const { topic, partition, from_batch: from, to_batch: to, last_sealed_at: last, remedy } = lost;
  return `LOST: batches ${from} to ${to} of ${topic}/${partition}, the last of ${last}; ${remedy}`;
}

function journalLine({ topic, commands_waiting: waiting, oldest_seconds: seconds }: JournalStatus): string {
  return `journal of commands: ${topic}, ${waiting === 0 ? 'complete' : `${waiting} not published, the oldest ${seconds} s old`}`;
}

function waitingLines({ dead_letters, unpriced, open_holds }: NonNullable<StatusDocument['waiting']>): string[] {
  const letters = dead_letters.map(({ reason, count, oldest }) => `${count} ${reason} since ${oldest}`);
  const oldest = unpriced.oldest === null ? '' : ` since ${unpriced.oldest}`;
  const lacking = unpriced.by_meters.map(({ meters, count }) => `${count} without a price of ${meters.join(', ')}`);
  return [
    `open dead letters: ${letters.length === 0 ? 'none' : letters.join(', ')}`,
    `unpriced usage: ${lacking.length === 0 ? 'none' : `${lacking.join('; ')}${oldest}`}`,
    `open holds: ${open_holds}`,
  ];
}

function agoText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h ago` : `${Math.round(seconds / 86_400)} days ago`;
}

function checksLine(checks: NonNullable<StatusDocument['checks']>): string {
  const told = CHECKS.map((kind) => {
    const found = checks.find((each) => each.kind === kind);
    if (found === undefined) return `${kind} never recorded`;
    const findings = found.findings === 1 ? '1 finding' : `${found.findings} findings`;
    return `${kind} ${agoText(found.ageS)} with ${findings} (${found.scope})`;
  });
  return `checks: ${told.join('; ')}`;
}
