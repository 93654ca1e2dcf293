/** Which chunks are charged in one database transaction, and what becomes of them when it fails. */
import { expect } from 'chai';
import type { Chunk, ChunkOutcome } from '../../../src/consumers/charge-protocol.js';
import { ChunkJoiner } from '../../../src/consumers/chunk-joiner.js';
import { type ErrorCode, isTollbookError, TollbookError } from '../../../src/runtime/errors.js';

const MESSAGES_MAX = 8;
const TRANSACTIONS_MAX = 2;

/** A database that charges when it is told to, and notes what it was given together. */
class SlowCharging {
  readonly transactions: string[][] = [];
  readonly #ends: ((error?: TollbookError) => void)[] = [];

  chargeTogether = (chunks: readonly Chunk[]): Promise<ChunkOutcome[]> => {
    this.transactions.push(chunks.map(({ source }) => `${source.partition}`));
    return new Promise((resolve, reject) => {
      this.#ends.push((error) => {
        if (error === undefined) resolve(chunks.map(outcomeOf));
        else reject(error);
      });
    });
  };

  /** Ends the oldest transaction under way, and lets what follows from it happen. */
  async end(code?: ErrorCode): Promise<void> {
    this.#ends.shift()?.(code === undefined ? undefined : new TollbookError(code, 'as the test wants'));
    await turns();
  }
}

describe('the chunk joiner', () => {
  let charging: SlowCharging;
  let joiner: ChunkJoiner;

  beforeEach(() => {
    charging = new SlowCharging();
    const { chargeTogether } = charging;
    joiner = new ChunkJoiner({ chargeTogether, transactionsMax: TRANSACTIONS_MAX, messagesMax: MESSAGES_MAX });
  });

  it('charges the chunks of one fetch together, each with its own outcome', async () => {
    const outcomes = Promise.all([joiner.charge(chunk(0, 2)), joiner.charge(chunk(1, 3))]);
    await turns();
    expect(charging.transactions).to.deep.equal([['0', '1']]);
    await charging.end();
    expect((await outcomes).map(offsetOf)).to.deep.equal([2n, 3n]);
  });

  it('lets few messages wait for the end of a transaction, and starts a second one for many', async () => {
    void joiner.charge(chunk(0, 1));
    await turns();
    void joiner.charge(chunk(1, 1));
    await turns();
    expect(charging.transactions).to.deep.equal([['0']]);
    void joiner.charge(chunk(2, 1));
    await turns();
    expect(charging.transactions).to.deep.equal([['0'], ['1', '2']]);
  });

  it('never charges more messages together than allowed, unless one chunk alone has more', async () => {
    for (const [partition, size] of [20, 5, 4, 3].entries()) void joiner.charge(chunk(partition, size));
    await turns();
    expect(charging.transactions).to.deep.equal([['0'], ['1', '3']]);
    await charging.end();
    expect(charging.transactions.at(-1)).to.deep.equal(['2']);
  });

  it('keeps to the number of transactions', async () => {
    for (const partition of [0, 1, 2]) void joiner.charge(chunk(partition, MESSAGES_MAX));
    await turns();
    expect(charging.transactions).to.have.length(TRANSACTIONS_MAX);
    await charging.end();
    expect(charging.transactions).to.have.length(TRANSACTIONS_MAX + 1);
  });

  it('never charges two chunks of one source together, and keeps their order', async () => {
    const outcomes = Promise.all([joiner.charge(chunk(0, 1)), joiner.charge(chunk(0, 7)), joiner.charge(chunk(1, 1))]);
    await turns();
    expect(charging.transactions).to.deep.equal([['0', '1']]);
    await charging.end();
    expect(charging.transactions.at(-1)).to.deep.equal(['0']);
    await charging.end();
    expect((await outcomes).map(offsetOf)).to.deep.equal([1n, 7n, 1n]);
  });

  it('never charges pending events and completions together', async () => {
    void joiner.charge(chunk(0, 1));
    void joiner.charge({ ...chunk(1, 1), kind: 'completed' });
    await turns();
    expect(charging.transactions).to.deep.equal([['1'], ['0']]);
  });

  it('charges a source alone that may have no cursor yet', async () => {
    for (const partition of [0, 1, 2]) void joiner.charge({ ...chunk(partition, 1), hasCursor: partition === 1 });
    await turns();
    expect(charging.transactions).to.deep.equal([['0']]);
    await charging.end();
    expect(charging.transactions.at(-1)).to.deep.equal(['1']);
    await charging.end();
    expect(charging.transactions.at(-1)).to.deep.equal(['2']);
  });

  it('charges each chunk alone when together they fail, so that only the one at fault fails', async () => {
    const outcomes = Promise.allSettled([joiner.charge(chunk(0, 1)), joiner.charge(chunk(1, 1))]);
    await turns();
    await charging.end('FENCED');
    await charging.end('FENCED');
    await charging.end();
    expect(charging.transactions).to.deep.equal([['0', '1'], ['0'], ['1']]);
    expect((await outcomes).map(codeOf)).to.deep.equal(['FENCED', 'charged']);
  });

  it('charges a source alone whose account somebody keeps locked, until it is charged', async () => {
    const charge = async (...codes: (ErrorCode | undefined)[]): Promise<void> => {
      const outcomes = Promise.allSettled([joiner.charge(chunk(0, 1)), joiner.charge(chunk(1, 1))]);
      await turns();
      for (const code of codes) await charging.end(code);
      await outcomes;
    };
    await charge('POSTGRES_LOCKED', 'POSTGRES_LOCKED', undefined);
    await charge('POSTGRES_LOCKED', undefined);
    await charge(undefined, undefined);
    await charge(undefined);
    expect(charging.transactions).to.deep.equal([['0', '1'], ['0'], ['1'], ['0'], ['1'], ['0'], ['1'], ['0', '1']]);
  });

  it('does not ask a database that is away once for every chunk', async () => {
    const outcomes = Promise.allSettled([joiner.charge(chunk(0, 1)), joiner.charge(chunk(1, 1))]);
    await turns();
    await charging.end('POSTGRES_UNAVAILABLE');
    expect((await outcomes).map(codeOf)).to.deep.equal(['POSTGRES_UNAVAILABLE', 'POSTGRES_UNAVAILABLE']);
    expect(charging.transactions).to.have.length(1);
  });
});

function chunk(partition: number, size: number): Chunk {
  const messages = Array.from({ length: size }, (_, index) => ({
    ...{ kafkaOffset: BigInt(index), key: null, value: null, headers: {} },
  }));
  return {
    source: { topic: 'usage', partition },
    kind: 'pending',
    messages,
    nextOffset: BigInt(size),
    hasCursor: true,
  };
}

function outcomeOf({ nextOffset }: Chunk): ChunkOutcome {
  return { kind: 'alreadyCharged', nextOffset };
}

function offsetOf(outcome: ChunkOutcome): bigint | undefined {
  return outcome.kind === 'alreadyCharged' ? outcome.nextOffset : undefined;
}

function codeOf(settled: PromiseSettledResult<ChunkOutcome>): string {
  if (settled.status === 'fulfilled') return 'charged';
  return isTollbookError(settled.reason) ? settled.reason.code : String(settled.reason);
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
