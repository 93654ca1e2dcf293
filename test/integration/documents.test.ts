/**
 * Owns: that what README.md and the documents show can be copied: TypeScript has no type errors and publishes what is charged,
 * the commands of the README work on a ledger, and every other command is one that the program takes.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { Command } from 'commander';
import ts from 'typescript';
import { commandsFor } from '../../src/cli/command-modules.js';
import { startNode } from '../support/consume-child.js';
import { commandLines, documentBlocks } from '../support/document-blocks.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { testBrokers } from './kafka-topics.js';

const BLOCKS = documentBlocks();
const TYPESCRIPT = BLOCKS.filter(({ language }) => language === 'ts');
const COMMANDS = commandLines(BLOCKS, 'tollbook');
/** What is not run here: it starts or ends servers, runs until it is stopped, or has tests of its own that take longer. */
const NOT_RUN = ['stack', 'consume', 'migrate', 'topics', 'simulate', 'commands'];

const COMPILER: ts.CompilerOptions = {
  ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, noEmit: true, types: ['node'] },
  ...{ moduleResolution: ts.ModuleResolutionKind.NodeNext, strict: true, exactOptionalPropertyTypes: true },
  skipLibCheck: true,
};

/** Parses a call as the program does, without doing anything; throws what commander says. */
async function parse(args: readonly string[]): Promise<void> {
  const program = new Command('tollbook');
  for (const register of await commandsFor(args)) register(program);
  const prepare = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: () => undefined });
    if (command.commands.length === 0) command.action(() => undefined);
    for (const child of command.commands) prepare(child);
  };
  prepare(program);
  await program.parseAsync(args, { from: 'user' });
}

describe('the code that the documents show', function () {
  this.timeout(180_000);
  let world: LedgerWorld;
  let folder: string;

  before(async () => {
    // Within the package, so that it is found under its own name.
    folder = mkdtempSync(path.resolve('dist/documents-'));
    world = await LedgerWorld.create();
    await world.start();
  });
  after(async () => {
    rmSync(folder, { recursive: true });
    await world.close();
  });

  const ofReadme = commandLines(
    BLOCKS.filter(({ file }) => file === 'README.md'),
    'tollbook',
  );

  async function run(args: readonly string[]): Promise<void> {
    const settings = Object.entries(world.environment).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    );
    const { exitCode, stdout, stderr } = await runTollbook(
      args,
      Object.fromEntries(settings) as Record<string, string>,
    );
    expect(exitCode, `${args.join(' ')}\n${stdout}\n${stderr}`).to.equal(0);
  }

  it('is TypeScript without type errors', () => {
    expect(TYPESCRIPT).to.have.length.greaterThan(0);
    const files = TYPESCRIPT.map(({ text }, index) => {
      const file = path.join(folder, `block-${index}.mts`);
      writeFileSync(file, text);
      return file;
    });
    const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram(files, COMPILER));
    expect(diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).to.deep.equal([]);
  });

  it('publishes usage that is charged at what it costs, to a tenant that was credited', async () => {
    for (const args of ofReadme.filter(([name]) => name === 'credit')) await run(args);
    const [pending, completed] = world.topics;
    for (const [index, { text }] of TYPESCRIPT.entries()) {
      const wired = text.replace(
        `brokers: ['localhost:9092']`,
        `brokers: ${JSON.stringify(testBrokers())}, topics: ${JSON.stringify({ pending, completed })}`,
      );
      const file = path.join(folder, `block-${index}.mjs`);
      writeFileSync(file, ts.transpile(wired, { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }));
      const child = startNode([file], {});
      expect(await child.ended, child.log()).to.equal(0);
    }
    await world.drain();
    const charged = await world.rows<object>(
      `SELECT tenant_id, trace_id, status, amount FROM ledger_entries WHERE type = 'DEDUCT'`,
    );
    // 300 × 0.00025 + 900 cached × 0.000025 + 85 × 0.002, per 1,000.
    const expected = { tenant_id: 'acme', trace_id: 'req-4711', status: 'COMMITTED', amount: '0.000267500' };
    expect(charged).to.deep.equal([expected]);
  });

  it('has commands in the README that work, in their order', async () => {
    const wanted = ofReadme.filter(([name = '']) => !NOT_RUN.includes(name));
    expect(wanted.map(([name]) => name)).to.include.members(['credit', 'account', 'refund', 'verify', 'audit']);
    for (const args of wanted) await run(args);
  });

  it('has no command that the program does not take', async () => {
    expect(COMMANDS).to.have.length.greaterThan(20);
    for (const args of COMMANDS) {
      const refused = await parse(args).then(
        () => undefined,
        (error: unknown) => String(error),
      );
      expect(refused, args.join(' ')).to.equal(undefined);
    }
  });

  it('makes targets that the Makefile has', () => {
    const makefile = readFileSync('Makefile', 'utf8');
    const targets = commandLines(BLOCKS, 'make').map(([target = '']) => target);
    expect(targets).to.include.members(['demo', 'test', 'build']);
    for (const target of targets) expect(makefile, target).to.match(new RegExp(`^${target}:`, 'm'));
  });
});
