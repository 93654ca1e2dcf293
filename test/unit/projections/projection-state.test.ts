/** Owns: the word for how a quota hash stands to its account. */
import { expect } from 'chai';
import { projectionStateOf } from '../../../src/projections/projection-state.js';
import { quotaHashOf } from '../../../src/projections/quota-hash-of.js';
import { account } from '../ledger/usage-samples.js';

describe('how a quota hash stands to its account', () => {
  const [ledger, hash] = [account(), quotaHashOf(account())];

  it('is equal when every field is that of the account at its seq', () => {
    expect(projectionStateOf(ledger, hash)).to.deep.equal({ kind: 'equal' });
  });

  it('is missing without a hash', () => {
    expect(projectionStateOf(ledger, null)).to.deep.equal({ kind: 'missing' });
  });

  it('is behind or ahead by the entries between, whatever its other fields say', () => {
    const other = { ...hash, balanceNano: 1n };
    expect(projectionStateOf(ledger, { ...other, version: 4 })).to.deep.equal({ kind: 'behind', by: 3 });
    expect(projectionStateOf(ledger, { ...other, version: 9 })).to.deep.equal({ kind: 'ahead', by: 2 });
  });

  it('names each field in which a hash at the same seq differs', () => {
    const drifted = { ...hash, balanceNano: hash.balanceNano + 1n, dailyUsed: 1 };
    expect(projectionStateOf(ledger, drifted)).to.deep.equal({ kind: 'differs', fields: ['balanceNano', 'dailyUsed'] });
  });
});
