/**
 * Owns: reading large parts of the ledger from one snapshot, over several connections at once: rows, and streams that
 * COPY writes.
 * Does not own: what is read.
 * Invariants: every connection sees the same committed ledger, whatever is written meanwhile; nothing is locked and
 * nothing can be written. What a dump costs the server, this costs too: it keeps old row versions while it lasts.
 */
import pg from 'pg';
import { beginOf, connectTo } from '../../runtime/postgres.js';
import { copyOut } from '../../runtime/postgres-copy.js';

/** Streams and rows of one snapshot. */
export interface ProofSnapshot {
  /** Reads rows; statements that are asked for at once are run one after the other. Throws POSTGRES_*. */
  rows<R extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<R[]>;
  /** Streams what a SELECT without parameters finds, as buffers of whole lines. Throws POSTGRES_*. */
  lines(select: string): AsyncGenerator<Buffer>;
}

/**
 * Plans for whole tables: the settings of the pool force indexes, and end a statement after a minute. The texts of times
 * and of bytea are what leaf-lines.ts reads.
 */
const SETTINGS = [
  `statement_timeout = 0`,
  `idle_in_transaction_session_timeout = 0`,
  `enable_seqscan = on`,
  `enable_hashjoin = on`,
  `enable_mergejoin = on`,
  `work_mem = '64MB'`,
  `timezone = 'UTC'`,
  `datestyle = 'ISO, YMD'`,
  `bytea_output = 'hex'`,
].map((setting) => `SET LOCAL ${setting}`);

const NEWLINE = 0x0a;

/** Writes a value into a SELECT for `lines`, which takes no parameters. */
export function literal(value: string): string {
  return pg.escapeLiteral(value);
}

/** Runs the reads in one snapshot. Takes one connection, and one more for each stream that is read at a time. */
export async function withProofSnapshot<T>(pool: pg.Pool, read: (snapshot: ProofSnapshot) => Promise<T>): Promise<T> {
  const connections = new SnapshotConnections(pool);
  try {
    const result = await read(await connections.begin());
    await connections.end();
    return result;
  } finally {
    connections.abandon();
  }
}

/** A connection that breaks tells its statement too; the event alone would end the process. */
function ignoreBroken(): void {
  return;
}

/** The connections that look at one snapshot: the first one takes it, the others join. */
class SnapshotConnections {
  readonly #pool: pg.Pool;
  readonly #clients = new Set<pg.PoolClient>();
  #isOver = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async begin(): Promise<ProofSnapshot> {
    const lead = await this.#open();
    const { rows } = await lead.query<{ id: string }>('SELECT pg_export_snapshot() AS id');
    const id = rows[0]?.id ?? '';
    return {
      rows: <R extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []) =>
        this.#inTurn(async () => (await lead.query<R>(sql, [...values])).rows),
      lines: (select) => this.#lines(select, id),
    };
  }

  /** Ends the transactions and gives the connections back; every stream has been read to its end. */
  async end(): Promise<void> {
    for (const client of this.#clients) {
      await client.query('COMMIT');
      this.#release(client, false);
    }
  }

  /** Ends the connections that are left: a stream that was left half-way cannot be ended otherwise. */
  abandon(): void {
    this.#isOver = true;
    for (const client of this.#clients) this.#release(client, true);
  }

  #release(client: pg.PoolClient, isBroken: boolean): void {
    this.#clients.delete(client);
    client.off('error', ignoreBroken);
    client.release(isBroken);
  }

  async #open(snapshotId?: string): Promise<pg.PoolClient> {
    const client = await connectTo(this.#pool);
    client.on('error', ignoreBroken);
    this.#clients.add(client);
    if (this.#isOver) this.abandon();
    await client.query(`${beginOf(this.#pool)}; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`);
    if (snapshotId !== undefined) await client.query(`SET TRANSACTION SNAPSHOT ${literal(snapshotId)}`);
    for (const setting of SETTINGS) await client.query(setting);
    return client;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const found = this.#last.then(work);
    this.#last = found.catch(() => undefined);
    return found;
  }

  async *#lines(select: string, snapshotId: string): AsyncGenerator<Buffer> {
    const client = await this.#open(snapshotId);
    let rest: Buffer[] = [];
    for await (const part of copyOut(client, `COPY (${select}) TO STDOUT`)) {
      const end = part.lastIndexOf(NEWLINE) + 1;
      if (end > 0) {
        yield Buffer.concat([...rest, part.subarray(0, end)]);
        rest = [];
      }
      rest.push(part.subarray(end));
    }
    await client.query('COMMIT');
    this.#release(client, false);
  }
}
