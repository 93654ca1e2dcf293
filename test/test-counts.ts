/** Owns: what the mocha process tells its parent when it is done. */

/** A test that failed: its whole title, and its error with the stack. */
export interface TestFailure {
  readonly title: string;
  readonly error: string;
}

/** How many tests ended in which way, and which failed. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly TestFailure[];
}

/** Reads the counts from a message between the processes; undefined when it is something else. */
export function countsFrom(message: unknown): TestCounts | undefined {
  const candidate = message as Partial<TestCounts> | null;
  const { passed, failed, skipped, failures } = candidate ?? {};
  return passed === undefined || failed === undefined || skipped === undefined || failures === undefined
    ? undefined
    : { passed, failed, skipped, failures };
}
