/** Owns: the command line of `tollbook simulate`, as far as it goes without Kafka. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Command } from 'commander';
import { registerSimulateCommand } from '../../../src/cli/simulate-command.js';
import { isTollbookError } from '../../../src/runtime/errors.js';

async function run(...words: string[]): Promise<string> {
  let printed = '';
  const program = new Command('tollbook').configureOutput({ writeOut: (text) => (printed += text) }).exitOverride();
  registerSimulateCommand(program);
  await program.parseAsync(['simulate', ...words], { from: 'user' });
  return printed;
}

async function refusal(...words: string[]): Promise<string> {
  const problem: unknown = await run(...words).catch((error: unknown) => error);
  expect(isTollbookError(problem, 'USAGE_INVALID'), words.join(' ')).to.equal(true);
  return problem instanceof Error ? problem.message : '';
}

describe('tollbook simulate', () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tollbook-simulate-'));
  });

  after(() => rm(folder, { recursive: true }));

  it('names the option, the value found and what is allowed, before it asks for Kafka', async () => {
    expect(await refusal('--requests', 'many')).to.equal(
      '--requests is "many"; allowed: a non-negative number such as 20 or 0.05',
    );
    expect(await refusal('--duplicates', '2')).to.equal('--duplicates is 2; allowed: a number from 0 to 1');
    expect(await refusal('--rate', '-5')).to.match(/^--rate is "-5"; allowed/);
    expect(await refusal('--reorder', 'some')).to.equal('--reorder is some; allowed: none, local, full');
    expect(await refusal('--end-at', 'yesterday')).to.match(/^--end-at is "yesterday"; allowed: an RFC 3339 time/);
  });

  it('prints one JSON object and writes the same expectation with its tenants to a file', async () => {
    const out = join(folder, 'expectation.json');
    const words = ['--plan-only', '--json', '--requests', '500', '--tenants', '7', '--end-at', '2026-03-31T09:30:00Z'];
    const printed = JSON.parse(await run(...words, '--out', out)) as Record<string, unknown>;
    const written = JSON.parse(await readFile(out, 'utf8')) as Record<string, object>;
    expect(printed).to.deep.equal({ ...written, tenants: 7, report: null, out });
    expect(Object.keys(written['tenants'] ?? {})).to.have.length(7);
  });

  it('prints a table of what the ledger must say', async () => {
    const printed = await run('--plan-only', '--requests', '100', '--out', join(folder, 'table.json'));
    expect(printed).to.contain('charged (committed)').and.to.contain('sent none');
    expect(printed).to.match(
      /usage reported in the providers' shapes: OpenAI chat \d+, .*Gemini \d+.*; \d+ streams cut/,
    );
  });
});
