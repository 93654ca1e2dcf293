/**
 * Owns: a process that charges record batches from a file by the consumer's own way from bytes to ledger: the record gate,
 * chunks, the charge protocol. It is for batches that no broker takes, so that no fetch could bring them.
 * Run as: node batch-charger.js FILE TOPIC, with the settings of a process; its last line on stderr is a ChargedBatches.
 * Invariants: each batch is given the offset that follows; one that stops the reading is counted under the code it stops
 * with and left behind, as an operator would, and the next takes its offset.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { chargingSettings } from '../../src/cli/charging-parts.js';
import { ChargeProtocol } from '../../src/consumers/charge-protocol.js';
import { chunksOf } from '../../src/consumers/chunks.js';
import { LEDGER_ALONE } from '../../src/consumers/quota-gate.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import { isWhole, readHeader } from '../../src/records/batch-header.js';
import { FetchedLog } from '../../src/records/fetched-log.js';
import { zstdReady } from '../../src/records/zstd-frame.js';
import { systemClock } from '../../src/runtime/clock.js';
import { APPLICATION_ROLE } from '../../src/runtime/application-role.js';
import { loadConfig } from '../../src/runtime/config.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { createPostgresPool } from '../../src/runtime/postgres.js';

/** What became of the batches of a file. */
export interface ChargedBatches {
  readonly charged: number;
  /** Batches that stopped the reading, by the code. */
  readonly stops: Readonly<Record<string, number>>;
  /** All messages, and offsets that hold none by their headers (markers). */
  readonly messages: number;
  readonly withoutMessage: string;
  readonly position: string;
  readonly residentMb: number;
}

const WINDOW_BATCHES = 40;
const CHUNK = { messagesMax: 4_000, bytesMax: 4 * 1024 * 1024 };

interface Fed {
  readonly bytes: Buffer;
  readonly ownOffset: bigint;
}

interface Placed {
  readonly bytes: Buffer;
  readonly from: bigint;
  readonly nextOffset: bigint;
}

class BatchCharger {
  readonly #protocol: ChargeProtocol;
  readonly #topic: string;
  readonly #stops: Record<string, number> = {};
  #charged = 0;
  #messages = 0;
  #withoutMessage = 0n;
  #position = 0n;

  constructor(protocol: ChargeProtocol, topic: string) {
    this.#protocol = protocol;
    this.#topic = topic;
  }

  async chargeAll(batches: Iterator<Fed, void>): Promise<void> {
    const waiting: Fed[] = [];
    for (;;) {
      for (let next = batches.next(); next.done !== true; next = batches.next()) {
        waiting.push(next.value);
        if (waiting.length === WINDOW_BATCHES) break;
      }
      if (waiting.length === 0) return;
      waiting.splice(0, await this.#chargeWindow(waiting));
    }
  }

  /** Charges batches up to the first that stops the reading; returns how many of them are accounted for. */
  async #chargeWindow(batches: readonly Fed[]): Promise<number> {
    const placed = placedFrom(batches, this.#position);
    const code = await this.#chargeLog(placed);
    const whole = placed.filter(({ nextOffset }) => nextOffset <= this.#position).length;
    this.#charged += whole;
    if (whole === placed.length) return whole;
    // One that says it is longer than the bytes there are: it comes first in the next fetch, which tells so.
    if (code === undefined && whole > 0) return whole;
    const stop = code ?? 'NO_CODE';
    this.#stops[stop] = (this.#stops[stop] ?? 0) + 1;
    return whole + 1;
  }

  figures(): ChargedBatches {
    return {
      ...{ charged: this.#charged, stops: this.#stops, messages: this.#messages },
      withoutMessage: this.#withoutMessage.toString(),
      position: this.#position.toString(),
      residentMb: Math.round((process.resourceUsage().maxRSS * 1024) / 1e6),
    };
  }

  /** Charges batches as one fetch; returns the code that the reading stopped with. */
  async #chargeLog(placed: readonly Placed[]): Promise<string | undefined> {
    const source = { topic: this.#topic, partition: 0 };
    const bytes = Buffer.concat(placed.map((each) => each.bytes));
    try {
      for (const range of chunksOf(FetchedLog.of(bytes, { ...source, from: this.#position }), CHUNK)) {
        await this.#protocol.charge({ source, kind: 'completed', ...range });
        this.#messages += range.messages.length;
        if (range.messages.length === 0) this.#withoutMessage += range.nextOffset - range.from;
        else this.#withoutMessage += withoutMessage(placed, range);
        this.#position = range.nextOffset;
      }
      return undefined;
    } catch (error) {
      if (isTollbookError(error, 'BATCH_CRC_MISMATCH') || isTollbookError(error, 'STREAM_GAP')) return error.code;
      throw error;
    }
  }
}

/** Offsets of markers within a range that holds messages too. */
function withoutMessage(placed: readonly Placed[], range: { from: bigint; nextOffset: bigint }): bigint {
  return placed
    .filter(({ bytes, from }) => from >= range.from && from < range.nextOffset && isMarker(bytes))
    .reduce((sum, { from, nextOffset }) => sum + nextOffset - from, 0n);
}

function isMarker(bytes: Buffer): boolean {
  return isWhole(bytes) && readHeader(bytes).isControl;
}

/** Gives each batch the offset after the one before, as a broker does; its own is added, which is 0 unless it was spoiled. */
function placedFrom(batches: readonly Fed[], position: bigint): Placed[] {
  let from = position;
  return batches.map(({ bytes, ownOffset }) => {
    const placed = Buffer.from(bytes);
    placed.writeBigInt64BE(BigInt.asIntN(64, from + ownOffset), 0);
    const last = isWhole(placed) ? readHeader(placed).lastOffset : placed.readBigInt64BE(0);
    const nextOffset = last >= from ? last + 1n : from + 1n;
    const place = { bytes: placed, from, nextOffset };
    from = nextOffset;
    return place;
  });
}

/** The batches of a file, each behind its length, read as they are needed. */
function* batchesOf(path: string): Generator<Fed, void> {
  const file = openSync(path, 'r');
  const head = Buffer.alloc(4);
  while (readSync(file, head) === head.length) {
    const bytes = Buffer.alloc(head.readUInt32BE(0));
    readSync(file, bytes);
    yield { bytes, ownOffset: bytes.readBigInt64BE(0) };
  }
  closeSync(file);
}

async function main([path = '', topic = '']: readonly string[]): Promise<void> {
  await zstdReady();
  const config = loadConfig(process.env);
  const connection = { url: config.databaseUrl, role: APPLICATION_ROLE, applicationName: 'batch-charger' };
  const pool = createPostgresPool({ ...connection, connectionsMax: 2 });
  const protocol = new ChargeProtocol({
    ...chargingSettings(config),
    ...{ gate: LEDGER_ALONE, clock: systemClock, store: new PostgresLedgerStore(pool), clusterId: 'no-cluster' },
    wakeProjector: () => undefined,
  });
  const charger = new BatchCharger(protocol, topic);
  await charger.chargeAll(batchesOf(path));
  await pool.end();
  process.stderr.write(`${JSON.stringify(charger.figures())}\n`);
}

await main(process.argv.slice(2));
