/**
 * Owns: choosing ports on 127.0.0.1 that a server can keep over a stop and a start.
 * Invariants: never a port of the ephemeral range (from 32768 on Linux). While a server is stopped its clients try to
 * reconnect; with an ephemeral port such a try may be given that very port as its own, connect to itself, and block it.
 */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { TollbookError } from '../runtime/errors.js';

const PORT_MIN = 20_000;
const PORT_LIMIT = 32_000;
const ATTEMPTS_MAX = 200;
const RELEASE_WAIT_MAX_MS = 3_000;
const RELEASE_POLL_MS = 50;

/** Tells whether a server could listen on the port of 127.0.0.1 now. */
function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => {
      resolve(false);
    });
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      probe.close(() => {
        resolve(true);
      });
    });
  });
}

/**
 * Tells whether a port becomes free within a moment: the children of a server that was killed hold on to its listening
 * socket until they notice, and a server must not lose its address over that.
 */
export async function becomesFree(port: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < RELEASE_WAIT_MAX_MS; waitedMs += RELEASE_POLL_MS) {
    if (await isPortFree(port)) return true;
    await delay(RELEASE_POLL_MS);
  }
  return isPortFree(port);
}

/**
 * Chooses a free port, random so that stacks of several folders do not meet.
 *
 * @throws STACK_SERVER_FAILED when 200 random ports are all taken
 */
export async function chooseFreePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const port = randomInt(PORT_MIN, PORT_LIMIT);
    if (await isPortFree(port)) return port;
  }
  throw new TollbookError(
    'STACK_SERVER_FAILED',
    `no free port found between ${String(PORT_MIN)} and ${String(PORT_LIMIT)}`,
  );
}
