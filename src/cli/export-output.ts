/**
 * Owns: where an export goes: stdout, or a file that gets its name only when it is complete.
 * Invariants: a slow reader slows the export down, so that memory stays bounded; a signal ends it between two parts, and an
 * export that does not end well leaves no file.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import type { Writable } from 'node:stream';
import { TollbookError } from '../runtime/errors.js';
import { listenForStop } from '../runtime/shutdown.js';

/** Takes the text of an export. */
export interface ExportOutput {
  /** Throws FILE_UNREADABLE when it cannot be written, or RUN_STOPPED after a signal. */
  write(text: string): Promise<void>;
  /** Gives the file its name. */
  complete(): Promise<void>;
  /** Removes what has been written. */
  discard(): Promise<void>;
}

/** Opens stdout, or a file beside the one named. Throws FILE_UNREADABLE. */
export async function openOutput(file: string | undefined): Promise<ExportOutput> {
  if (file === undefined) return new StreamOutput(process.stdout, undefined);
  const there = await stat(file).catch(() => undefined);
  if (there?.isDirectory() === true) throw unwritable(file, 'it is a folder');
  const stream = createWriteStream(partialOf(file));
  try {
    await once(stream, 'open');
  } catch (error) {
    throw unwritable(file, error);
  }
  return new StreamOutput(stream, file);
}

class StreamOutput implements ExportOutput {
  readonly #stream: Writable;
  readonly #file: string | undefined;
  readonly #stop = listenForStop();
  readonly #stopped: Promise<void>;
  #signal: NodeJS.Signals | undefined;
  #failure: Error | undefined;

  constructor(stream: Writable, file: string | undefined) {
    this.#stream = stream;
    this.#file = file;
    this.#stream.on('error', (error) => (this.#failure ??= error));
    this.#stopped = this.#stop.received.then((signal) => void (this.#signal = signal));
  }

  async write(text: string): Promise<void> {
    this.#assertGoing();
    if (text === '' || this.#stream.write(text)) return;
    await Promise.race([once(this.#stream, 'drain'), this.#stopped]).catch(() => undefined);
    this.#assertGoing();
  }

  async complete(): Promise<void> {
    if (this.#file === undefined) await new Promise<void>((resolve) => void this.#stream.write('', () => resolve()));
    else await this.#nameFile(this.#file);
    this.#assertGoing();
    this.#stop.release();
  }

  async discard(): Promise<void> {
    this.#stop.release();
    if (this.#file === undefined) return;
    this.#stream.destroy();
    await rm(partialOf(this.#file), { force: true });
  }

  async #nameFile(file: string): Promise<void> {
    try {
      this.#stream.end();
      await finished(this.#stream);
      await rename(partialOf(file), file);
    } catch (error) {
      throw unwritable(file, error);
    }
  }

  #assertGoing(): void {
    if (this.#signal !== undefined) {
      throw new TollbookError('RUN_STOPPED', `${this.#signal} stopped the export before its end; no file is left`);
    }
    if (this.#failure === undefined) return;
    if (this.#file !== undefined) throw unwritable(this.#file, this.#failure);
    throw new TollbookError('RUN_STOPPED', `whoever read the export has gone: ${this.#failure.message}`);
  }
}

function partialOf(file: string): string {
  return `${file}.partial`;
}

function unwritable(file: string, cause: unknown): TollbookError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TollbookError('FILE_UNREADABLE', `${file} cannot be written: ${why}`, { cause, context: { file } });
}
