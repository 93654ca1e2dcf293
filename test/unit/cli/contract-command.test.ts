/** Owns: what `tollbook contract` prints and how it exits. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Command } from 'commander';
import { registerContractCommand } from '../../../src/cli/contract-command.js';
import { EXAMPLES } from '../../../src/contract/examples.js';

interface Run {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command in this process, catching what it writes. */
async function run(...args: string[]): Promise<Run> {
  const written = { out: '', err: '' };
  const catchInto = (stream: NodeJS.WriteStream, name: 'out' | 'err'): (() => void) => {
    const write = stream.write.bind(stream);
    stream.write = (text: string | Uint8Array): boolean => ((written[name] += String(text)), true);
    return () => (stream.write = write);
  };
  const restore = [catchInto(process.stdout, 'out'), catchInto(process.stderr, 'err')];
  const exitCodeBefore = process.exitCode;
  process.exitCode = 0;
  try {
    const program = new Command().exitOverride();
    registerContractCommand(program);
    await program.parseAsync(['contract', ...args], { from: 'user' });
    return { ...written, exitCode: process.exitCode };
  } finally {
    for (const undo of restore) undo();
    process.exitCode = exitCodeBefore;
  }
}

describe('tollbook contract', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tollbook-contract-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('check passes after write, and names the file that was changed since', async () => {
    expect(await run('write', '--dir', folder)).to.include({ exitCode: 0 });
    expect(await run('check', '--dir', folder)).to.include({ exitCode: 0, err: '' });
    const file = join(folder, 'usage-pending.schema.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"maximum"', '"maximun"'));
    const changed = await run('check', '--dir', folder);
    expect(changed.exitCode).to.equal(1);
    expect(changed.err).to.equal(`${file} is different; run \`tollbook contract write\`\n`);
  });

  it('validate accepts one JSON document over many lines', async () => {
    const file = join(folder, 'event.json');
    await writeFile(file, JSON.stringify(EXAMPLES.pending[0], null, 2));
    const result = await run('validate', '--topic', 'pending', file);
    expect(result).to.deep.equal({ exitCode: 0, out: '1 events, 1 valid, 0 invalid\n', err: '' });
  });

  it('validate reports every bad line of a file of events with its number', async () => {
    const file = join(folder, 'events.jsonl');
    const good = JSON.stringify(EXAMPLES.completed[0]);
    await writeFile(file, `${good}\n{"schema_version":9}\n\n${good}\n{broken\n`);
    const { exitCode, out, err } = await run('validate', '--topic', 'completed', file);
    expect(exitCode).to.equal(1);
    expect(out).to.equal('4 events, 2 valid, 2 invalid\n');
    expect(err).to.include(`${file}:2: UNKNOWN_SCHEMA_VERSION schema_version: found 9, allowed: 1\n`);
    expect(err).to.include(`${file}:5: INVALID_JSON not JSON: `);
  });

  it('validate names a file that cannot be read', async () => {
    const file = join(folder, 'absent.json');
    const outcome: unknown = await run('validate', '--topic', 'pending', file).catch((error: unknown) => error);
    expect(outcome).to.have.property('code', 'FILE_UNREADABLE');
    expect(outcome).to.have.property('message').that.includes(file);
  });

  it('validate refuses a topic that does not exist', async () => {
    const outcome: unknown = await run('validate', '--topic', 'other', 'x').catch((error: unknown) => error);
    expect(outcome)
      .to.have.property('message')
      .that.matches(/Allowed choices are pending, completed/);
  });
});
