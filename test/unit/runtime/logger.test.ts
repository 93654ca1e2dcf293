/** Owns: the proof that the log holds no secrets. */
import { expect } from 'chai';
import { createLogger } from '../../../src/runtime/logger.js';

function linesOf(write: (logger: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = [];
  write(createLogger({ level: 'debug', name: 'test' }, { write: (line) => void lines.push(line) }));
  return lines.join('');
}

describe('the logger', () => {
  it('replaces the password of a URL in messages, fields and errors', () => {
    const text = linesOf((logger) => {
      logger.info({ url: 'redis://user:s3cret@host:1' }, 'connecting to postgres://me:s3cr@t@host/db');
      logger.error({ err: new RangeError('refused by amqp://u:s3cret@host') }, 'failed');
    });
    expect(text).to.include('redis://user:[redacted]@host:1').and.include('postgres://me:[redacted]@host/db');
    expect(text).to.not.match(/s3cr/);
  });

  it('replaces fields that are named like secrets', () => {
    const text = linesOf((logger) => logger.info({ password: 'a1', kafka: { sasl: { password: 'b2' } } }, 'x'));
    expect(text).to.not.match(/a1|b2/);
  });

  it('leaves other text as it is and writes nothing below its level', () => {
    const text = linesOf((logger) => {
      logger.trace('hidden');
      logger.child({ part: 'p' }).info('see http://host:8080/path?at=a@b');
    });
    expect(text).to.include('see http://host:8080/path?at=a@b').and.include('"part":"p"').and.not.include('hidden');
  });
});
