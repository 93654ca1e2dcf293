/**
 * Owns: how names, texts and amounts are written in an hledger journal, so that none can be taken for something else.
 * Source: hledger manual, "Journal": two blanks end an account name, `:` separates its parts, `;` starts a comment, and a
 * comment holds tags `name:value` up to a comma.
 * Invariants: pure; different names stay different.
 */
import { type AmountNano, formatAmount } from '../ledger/money.js';

/** What may stand in a part of an account name as it is; a single blank between two of them may too. */
const PLAIN = /[A-Za-z0-9._@/+-]/;
/** Nearly every name: a look at each of its characters was a tenth of an export. */
const PLAIN_NAME = new RegExp(`^${PLAIN.source}+$`);

/** A tenant, provider or model as one part of an account name: what could end or split it is written as %XX of its UTF-8. */
export function accountPart(name: string): string {
  if (PLAIN_NAME.test(name)) return name;
  const characters = Array.from(name);
  return characters
    .map((character, index) => (isPlainAt(characters, index) ? character : percentEncoded(character)))
    .join('');
}

function isPlainAt(characters: readonly string[], index: number): boolean {
  const [before = '', here = '', after = ''] = [characters[index - 1], characters[index], characters[index + 1]];
  return PLAIN.test(here) || (here === ' ' && PLAIN.test(before) && PLAIN.test(after));
}

function percentEncoded(character: string): string {
  return [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}

/** Text that people wrote, for a comment: a JSON string without colon, so that no word of it becomes a tag. */
export function commentText(text: string): string {
  return JSON.stringify(text).replaceAll(':', '\\u003a');
}

/** An amount with its nine decimals and its commodity. */
export function amountOf(nano: bigint, currency: string): string {
  return `${formatAmount(nano as AmountNano)} ${currency}`;
}
