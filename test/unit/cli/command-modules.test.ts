/** Owns: a call loads the modules of its command and no others, and finds there what the whole program has. */
import 'reflect-metadata';
import { expect } from 'chai';
import { Command } from 'commander';
import { COMMAND_MODULES, commandsFor } from '../../../src/cli/command-modules.js';

async function programFor(args: readonly string[]): Promise<Command> {
  const program = new Command('tollbook');
  for (const register of await commandsFor(args)) register(program);
  return program;
}

const NAMES = [...new Set(COMMAND_MODULES.flatMap(({ names }) => names))];

describe('the modules of the commands', () => {
  it('are all loaded for help and for a name that does not exist, and name every command there is', async () => {
    for (const args of [[], ['--help'], ['no-such-command']]) {
      const { commands } = await programFor(args);
      expect(commands.map((command) => command.name())).to.have.members(NAMES);
    }
  });

  it('give a command alone the help that it has in the whole program', async () => {
    const whole = await programFor([]);
    const helpIn = (program: Command, name: string): string | undefined =>
      program.commands.find((command) => command.name() === name)?.helpInformation();
    for (const name of NAMES) {
      const alone = await programFor(['--json', name, 'more']);
      expect(helpIn(alone, name), name).to.equal(helpIn(whole, name)).and.to.be.a('string');
    }
  });
});
