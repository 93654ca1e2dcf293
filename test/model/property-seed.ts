/** Owns: the seed of a property test: printed, and taken from FC_SEED to replay a run. */

/** Returns the seed of this run, after printing it. */
export function propertySeed(): number {
  const given = process.env['FC_SEED'];
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given);
  process.stdout.write(`      seed ${seed} (replay with FC_SEED=${seed})\n`);
  return seed;
}
