/**
 * Owns: in which order planned messages are published, and which number each gateway gives to what it sends.
 * Does not own: the rate (token-bucket.ts).
 * Invariants: every order is one sort of `key × 2^24 + slot` as exact integers below 2^53, so ties keep the order of slots
 * and no comparator runs; numbers of one gateway run without a gap in the order of sending, whatever the order of arrival.
 */
import { invariant } from '../runtime/errors.js';
import type { MessageSlots } from './message-slots.js';
import type { SeededRandom } from './seeded-random.js';
import type { Reordering } from './simulation-options.js';

const SLOTS_MAX = 2 ** 24;
const KEYS_MAX = 2 ** 29;
/** How far `local` moves a message: about what a rebalance or a retry of one producer batch does. */
const LOCAL_WINDOW = 100;

/** Returns the slots in the order of sending. */
export function sendingOrder(slots: MessageSlots): Uint32Array {
  const { sentMs } = slots;
  return sortedBy(slots.length, (slot) => sentMs[slot] ?? 0);
}

/** Returns the slots in the order in which they are published: the order of sending, disturbed as told. */
export function arrivalOrder(sending: Uint32Array, reorder: Reordering, random: SeededRandom): Uint32Array {
  if (reorder === 'none') return sending;
  const key = reorder === 'full' ? () => random.below(KEYS_MAX) : (place: number) => place + random.below(LOCAL_WINDOW);
  return sortedBy(sending.length, key).map((place) => sending[place] ?? 0);
}

/**
 * Numbers the messages of each gateway from 0 in the order of sending; `gatewayOf` says who sends a slot, and returns
 * undefined for what carries no number. A byte-for-byte repeat has the number of the message before it in the slots.
 */
export function producerNumbers(
  slots: MessageSlots,
  sending: Uint32Array,
  gatewayOf: (slot: number) => number | undefined,
): Uint32Array {
  const numbers = new Uint32Array(slots.length);
  const next: number[] = [];
  for (const slot of sending) {
    const gateway = gatewayOf(slot);
    if (gateway === undefined) continue;
    const isRepeat = slots.messageAt(slot).form === 'repeat';
    const number = isRepeat ? (numbers[slot - 1] ?? 0) : (next[gateway] ?? 0);
    if (!isRepeat) next[gateway] = number + 1;
    numbers[slot] = number;
  }
  return numbers;
}

function sortedBy(count: number, keyOf: (place: number) => number): Uint32Array {
  invariant(count <= SLOTS_MAX, `${count} messages are more than ${SLOTS_MAX}`);
  const keys = new Float64Array(count);
  for (let place = 0; place < count; place += 1) keys[place] = keyOf(place) * SLOTS_MAX + place;
  keys.sort();
  const order = new Uint32Array(count);
  for (let place = 0; place < count; place += 1) order[place] = (keys[place] ?? 0) % SLOTS_MAX;
  return order;
}
