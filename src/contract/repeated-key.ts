/**
 * Owns: finding a key that stands twice in an object of a JSON text: JSON.parse takes the last without a word, another reader
 * the first, and they would charge different things.
 * Does not own: whether the text is JSON; it is.
 * Invariants: linear in the text, whatever its depth; keys are compared as they are read, escapes undone.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const BLANK = 0x20;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;

/** The first key that stands in an object for the second time; undefined when none does. */
export function repeatedKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < json.length; at += 1) {
    const character = json.charCodeAt(at);
    if (character === BRACE_OPEN) open.push(new Set());
    else if (character === BRACE_CLOSE) open.pop();
    else if (character === QUOTE) {
      const end = endOfText(json, at);
      if (isKey(json, end)) {
        const key = textOf(json, at, end);
        const keys = open[open.length - 1];
        if (keys?.has(key) === true) return key;
        keys?.add(key);
      }
      at = end;
    }
  }
  return undefined;
}

/** Where the closing quote of a text stands. */
export function endOfText(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (isEscaped(json, end)) end = json.indexOf('"', end + 1);
  return end;
}

/** An odd number of backslashes before a quote makes it part of the text. */
function isEscaped(json: string, quote: number): boolean {
  let at = quote - 1;
  while (json.charCodeAt(at) === BACKSLASH) at -= 1;
  return (quote - at) % 2 === 0;
}

/** Whether a text that ends there is a key: only a key is followed by a colon. */
export function isKey(json: string, end: number): boolean {
  let at = end + 1;
  while (json.charCodeAt(at) <= BLANK) at += 1;
  return json.charCodeAt(at) === COLON;
}

/** The text between two quotes, escapes undone. */
export function textOf(json: string, start: number, end: number): string {
  const text = json.slice(start + 1, end);
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
}
