/** Owns: waiting in tests: a condition is polled up to a deadline, and nothing sleeps longer than it has to. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';

const POLL_MS = 20;
const DEADLINE_MS = 30_000;

/** Waits until the condition holds; fails with what was waited for once the deadline has passed. */
export async function waitUntil(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs: number = DEADLINE_MS,
): Promise<void> {
  const startedMs = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedMs > deadlineMs) expect.fail(`waited ${deadlineMs} ms in vain until ${what}`);
    await delay(POLL_MS);
  }
}
