/**
 * Owns: rows in and out of PostgreSQL by COPY, as bytes.
 * Does not own: what the bytes say.
 * Invariants: an error of the server or of the connection leaves as ours; one of whoever makes the bytes leaves as it is.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { translatePostgresError } from './postgres.js';

/** Bytes in pieces fit for the socket. */
type Pieces = Iterable<Buffer> | AsyncIterable<Buffer>;

/** Sends pieces to a `COPY … FROM STDIN`, while later ones are still being made. Throws POSTGRES_*, and what making them throws. */
export async function copyIn(client: pg.ClientBase, copy: string, pieces: Pieces): Promise<void> {
  const mistakes: unknown[] = [];
  try {
    await pipeline(Readable.from(noting(pieces, mistakes)), client.query(copyFrom(copy)));
  } catch (error) {
    throw mistakes.includes(error) ? error : translatePostgresError(error);
  }
}

async function* noting(pieces: Pieces, mistakes: unknown[]): AsyncGenerator<Buffer> {
  try {
    yield* pieces;
  } catch (error) {
    mistakes.push(error);
    throw error;
  }
}

/** Reads what a `COPY … TO STDOUT` writes, in pieces. Throws POSTGRES_*. */
export async function* copyOut(client: pg.ClientBase, copy: string): AsyncGenerator<Buffer> {
  try {
    for await (const piece of client.query(copyTo(copy)) as AsyncIterable<Buffer>) yield piece;
  } catch (error) {
    throw translatePostgresError(error);
  }
}
