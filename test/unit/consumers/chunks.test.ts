/** Owns: how a fetched batch is cut into chunks. */
import { expect } from 'chai';
import type { IHeaders, KafkaMessage } from 'kafkajs';
import { type ChunkBounds, chunksOf } from '../../../src/consumers/chunks.js';

function fetched(offset: number, bytes = 10): KafkaMessage {
  return { offset: String(offset), key: null, value: Buffer.alloc(bytes), timestamp: '0', attributes: 0, headers: {} };
}

function cut(messages: readonly KafkaMessage[], bounds: Partial<ChunkBounds> = {}) {
  const chunks = [...chunksOf(messages, { messagesMax: 1000, bytesMax: 1_000_000, ...bounds })];
  return chunks.map((chunk) => [chunk.messages.map(({ kafkaOffset }) => kafkaOffset), chunk.nextOffset]);
}

describe('chunks of a fetched batch', () => {
  it('hold at most so many messages, in order, the last the rest', () => {
    expect(
      cut(
        [1, 2, 3, 4, 5].map((offset) => fetched(offset)),
        { messagesMax: 2 },
      ),
    ).to.deep.equal([
      [[1n, 2n], 3n],
      [[3n, 4n], 5n],
      [[5n], 6n],
    ]);
  });

  it('end where the next begins, also across offsets that hold no message', () => {
    expect(cut([fetched(1), fetched(4), fetched(9)], { messagesMax: 1 })).to.deep.equal([
      [[1n], 4n],
      [[4n], 9n],
      [[9n], 10n],
    ]);
  });

  it('hold at most so many bytes, and exactly as many fit', () => {
    expect(cut([fetched(1, 40), fetched(2, 60), fetched(3, 1)], { bytesMax: 100 })).to.deep.equal([
      [[1n, 2n], 3n],
      [[3n], 4n],
    ]);
  });

  it('hold one message alone when it is larger than the bound', () => {
    expect(cut([fetched(1, 5), fetched(2, 500), fetched(3, 5)], { bytesMax: 100 })).to.deep.equal([
      [[1n], 2n],
      [[2n], 3n],
      [[3n], 4n],
    ]);
  });

  it('are none of an empty batch', () => {
    expect(cut([])).to.deep.equal([]);
  });

  it('keep offsets beyond 2^53 exact', () => {
    const message = { ...fetched(0), offset: '9007199254740993' };
    expect(cut([message])).to.deep.equal([[[9_007_199_254_740_993n], 9_007_199_254_740_994n]]);
  });

  it('are cut lazily, so that a consumer that stops in between copies no more', () => {
    const chunks = chunksOf([fetched(1), fetched(2)], { messagesMax: 1, bytesMax: 100 });
    expect(chunks.next().value).to.have.property('nextOffset', 2n);
    expect(chunks.return(undefined).done).to.equal(true);
    expect(chunks.next().done).to.equal(true);
  });
});

describe('a message of a chunk', () => {
  function only(changes: { key?: Buffer; value?: null; headers?: IHeaders }) {
    const plain = { key: null, value: null, headers: {}, offset: '1', timestamp: '0', attributes: 0 };
    const [chunk] = chunksOf([{ ...plain, ...changes }], { messagesMax: 1, bytesMax: 100 });
    return chunk?.messages[0];
  }

  it('keeps key and value, also when they are null', () => {
    expect(only({ key: Buffer.from('k'), value: null })).to.deep.equal({
      kafkaOffset: 1n,
      key: Buffer.from('k'),
      value: null,
      headers: {},
    });
  });

  it('keeps every value of every header, byte for byte', () => {
    const headers = { one: Buffer.from('text'), many: [Buffer.of(255), Buffer.alloc(0)], none: undefined };
    expect(only({ headers })?.headers).to.deep.equal({
      one: [Buffer.from('text')],
      many: [Buffer.of(255), Buffer.alloc(0)],
      none: [],
    });
  });

  it('has no value for a header that Kafka sent without one', () => {
    expect(only({ headers: { trace: null } as unknown as IHeaders })?.headers).to.deep.equal({ trace: [] });
  });

  it('keeps only the bytes of a header named like a method of every object', () => {
    const headers = { constructor: [Object, Buffer.from('v')] } as unknown as IHeaders;
    expect(only({ headers })?.headers).to.deep.equal({ constructor: [Buffer.from('v')] });
  });
});
