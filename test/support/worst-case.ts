/** Owns: the bound on what the worst input may cost: 100 ms and 100 MB beside what was there before. */
import { expect } from 'chai';

const MS_MAX = 100;
const BYTES_MAX = 100 * 1024 * 1024;
const ATTEMPTS = 5;

/**
 * Runs the work and fails unless it takes under 100 ms and 100 MB. Time is that of this process's own CPU, and the best of some
 * attempts: other processes share the machine.
 */
export function expectCheap(work: () => void): void {
  const costs = Array.from({ length: ATTEMPTS }, () => costOf(work));
  expect(Math.min(...costs.map(({ cpuMs }) => cpuMs)), 'ms of CPU').to.be.below(MS_MAX);
  expect(Math.min(...costs.map(({ bytes }) => bytes)), 'bytes of memory').to.be.below(BYTES_MAX);
}

function costOf(work: () => void): { cpuMs: number; bytes: number } {
  const [cpu, memory] = [process.cpuUsage(), memoryBytes()];
  work();
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMs: (user + system) / 1_000, bytes: memoryBytes() - memory };
}

function memoryBytes(): number {
  return process.memoryUsage.rss();
}
