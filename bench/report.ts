/** Owns: how the results of a benchmark are told: tables on the terminal, one JSON document and a chart on disk. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { plainTable } from '../src/cli/plain-table.js';
import { chartOf } from './chart.js';
import type { DrainSample } from './drain.js';
import { type Spread, spreadOf } from './spread-of.js';
import type { DrainCell, SuiteResult } from './suite.js';

/** The tables of a benchmark as text. */
export function textOf(result: SuiteResult): string {
  const { machine, drains, lags, scaling } = result;
  const facts = Object.entries(machine).map(([name, value]) => `${name}: ${value}`);
  const parts = [facts.join(', ')];
  if (drains.length > 0) parts.push(drainTable(drains), costTable(drains));
  if (lags.length > 0) parts.push(lagTable(lags));
  if (scaling !== undefined) {
    parts.push(
      `two consumers: ${whole(scaling.two)}/s, one: ${whole(scaling.one)}/s, ` +
        `append ceiling: ${whole(scaling.copyRate)}/s; charged ${scaling.charged} of ${scaling.published}`,
    );
  }
  return `${parts.join('\n')}\n`;
}

/** Writes NAME.json and NAME.svg below a folder; returns their paths. */
export async function writeResult(result: SuiteResult, folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const name = path.join(folder, `bench-${result.startedAt.replace(/[:.]/g, '-')}`);
  await writeFile(`${name}.json`, `${JSON.stringify(result, null, 2)}\n`);
  await writeFile(`${name}.svg`, chartOf(result));
  return [`${name}.json`, `${name}.svg`];
}

function drainTable(cells: readonly DrainCell[]): string {
  const table = plainTable(
    [
      'workload',
      'repeated',
      'drain/s',
      'publish/s',
      'consume/s',
      'COPY rows/s',
      'read + COPY/s',
      'per event/s',
      '× per event',
      'of COPY',
    ],
    ['left', ...Array.from({ length: 9 }, () => 'right' as const)],
  );
  for (const { workload, duplicates, samples } of cells) {
    table.push([
      workload,
      `${duplicates * 100} %`,
      spreadText(samples.map(({ drainRate }) => drainRate)),
      spreadText(samples.map(({ publishRate }) => publishRate)),
      spreadText(known(samples, 'consumeRate')),
      spreadText(known(samples, 'copyRate')),
      spreadText(known(samples, 'boundRate')),
      spreadText(known(samples, 'baselineRate')),
      ratioText(ratios(samples, 'baselineRate'), (ratio) => `${ratio.toFixed(1)} ×`),
      ratioText(ratios(samples, 'copyRate'), (ratio) => `${(ratio * 100).toFixed(0)} %`),
    ]);
  }
  return table.toString();
}

function costTable(cells: readonly DrainCell[]): string {
  const table = plainTable(
    [
      'workload',
      'repeated',
      'node',
      'postgres',
      'redis',
      'kafka',
      'peak MB',
      'messages/commit',
      'bytes/entry (+ index)',
    ],
    ['left', ...Array.from({ length: 8 }, () => 'right' as const)],
  );
  for (const { workload, duplicates, samples } of cells) {
    const median = (read: (sample: DrainSample) => number): number => spreadOf(samples.map(read)).median;
    table.push([
      workload,
      `${duplicates * 100} %`,
      ...(['node', 'postgres', 'redis', 'kafka'] as const).map(
        (process) => `${median((sample) => sample.cpuSecondsPerMillion[process]).toFixed(1)} s`,
      ),
      whole(median(({ rssPeakBytes }) => rssPeakBytes / 2 ** 20)),
      whole(median(({ messagesPerCommit }) => messagesPerCommit)),
      `${whole(median(({ storage }) => storage.rowBytes))} (+ ${whole(median(({ storage }) => storage.indexBytes))})`,
    ]);
  }
  return `CPU seconds for a million messages, memory of the consumer, commits, disk:\n${table.toString()}`;
}

function lagTable(lags: SuiteResult['lags']): string {
  const table = plainTable(
    ['workload', 'offered/s', 'published/s', 'committed p50', 'p99', 'projected p50', 'p99'],
    ['left', ...Array.from({ length: 6 }, () => 'right' as const)],
  );
  for (const lag of lags) {
    const { workload, offeredRate, publishedRate } = lag;
    const times = [lag.committedP50, lag.committedP99, lag.projectedP50, lag.projectedP99].map(
      (ms) => `${whole(ms)} ms`,
    );
    table.push([workload, whole(offeredRate), whole(publishedRate), ...times]);
  }
  return `Lag from the producer's send to commit and projection:\n${table.toString()}`;
}

/** The ratios of the drain to a reference of the same run. */
export function ratios(samples: readonly DrainSample[], reference: 'baselineRate' | 'copyRate'): number[] {
  return samples.flatMap((sample) => {
    const rate = sample[reference];
    return rate === undefined ? [] : [sample.drainRate / rate];
  });
}

function known(
  samples: readonly DrainSample[],
  name: 'consumeRate' | 'copyRate' | 'boundRate' | 'baselineRate',
): number[] {
  return samples.flatMap((sample) => sample[name] ?? []);
}

function spreadText(figures: readonly number[]): string {
  return ratioText(figures, whole);
}

function ratioText(figures: readonly number[], format: (figure: number) => string): string {
  if (figures.length === 0) return '';
  const { median, min, max }: Spread = spreadOf(figures);
  return figures.length === 1 ? format(median) : `${format(median)} (${format(min)} to ${format(max)})`;
}

function whole(figure: number): string {
  return Math.round(figure).toLocaleString('en-US');
}
