/**
 * Owns: the CPU time that the servers of the local stack have used so far, by server. Linux only (/proc).
 * Source: proc(5), /proc/PID/stat: utime and stime are fields 14 and 15, in clock ticks of 10 ms.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { readState, resolveStackDir, serversOf, type PerServer, type ServerName } from '../src/stack/stack-state.js';

/** CPU milliseconds by server. */
export type ServerCpu = PerServer<number>;

const TICK_MS = 10;

/** Reads the CPU time of every server and, for PostgreSQL, of its children, the ended ones included. */
export function serverCpu(): ServerCpu {
  const state = readState(resolveStackDir());
  const read = (name: ServerName): number => {
    const pid = state?.servers[name]?.process?.pid;
    return pid === undefined ? 0 : treeCpuMs(pid);
  };
  return Object.fromEntries(serversOf(state ?? {}).map((name) => [name, read(name)])) as ServerCpu;
}

function treeCpuMs(root: number): number {
  let total = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statFields(Number(name));
    if (fields === undefined) continue;
    const isRoot = Number(name) === root;
    const [parent = 0, user = 0, system = 0, endedUser = 0, endedSystem = 0] = [1, 11, 12, 13, 14].map((index) =>
      Number(fields[index]),
    );
    if (isRoot) total += user + system + endedUser + endedSystem;
    else if (parent === root) total += user + system;
  }
  return total * TICK_MS;
}

/** The fields after the command name, which may hold blanks; undefined when the process has ended. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
