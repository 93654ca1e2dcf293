/**
 * Owns: finding a local stack that is up, so that commands need no environment variables beside it.
 * Does not own: starting one, or checking that the servers answer.
 * Invariants: synchronous and free of side effects; never throws.
 */
import { isSameProcess } from './server-process.js';
import { addressesOf, readState, resolveStackDir, serversOf, type StackAddresses } from './stack-state.js';

export { STACK_DEFAULTS, type StackAddresses } from './stack-state.js';

/**
 * Finds the local stack recorded below a folder (or in TOLLBOOK_STACK_DIR).
 * A stack with a server stopped on purpose still counts: its address stays valid. One whose processes are all gone
 * (after a reboot) does not.
 *
 * @param startDir the folder that holds `.tollbook`; the working directory unless given
 * @returns the three settings, or undefined when no stack is up
 */
export function discoverStack(startDir?: string): StackAddresses | undefined {
  const state = readState(resolveStackDir(undefined, startDir));
  if (state?.up !== true) return undefined;
  const anyLives = serversOf(state).some((name) => isSameProcess(state.servers[name]?.process ?? null));
  return anyLives ? addressesOf(state) : undefined;
}
