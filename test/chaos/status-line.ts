/**
 * Owns: telling a person on stderr how far a soak run is: one line that is written anew on a terminal, else a line now and
 * then.
 */
import type { ChaosStatus } from './chaos-run.js';

/** Shows the status of a run until it is stopped. */
export interface StatusLine {
  readonly follow: (status: () => ChaosStatus) => void;
  readonly stop: () => void;
}

const TERMINAL_MS = 500;
const LOG_MS = 5_000;

/** Prepares a line; it shows something once it follows a run. */
export function followStatus(stream: NodeJS.WriteStream = process.stderr): StatusLine {
  let timer: NodeJS.Timeout | undefined;
  const show = (status: ChaosStatus): void =>
    void stream.write(stream.isTTY ? `\r\u001b[K${statusText(status)}` : `${statusText(status)}\n`);
  return {
    follow: (status) => {
      timer = setInterval(() => show(status()), stream.isTTY ? TERMINAL_MS : LOG_MS);
    },
    stop: () => {
      clearInterval(timer);
      if (stream.isTTY) stream.write('\n');
    },
  };
}

/** One line about a run. */
export function statusText({ elapsedMs, published, faults, recovered, phase }: ChaosStatus): string {
  const figures = [`${published} events`, `${faults} faults`, `${recovered} recovered`, phase];
  return `${Math.round(elapsedMs / 1_000)} s: ${figures.join(', ')}`;
}
