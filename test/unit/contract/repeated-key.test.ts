/** Owns: that a key which stands twice in one object is found, at any depth, however it is written, and nothing else is. */
import { expect } from 'chai';
import { decodeCompleted } from '../../../src/contract/event-gate.js';
import { repeatedKey } from '../../../src/contract/repeated-key.js';
import { COMPLETED, LIMITS } from './sample-messages.js';

const DEPTH = 60_000;

describe('a key that stands twice', () => {
  for (const [text, key] of [
    ['{"a":1,"a":1}', 'a'],
    ['{"a":{"b":1},"c":{"b":1,"d":[{"e":1},{"f":{},"f":{}}]}}', 'f'],
    [String.raw`{"a":1,"\u0061" : 2}`, 'a'],
    [String.raw`{"a\"":1,"b":"x\\","a\"":2}`, 'a"'],
    ['{"":1,"x":[],"":2}', ''],
    ['{"__proto__":1,"__proto__":2}', '__proto__'],
    ['[{"a":1},{"a":1,"b":"\\"a\\":"},{"b":{"a":1},"a":2}]', undefined],
    ['{"a":"b","b":"a","c":["a","b","a"],"d":{"a":{"a":{"a":1}}}}', undefined],
    ['"a:a"', undefined],
  ] as const) {
    it(`is ${key === undefined ? 'not found' : JSON.stringify(key)} in ${text}`, () => {
      JSON.parse(text);
      expect(repeatedKey(text)).to.equal(key);
    });
  }

  it('is found beneath any depth, without a stack that could overflow', () => {
    const text = `${'{"a":'.repeat(DEPTH)}{"b":1,"b":2}${'}'.repeat(DEPTH)}`;
    expect(repeatedKey(text)).to.equal('b');
  });

  for (const [where, key, from, to] of [
    ['the message', 'trace_id', '"trace_id"', '"trace_id":"other","trace_id"'],
    ['its usage', 'input_tokens', '"input_tokens"', '"input_tokens":1,"input_tokens"'],
    ['meters that are used', 'images', '"input_tokens"', '"meters":{"images":1,"images":2},"input_tokens"'],
    ['meters that are priced', 'images', '"currency"', '"meters":{"images":"1","images":"2"},"currency"'],
  ] as const) {
    it(`makes an event invalid when it does so in ${where}, and is named`, () => {
      const result = decodeCompleted(Buffer.from(JSON.stringify(COMPLETED).replace(from, to)), LIMITS);
      expect(result).to.include({ ok: false, reason: 'INVALID_EVENT' });
      expect(result.ok ? '' : result.detail).to.include(`the key "${key}" stands twice`);
    });
  }
});
