/**
 * Owns: a price per token as a price per 1,000 by moving the decimal point in the text: the oracle of the price reader,
 * without any arithmetic.
 */

/** "1.5e-07" → "0.00015"; the literal is a non-negative JSON number. */
export function shiftedLiteral(literal: string): string {
  const [mantissa = '', exponent = '0'] = literal.toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const point = whole.length + Number(exponent) + 3;
  const digits = whole + fraction;
  const padded = point <= 0 ? '0'.repeat(1 - point) + digits : digits.padEnd(point, '0');
  const at = Math.max(point, 1);
  const [head, tail] = [padded.slice(0, at).replace(/^0+(?=\d)/, ''), padded.slice(at).replace(/0+$/, '')];
  return tail === '' ? head : `${head}.${tail}`;
}
