/** Owns: where the stacks of the tests lie, for the tests and for the run that takes them down. */

/** The folder of the stack with three brokers, beside the stack of the other fault tests. */
export function clusterStackDir(faultStackDir: string): string {
  return `${faultStackDir}-cluster`;
}
