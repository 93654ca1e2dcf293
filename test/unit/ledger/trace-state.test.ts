/** Owns: the state that an intent leaves for a later event of its trace in the same chunk. */
import { expect } from 'chai';
import { parseAmount } from '../../../src/ledger/money.js';
import { stateAfter, type TraceState } from '../../../src/ledger/trace.js';
import { account, completed, decideOn, intentOf, NO_TOKENS, pending } from './usage-samples.js';

const NONE: TraceState = { status: 'NONE' };
const HELD: TraceState = { status: 'PENDING', heldNano: parseAmount('0.033'), countedOn: '2026-03-15' };
const PRECHECKED: TraceState = { status: 'PENDING', heldNano: parseAmount('0'), countedOn: null };
const PRECHECKING = account({ holdPolicy: 'none' });
const CANCELLED = completed({ outcome: 'cancelled', usage: NO_TOKENS });

describe('the state after an intent', () => {
  it('of a hold remembers what is held and where the request counts', () => {
    expect(stateAfter(intentOf(decideOn(NONE, pending())))).to.deep.equal(HELD);
  });

  it('of a pre-check under hold policy none holds nothing, so that a settlement releases nothing', () => {
    expect(stateAfter(intentOf(decideOn(NONE, pending(), PRECHECKING)))).to.deep.equal(PRECHECKED);
  });

  it('of a charge is what a second completion is compared with', () => {
    const after = stateAfter(intentOf(decideOn(NONE, completed())));
    expect(decideOn(after, completed())).to.deep.equal({ kind: 'duplicate' });
  });

  it('of a void is VOIDED', () => {
    expect(stateAfter(intentOf(decideOn(HELD, CANCELLED)))).to.deep.equal({ status: 'VOIDED' });
  });
});
