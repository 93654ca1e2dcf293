/** Owns: catching the error that a test expects, typed. */
import { expect } from 'chai';
import { isTollbookError, type TollbookError } from '../../../src/runtime/errors.js';

/** Returns the error of this project that the work throws; fails when it throws none, or another. */
export function errorOf(work: () => unknown): TollbookError {
  try {
    work();
  } catch (error) {
    if (isTollbookError(error)) return error;
    throw error;
  }
  expect.fail('nothing was thrown');
}
