/** What each answer of PostgreSQL means, and whether its connection is used again. */
import { expect } from 'chai';
import { ERROR_CODES, type ErrorCode, TollbookError } from '../../../src/runtime/errors.js';
import { translatePostgresError } from '../../../src/runtime/postgres.js';
import { codeOfSqlState, keepsConnection } from '../../../src/runtime/sqlstates.js';

const MEANINGS: Readonly<Record<string, readonly string[]>> = {
  POSTGRES_REJECTED: ['21000', '22003', '22021', '22P02', '23502', '23503', '23514', '54000'],
  POSTGRES_CONFLICT: ['40001', '40P01', '23505', '57014'],
  POSTGRES_LOCKED: ['55P03', '55006'],
  POSTGRES_UNAVAILABLE: ['08006', '25006', '25P03', '28P01', '28000', '3D000', '53100', '53300', '57P01', '57P03'],
  SCHEMA_OUT_OF_DATE: ['42P01', '42703', '42804', '42883', '3F000'],
  POSTGRES_FAILED: ['0A000', '22023', '23001', '25P02', '26000', '42501', '58030', 'P0001', 'XX000', 'F0000', '99999'],
};

describe('SQLSTATEs', () => {
  for (const [code, states] of Object.entries(MEANINGS)) {
    it(`${states.join(', ')} mean ${code}`, () => {
      expect(states.map(codeOfSqlState)).to.deep.equal(states.map(() => code));
    });
  }

  it('none of them halts anything, and only refused data are blamed on a message', () => {
    const dispositions = Object.keys(MEANINGS).map((code) => ERROR_CODES[code as ErrorCode].disposition);
    expect(dispositions).to.deep.equal(['deadLetter', 'retry', 'retry', 'retry', 'retry', 'retry']);
  });

  it('a connection is used again after a lost race, refused data and errors of ours, else never', () => {
    const codes: ErrorCode[] = ['POSTGRES_CONFLICT', 'POSTGRES_LOCKED', 'POSTGRES_REJECTED', 'FENCED'];
    expect(codes.map(keepsConnection)).to.deep.equal([true, true, true, true]);
    const untrusted: ErrorCode[] = ['POSTGRES_UNAVAILABLE', 'POSTGRES_FAILED', 'SCHEMA_OUT_OF_DATE'];
    expect(untrusted.map(keepsConnection)).to.deep.equal([false, false, false]);
  });

  it('an error of the connection, with the code of the operating system or none, means POSTGRES_UNAVAILABLE', () => {
    for (const code of ['ECONNREFUSED', 'EPIPE', undefined]) {
      const error = Object.assign(new Error('gone'), code === undefined ? {} : { code });
      expect(translatePostgresError(error).code, code).to.equal('POSTGRES_UNAVAILABLE');
    }
  });

  it('an error of ours passes as it is', () => {
    const ours = new TollbookError('FENCED', 'another consumer was first');
    expect(translatePostgresError(ours)).to.equal(ours);
  });
});
