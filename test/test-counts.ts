/** Owns: what the mocha process tells its parent when it is done. */

/** A test that failed: its whole title, and its error with the stack. */
export interface TestFailure {
  readonly title: string;
  readonly error: string;
}

/** How long the tests of one file took with their hooks, in milliseconds. */
export interface FileTime {
  readonly file: string;
  readonly ms: number;
}

/** How many tests ended in which way, which failed, and how long each file took. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly TestFailure[];
  readonly times: readonly FileTime[];
}

/** Reads the counts from a message between the processes; undefined when it is something else. */
export function countsFrom(message: unknown): TestCounts | undefined {
  const candidate = message as Partial<TestCounts> | null;
  const { passed, failed, skipped, failures, times } = candidate ?? {};
  if (passed === undefined || failed === undefined || skipped === undefined) return undefined;
  if (failures === undefined || times === undefined) return undefined;
  return { passed, failed, skipped, failures, times };
}
