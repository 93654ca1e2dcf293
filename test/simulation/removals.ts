/** Owns: the names of the safeties that a simulation can take away, each to show that the simulation notices it. */

/** Each safety, and how the simulated ports do without it. */
export const REMOVALS = {
  fence: 'the cursor is set without comparing where it stands',
  'overlay idempotency': 'a delta that Redis has already is added once more',
  'version compare': 'a projection is set whatever version the hash has',
  'lock order': 'accounts are locked in the order they are named',
  'no veto': 'the hash is believed where it has less than the account',
} as const;

/** One safety that can be taken away. */
export type Removal = keyof typeof REMOVALS;
