/** How often an operator's work is tried again that others are in the way of, and with which error it ends. */
import { expect } from 'chai';
import { besideOthers } from '../../../src/runtime/beside-others.js';
import { type ErrorCode, isTollbookError, TollbookError } from '../../../src/runtime/errors.js';

describe('the work of an operator beside other sessions', () => {
  /** Fails with each code in turn; returns how often it was tried and what came of it. */
  async function attempt(codes: readonly ErrorCode[]): Promise<{ tries: number; end: string }> {
    let tries = 0;
    const work = (): Promise<string> => {
      const code = codes[tries];
      tries += 1;
      return code === undefined ? Promise.resolve('done') : Promise.reject(new TollbookError(code, `attempt ${tries}`));
    };
    const end = await besideOthers(work).catch((error: unknown) => {
      if (isTollbookError(error)) return error.message;
      throw error;
    });
    return { tries, end };
  }

  it('is done again after conflicts and locks', async () => {
    const end = await attempt(['POSTGRES_LOCKED', 'POSTGRES_CONFLICT', 'POSTGRES_LOCKED']);
    expect(end).to.deep.equal({ tries: 4, end: 'done' });
  });

  it('ends with the last error when a lock is not released in half a minute', async () => {
    const locked = Array.from({ length: 20 }, () => 'POSTGRES_LOCKED' as const);
    expect(await attempt(locked)).to.deep.equal({ tries: 16, end: 'attempt 16' });
  });

  it('is not done again after anything else', async () => {
    expect(await attempt(['POSTGRES_REJECTED'])).to.deep.equal({ tries: 1, end: 'attempt 1' });
  });
});
