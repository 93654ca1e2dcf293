/** Owns: what the mocha process tells its parent when it is done. */

/** How many tests ended in which way. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Reads the counts from a message between the processes; undefined when it is something else. */
export function countsFrom(message: unknown): TestCounts | undefined {
  const candidate = message as Partial<TestCounts> | null;
  const { passed, failed, skipped } = candidate ?? {};
  return passed === undefined || failed === undefined || skipped === undefined
    ? undefined
    : { passed, failed, skipped };
}
