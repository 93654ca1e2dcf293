/** Owns: how a fetched log is cut into chunks, and where reading it ends. */
import { expect } from 'chai';
import { type ChunkBounds, chunksOf } from '../../../src/consumers/chunks.js';
import { type AbortedTransaction, FetchedLog } from '../../../src/records/fetched-log.js';
import { isTollbookError, type TollbookError } from '../../../src/runtime/errors.js';
import { type WrittenRecord, writeBatch, writeMarker } from '../../support/record-batches.js';

const FACTS = { topic: 'usage', partition: 3, from: 0n, broker: 2 };
const PLAIN: WrittenRecord = { value: Buffer.from('x') };

function batchOf(baseOffset: bigint, count: number, choices: { isTransactional?: boolean; producerId?: bigint } = {}) {
  return writeBatch({ baseOffset, records: Array.from({ length: count }, () => PLAIN), ...choices });
}

function logOf(batches: readonly Buffer[], from = 0n, aborted: readonly AbortedTransaction[] = []): FetchedLog {
  return FetchedLog.of(Buffer.concat(batches), { ...FACTS, from }, aborted);
}

/** Of each chunk: where it begins, its offsets, where the next begins; and the error that ends the reading. */
function cut(log: FetchedLog, bounds: Partial<ChunkBounds> = {}): { chunks: unknown[]; error?: TollbookError } {
  const chunks: unknown[] = [];
  try {
    for (const chunk of chunksOf(log, { messagesMax: 1000, bytesMax: 1_000_000, ...bounds })) {
      chunks.push([chunk.from, chunk.messages.map(({ kafkaOffset }) => kafkaOffset), chunk.nextOffset]);
    }
  } catch (error) {
    if (!isTollbookError(error)) throw error;
    return { chunks, error };
  }
  return { chunks };
}

describe('chunks of a fetched log', () => {
  it('hold at most so many messages, in order, the last the rest, across batches', () => {
    expect(cut(logOf([batchOf(0n, 3), batchOf(3n, 2)]), { messagesMax: 2 })).to.deep.equal({
      chunks: [
        [0n, [0n, 1n], 2n],
        [2n, [2n, 3n], 4n],
        [4n, [4n], 5n],
      ],
    });
  });

  it('begin where they are read from, whatever comes before it in the batch', () => {
    expect(cut(logOf([batchOf(0n, 5)], 3n)).chunks).to.deep.equal([[3n, [3n, 4n], 5n]]);
  });

  it('count keys, values and headers, and exactly as many bytes as are allowed fit', () => {
    const headers = [['h', Buffer.alloc(20)] as const];
    const records = [{ key: Buffer.alloc(10), value: Buffer.alloc(10), headers }, PLAIN, PLAIN];
    const log = (): FetchedLog => logOf([writeBatch({ records })]);
    const [large, small] = [1 + 10 + 1 + 10 + 1 + 2 + 1 + 20, 1 + 1 + 1 + 1];
    const offsets = (bytesMax: number): unknown[] =>
      cut(log(), { bytesMax }).chunks.map((chunk) => (chunk as unknown[])[1]);
    expect(offsets(large + small)).to.deep.equal([[0n, 1n], [2n]]);
    expect(offsets(large + small - 1)).to.deep.equal([[0n], [1n, 2n]]);
    expect(offsets(1)).to.deep.equal([[0n], [1n], [2n]]);
  });

  it('are none of an empty log', () => {
    expect(cut(logOf([]))).to.deep.equal({ chunks: [] });
  });

  it('keep offsets beyond 2^53 exact', () => {
    const offset = 9_007_199_254_740_993n;
    expect(cut(logOf([batchOf(offset, 1)], offset)).chunks).to.deep.equal([[offset, [offset], offset + 1n]]);
  });

  it('are cut lazily, so that a consumer that stops in between decodes no more', () => {
    const chunks = chunksOf(logOf([batchOf(0n, 2)]), { messagesMax: 1, bytesMax: 100 });
    expect(chunks.next().value).to.have.property('nextOffset', 1n);
    expect(chunks.return(undefined).done).to.equal(true);
    expect(chunks.next().done).to.equal(true);
  });

  it('go on over markers and aborted records, also where nothing else was fetched', () => {
    const aborted = [{ producerId: 7n, firstOffset: 1n }];
    const transaction = [batchOf(1n, 2, { isTransactional: true, producerId: 7n }), writeMarker(3n, 7n, false)];
    const after = batchOf(4n, 1, { isTransactional: true, producerId: 7n });
    expect(cut(logOf([batchOf(0n, 1), ...transaction, after], 0n, aborted)).chunks).to.deep.equal([[0n, [0n, 4n], 5n]]);
    expect(cut(logOf(transaction, 1n, aborted)).chunks).to.deep.equal([[1n, [], 4n]]);
  });

  it('charge what another producer sent, or this one outside of a transaction, amid aborted records', () => {
    const aborted = [{ producerId: 7n, firstOffset: 0n }];
    const own = { isTransactional: true, producerId: 7n };
    const batches = [
      batchOf(0n, 1, own),
      batchOf(1n, 1, { ...own, producerId: 8n }),
      batchOf(2n, 1, { producerId: 7n }),
    ];
    expect(cut(logOf(batches, 0n, aborted)).chunks).to.deep.equal([[0n, [1n, 2n], 3n]]);
  });

  it('end before a hole between batches, which is told as loss', () => {
    const { chunks, error } = cut(logOf([batchOf(0n, 2), batchOf(5n, 1)]));
    expect(chunks).to.deep.equal([[0n, [0n, 1n], 2n]]);
    expect(error).to.include({ code: 'STREAM_GAP' });
    expect(error?.message).to.include('offsets 2 to 4 of usage/3').and.include('--to 5');
  });

  it('end before a hole within a batch, which is told as loss', () => {
    const records = [PLAIN, { ...PLAIN, offsetDelta: 3 }];
    const { chunks, error } = cut(logOf([writeBatch({ records, lastOffsetDelta: 5 })]));
    expect(chunks).to.deep.equal([[0n, [0n], 1n]]);
    expect(error).to.include({ code: 'STREAM_GAP' }).with.nested.property('context.to', 2n);
  });

  it('take a batch that compaction has emptied for loss, too', () => {
    const { error } = cut(logOf([writeBatch({ lastOffsetDelta: 4 })]));
    expect(error).to.include({ code: 'STREAM_GAP' }).with.nested.property('context.to', 4n);
  });

  it('end before a batch with a wrong checksum, which is told with its place and its broker', () => {
    const damaged = batchOf(2n, 3);
    damaged[damaged.length - 2]! ^= 1;
    const { chunks, error } = cut(logOf([batchOf(0n, 2), damaged, batchOf(5n, 1)]));
    expect(chunks).to.deep.equal([[0n, [0n, 1n], 2n]]);
    expect(error).to.include({ code: 'BATCH_CRC_MISMATCH' });
    expect(error?.context).to.deep.equal({ topic: 'usage', partition: 3, from: 2n, to: 4n, broker: 2 });
  });

  it('end before a batch whose header cannot be: its length or the version of its format', () => {
    for (const [at, byte] of [
      [8, 0x7f],
      [8, 0xff],
      [11, 0],
      [16, 3],
      [16, 0],
    ] as const) {
      const damaged = batchOf(2n, 3);
      damaged[at] = byte;
      const { chunks, error } = cut(logOf([batchOf(0n, 2), damaged]));
      expect(chunks, `byte ${at}`).to.deep.equal([[0n, [0n, 1n], 2n]]);
      expect(error, `byte ${at}`).to.include({ code: 'BATCH_CRC_MISMATCH' });
    }
  });

  it('leave out a batch that the bound on the fetch cut off, but for the first, which brokers send whole', () => {
    const cutOff = batchOf(2n, 3).subarray(0, -1);
    const { chunks, error } = cut(logOf([batchOf(0n, 2), cutOff]));
    expect(chunks).to.deep.equal([[0n, [0n, 1n], 2n]]);
    expect(error).to.equal(undefined);
    expect(cut(logOf([cutOff])).error).to.include({ code: 'BATCH_CRC_MISMATCH' });
  });
});
