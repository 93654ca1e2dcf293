/**
 * Owns: anchors in a file: one JSON line each, appended, never rewritten.
 * Invariants: what was appended is on the disk before publishing counts as done; a line that was cut off by a crash is
 * told as malformed, and the next append starts a line of its own.
 */
import { open, stat } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { type Anchor, type AnchorPlace, anchorText, type FoundAnchor, readAnchor } from './anchor.js';

/** A file of anchors. */
export class AnchorFile implements AnchorPlace {
  readonly name: string;
  readonly #path: string;
  readonly #mustExist: boolean;

  /** A file that does not exist yet holds nothing, unless it must exist. */
  constructor(path: string, { mustExist = false }: { readonly mustExist?: boolean } = {}) {
    this.#path = path;
    this.#mustExist = mustExist;
    this.name = `file ${path}`;
  }

  /** {@inheritDoc AnchorPlace.freeze} */
  async freeze(): Promise<AsyncIterable<FoundAnchor>> {
    return this.#read(await this.#size());
  }

  /** Appends anchors. Atomic for readers: one write. Throws FILE_UNREADABLE. */
  async publish(anchors: readonly Anchor[]): Promise<void> {
    if (anchors.length === 0) return;
    try {
      const file = await open(this.#path, 'a+');
      try {
        const start = (await endsInMidLine(file)) ? '\n' : '';
        await file.appendFile(`${start}${anchors.map((anchor) => `${anchorText(anchor)}\n`).join('')}`);
        await file.datasync();
      } finally {
        await file.close();
      }
    } catch (error) {
      throw this.#failure('written', error);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #size(): Promise<number> {
    try {
      const found = await stat(this.#path);
      if (!found.isFile()) throw this.#failure('read', 'it is not a file');
      return found.size;
    } catch (error) {
      const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (isAbsent && !this.#mustExist) return 0;
      throw isTollbookError(error) ? error : this.#failure('read', error);
    }
  }

  async *#read(bytes: number): AsyncGenerator<FoundAnchor> {
    if (bytes === 0) return;
    const lines = createInterface({ input: createReadStream(this.#path, { end: bytes - 1 }), crlfDelay: Infinity });
    let number = 0;
    try {
      for await (const line of lines) {
        number += 1;
        if (line !== '') yield readAnchor(line, `${this.#path}:${number}`);
      }
    } catch (error) {
      throw this.#failure('read', error);
    }
  }

  #failure(verb: string, error: unknown): TollbookError {
    const why = error instanceof Error ? error.message : String(error);
    return new TollbookError('FILE_UNREADABLE', `the anchor file ${this.#path} cannot be ${verb}: ${why}`, {
      cause: error,
    });
  }
}

async function endsInMidLine(file: Awaited<ReturnType<typeof open>>): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return false;
  const { buffer } = await file.read({ buffer: Buffer.alloc(1), position: size - 1 });
  return buffer[0] !== 0x0a;
}
