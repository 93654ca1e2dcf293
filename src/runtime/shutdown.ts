/** Owns: the signals that ask a process to stop. */

/** Which signal, and a way to stop listening. */
export interface StopSignal {
  /** Resolves with the name of the first SIGTERM or SIGINT. */
  readonly received: Promise<NodeJS.Signals>;
  /** Gives the signals back to their default. */
  release(): void;
}

/** Listens for the first SIGTERM or SIGINT; a second one ends the process at once, as it would by default. */
export function listenForStop(): StopSignal {
  const signals: NodeJS.Signals[] = ['SIGTERM', 'SIGINT'];
  let settle: (signal: NodeJS.Signals) => void;
  const received = new Promise<NodeJS.Signals>((resolve) => (settle = resolve));
  const onSignal = (signal: NodeJS.Signals): void => {
    release();
    settle(signal);
  };
  const release = (): void => {
    for (const signal of signals) process.off(signal, onSignal);
  };
  for (const signal of signals) process.on(signal, onSignal);
  return { received, release };
}
