/** Owns: how the position of a dead letter is written and read, and which stream its redrive goes to. */
import { expect } from 'chai';
import { commandSource } from '../../../src/ledger/commands/command-stream.js';
import { letterName, parseLetterPosition, redriveSource } from '../../../src/ledger/dead-letter.js';

describe('the position of a dead letter', () => {
  for (const text of ['usage.completed/3/1207', 'a/0/0', '__my-topic/999999999/999999999999999999']) {
    it(`is read from ${text} and written the same again`, () => {
      expect(letterName(parseLetterPosition(text)!)).to.equal(text);
    });
  }

  it('keeps an offset beyond 2^53 exactly', () => {
    expect(parseLetterPosition('t/0/900719925474099301')?.kafkaOffset).to.equal(900719925474099301n);
  });

  for (const text of [
    '',
    't',
    't/0',
    't/0/',
    '/0/1',
    't/-1/1',
    't/0/-1',
    't/0/1/2',
    't/0/1.5',
    't/x/1',
    't/0/1 ',
    'a b/0/1',
  ]) {
    it(`is not read from ${JSON.stringify(text)}`, () => {
      expect(parseLetterPosition(text)).to.equal(undefined);
    });
  }

  it('is not read with an offset that PostgreSQL could not hold', () => {
    expect(parseLetterPosition(`t/0/${2n ** 63n}`)).to.equal(undefined);
  });
});

describe('the redrive stream of a dead letter', () => {
  it('is spread by tenant as the command streams are, and is the first one where the tenant is unknown', () => {
    for (const tenantId of ['acme', 'globex', 'initech']) {
      expect(redriveSource(tenantId)).to.deep.equal({ ...commandSource(tenantId), topic: '~redrive' });
    }
    expect(redriveSource(null)).to.deep.equal({ topic: '~redrive', partition: 0 });
  });
});
