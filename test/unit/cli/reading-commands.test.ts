/** Owns: what the reading commands refuse before they ask any server. */
import { expect } from 'chai';
import { Command, CommanderError } from 'commander';
import { registerAccountShowCommands } from '../../../src/cli/account-show-command.js';
import { registerEntriesCommand } from '../../../src/cli/entries-command.js';
import { registerTraceShowCommand } from '../../../src/cli/trace-show-command.js';
import { isTollbookError } from '../../../src/runtime/errors.js';

/** The message with which a call is refused as wrong usage; fails when it is not. */
async function refusalOf(line: string): Promise<string> {
  const program = new Command('tollbook').configureOutput({ writeErr: () => undefined }).exitOverride();
  for (const register of [registerAccountShowCommands, registerEntriesCommand, registerTraceShowCommand]) {
    register(program);
  }
  const problem: unknown = await program.parseAsync(line.split(' '), { from: 'user' }).catch((error: unknown) => error);
  if (problem instanceof CommanderError || isTollbookError(problem, 'USAGE_INVALID')) return problem.message;
  throw problem;
}

const OF_TENANT = 'entries list --tenant acme';

describe('the commands that read the ledger, called wrongly,', () => {
  const REFUSALS: readonly (readonly [line: string, message: RegExp])[] = [
    ['account show', /missing required argument 'tenant'/],
    ['account show {acme}', /argument 'tenant'.*allowed: 1 to 256 of A-Z/],
    ['account show acme --at yesterday', /'--at <time>' argument 'yesterday'.*allowed: an RFC 3339 time/],
    ['account list --limit 0', /'--limit <n>'.*allowed: a whole number from 1 to 1000/],
    ['account list --below 1e3', /'--below <decimal>'.*expected a decimal string such as "12\.5"/],
    ['account list --after a,b', /'--after <tenant>'.*allowed: 1 to 256/],
    ['entries list', /required option '--tenant <id>' not specified/],
    [`${OF_TENANT} --type deduct`, /'--type <type>'.*Allowed choices are DEDUCT, CREDIT/],
    [`${OF_TENANT} --status OPEN`, /'--status <status>'.*Allowed choices are PENDING, REFUSED/],
    [`${OF_TENANT} --by guess`, /'--by <time>'.*Allowed choices are occurred, recorded/],
    [`${OF_TENANT} --limit 1001`, /'--limit <n>'.*from 1 to 1000/],
    [`${OF_TENANT} --after -1`, /'--after <seq>'.*allowed: a whole number from 0/],
    [`${OF_TENANT} --since 2026-02-30T00:00:00Z`, /'--since <time>'.*real calendar day/],
    [
      `${OF_TENANT} --since 2026-03-02T00:00:00Z --until 2026-03-01T00:00:00Z`,
      /^--until is 2026-03-01T00:00:00.000Z; allowed: a time after --since, which is 2026-03-02/,
    ],
    [`${OF_TENANT} --json --csv`, /option '--json' cannot be used with option '--csv'/],
    ['trace show stream', /required option '--tenant <id>' not specified/],
    ['trace show ~~~ --tenant acme', /argument 'trace'.*before it ~ for the entry of a command/],
  ];
  for (const [line, message] of REFUSALS) {
    it(`refuse ${line}, and say what is allowed`, async () => expect(await refusalOf(line)).to.match(message));
  }
});
