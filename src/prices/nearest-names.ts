/**
 * Owns: which names of a price book are nearest to one that it does not have, for people to choose from.
 * Does not own: pricing: what is near is never a price.
 */
import { distance } from 'fastest-levenshtein';

const NEAREST_MAX = 5;
/** Of the longer name's length: beyond it two names have little in common. */
const FAR = 0.5;

/** The nearest names, the nearest first; those that begin with the name, or that it begins with, come before others. */
export function nearestNames(name: string, names: Iterable<string>): string[] {
  const wanted = plain(name);
  const ranked: { readonly name: string; readonly rank: number }[] = [];
  for (const each of new Set(names)) {
    const other = plain(each);
    const share = distance(wanted, other) / Math.max(wanted.length, other.length, 1);
    const isPart = wanted !== '' && other !== '' && (other.startsWith(wanted) || wanted.startsWith(other));
    if (isPart || share <= FAR) ranked.push({ name: each, rank: isPart ? share / 2 : share });
  }
  ranked.sort((one, other) => one.rank - other.rank || (one.name < other.name ? -1 : 1));
  return ranked.slice(0, NEAREST_MAX).map((each) => each.name);
}

/** What matters of a name: without who serves it, and in small letters. */
function plain(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1).toLowerCase();
}
