/**
 * Owns: telling a person how far a publication is, on stderr.
 * Does not own: the publication (src/simulator/publish-plan.ts).
 * Invariants: a bar on a terminal, else a plain line every few seconds; nothing on stdout.
 */
import cliProgress from 'cli-progress';
import type { PublishProgress } from '../simulator/publish-plan.js';

/** Shows progress until it is told to stop. */
export interface ProgressDisplay {
  update(progress: PublishProgress): void;
  stop(): void;
}

const LINE_EVERY_MS = 3_000;

/** Makes the display that suits the stream: a bar when it is a terminal and `plain` is false, else lines. */
export function createProgressDisplay(
  total: number,
  options: { stream: NodeJS.WriteStream; plain: boolean },
): ProgressDisplay {
  return options.stream.isTTY && !options.plain ? bar(total, options.stream) : lines(options.stream);
}

function bar(total: number, stream: NodeJS.WriteStream): ProgressDisplay {
  const format = 'publishing [{bar}] {percentage}% | {value}/{total} messages | {rate}/s | {eta_formatted} left';
  const display = new cliProgress.SingleBar({ stream, format, hideCursor: true }, cliProgress.Presets.shades_classic);
  display.start(total, 0, { rate: 0 });
  return {
    update: (progress) => display.update(progress.published, { rate: rateOf(progress) }),
    stop: () => display.stop(),
  };
}

function lines(stream: NodeJS.WriteStream): ProgressDisplay {
  let toldMs = 0;
  return {
    update: (progress) => {
      if (progress.elapsedMs - toldMs < LINE_EVERY_MS) return;
      toldMs = progress.elapsedMs;
      stream.write(`published ${progress.published} of ${progress.total} messages (${rateOf(progress)}/s)\n`);
    },
    stop: () => undefined,
  };
}

function rateOf({ published, elapsedMs }: PublishProgress): number {
  return Math.round((published * 1000) / Math.max(1, elapsedMs));
}
