/**
 * Owns: what is done to text from outside before a terminal or a spreadsheet sees it.
 * Invariants:
 * - No character that moves a cursor, changes colours, hides or reorders text reaches a terminal: each is written out as \uXXXX.
 * - In JSON such a character stands inside a string alone, where \uXXXX is the same value: the document stays equal.
 * - No cell of a CSV begins as a formula; a plain number stays a number.
 * Source: CWE-150, CWE-1236, Unicode TR36 (bidirectional text), OWASP "CSV Injection".
 */

/** Controls (C0, DEL, C1), lone surrogates, and what is invisible or reorders: soft hyphen, joiners, bidi, separators, tags. */
const UNSEEN = String.raw`\p{Cc}\p{Cs}\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}`;
const IN_LINE = new RegExp(`[${UNSEEN}]`, 'gu');
const IN_LINES = new RegExp(`(?![\\n\\t])[${UNSEEN}]`, 'gu');
/** What a spreadsheet takes for a formula, also behind quotes and blanks, and in full width. */
const FORMULA = /^["'\s]*[=+\-@|\t\r\u2212\uff1d\uff0b\uff0d\uff20]/u;
const PLAIN_NUMBER = /^-?\d+(\.\d+)?$/;

/** A text on one line; line breaks and tabs are written out as well. */
export function visibleLine(text: string): string {
  return text.replace(IN_LINE, written);
}

/** A text of several lines, or a JSON document: its line breaks and tabs stay. */
export function visibleText(text: string): string {
  return text.replace(IN_LINES, written);
}

/** A text as a cell of a CSV (RFC 4180); one that a spreadsheet would run gets an apostrophe in front. */
export function csvCell(text: string): string {
  const safe = FORMULA.test(text) && !PLAIN_NUMBER.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function written(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}
