/** Waiting at the start of a process for a server that is not there yet. */
import { expect } from 'chai';
import { onceItAnswers } from '../../../src/cli/server-wait.js';
import { type ErrorCode, TollbookError } from '../../../src/runtime/errors.js';
import { createLogger } from '../../../src/runtime/logger.js';

describe('waiting for a server', () => {
  let lines: string[];
  let stopping: AbortController;
  let attempts: number;

  beforeEach(() => {
    lines = [];
    stopping = new AbortController();
    attempts = 0;
  });

  function wait(attempt: () => Promise<string>): Promise<string> {
    const logger = createLogger({ level: 'info' }, { write: (line) => lines.push(line) });
    return onceItAnswers(attempt, { logger, stopping: stopping.signal });
  }

  async function failing(code: ErrorCode): Promise<never> {
    attempts += 1;
    return Promise.reject(new TollbookError(code, 'not now'));
  }

  function codeOf(work: Promise<unknown>): Promise<unknown> {
    return work.then(
      () => undefined,
      (error: unknown) => (error instanceof TollbookError ? error.code : error),
    );
  }

  it('tells of every attempt that failed, and goes on as soon as one succeeds', async () => {
    const attempt = (): Promise<string> =>
      attempts === 0 ? failing('POSTGRES_UNAVAILABLE') : Promise.resolve('connected');
    expect(await wait(attempt)).to.equal('connected');
    expect(lines).to.have.length(2);
    expect(lines[0]).to.include('waiting for it before starting').and.include('POSTGRES_UNAVAILABLE');
    expect(lines[1]).to.include('starting goes on');
  });

  it('does not wait for what no retry mends', async () => {
    expect(await codeOf(wait(() => failing('TOPIC_MISSING')))).to.equal('TOPIC_MISSING');
    expect(attempts).to.equal(1);
  });

  it('does not wait at all when nobody could end the wait', async () => {
    const logger = createLogger({ level: 'silent' });
    const work = onceItAnswers(() => failing('KAFKA_UNAVAILABLE'), { logger, stopping: undefined });
    expect(await codeOf(work)).to.equal('KAFKA_UNAVAILABLE');
    expect(attempts).to.equal(1);
  });

  it('ends when stopping is asked for, also while an attempt gets no answer', async () => {
    const endless = new Promise<string>(() => undefined);
    const work = codeOf(wait(() => endless));
    stopping.abort();
    expect(await work).to.equal('RUN_STOPPED');
    const later = codeOf(wait(() => failing('KAFKA_UNAVAILABLE')));
    expect(await later).to.equal('RUN_STOPPED');
  });
});
