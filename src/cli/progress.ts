/**
 * Owns: telling a person on stderr how far long work is: a bar on a terminal, else a plain line every few seconds.
 * Invariants: nothing goes to stdout; with `silent` nothing is told at all.
 */
import cliProgress from 'cli-progress';
import { systemClock } from '../runtime/clock.js';

/** Shows progress until it is stopped. */
export interface Progress {
  /** Sets how much is done, in units of the total. */
  set(done: number): void;
  stop(): void;
}

/** What is being done, how much of it there is, and in what unit. */
export interface ProgressOptions {
  readonly label: string;
  readonly total: number;
  readonly unit: string;
  readonly silent?: boolean;
}

const LINE_EVERY_MS = 3_000;

/** Starts showing progress. */
export function startProgress(options: ProgressOptions): Progress {
  if (options.silent === true) return { set: () => undefined, stop: () => undefined };
  return process.stderr.isTTY ? bar(options) : lines(options);
}

function bar({ label, total, unit }: ProgressOptions): Progress {
  const format = `${label} [{bar}] {percentage}% | {value}/{total} ${unit} | {rate}/s | {eta_formatted} left`;
  const display = new cliProgress.SingleBar(
    { stream: process.stderr, format, hideCursor: true },
    cliProgress.Presets.shades_classic,
  );
  const startedMs = systemClock.nowMs();
  display.start(total, 0, { rate: 0 });
  return {
    set: (done) => display.update(done, { rate: rateOf(done, startedMs) }),
    stop: () => display.stop(),
  };
}

function lines({ label, total, unit }: ProgressOptions): Progress {
  const startedMs = systemClock.nowMs();
  let toldMs = startedMs;
  let done = 0;
  const tell = (): void => {
    const rate = rateOf(done, startedMs);
    const left = rate === 0 || done >= total ? '' : `, ${Math.ceil((total - done) / rate)} s left`;
    process.stderr.write(`${label}: ${done} of ${total} ${unit} (${rate}/s${left})\n`);
  };
  return {
    set: (value) => {
      done = value;
      if (systemClock.nowMs() - toldMs < LINE_EVERY_MS) return;
      toldMs = systemClock.nowMs();
      tell();
    },
    stop: tell,
  };
}

function rateOf(done: number, startedMs: number): number {
  return Math.round((done * 1000) / Math.max(1, systemClock.nowMs() - startedMs));
}
