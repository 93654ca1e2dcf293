/** Owns: what `tollbook dead-letters` refuses: a message that says what is allowed, an exit code, and nothing written. */
import { expect } from 'chai';
import type pg from 'pg';
import { insertRow } from '../support/ledger-rows.js';
import { createTestDatabase, openApplicationPool, type TestDatabase } from '../support/test-database.js';
import { runTollbook } from '../support/tollbook-cli.js';

const BY_OPS = ['--actor', 'ops'];
const BECAUSE = ['--reason', 'the gateway was repaired'];
/** No dead letter stands there; the one of the tests is at offset 7. */
const NOWHERE = 'usage.completed/0/8';

const REFUSALS: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ['a reason there is not', ['list', '--reason', 'BAD_LUCK'], 2, /'--reason <code>'.*BAD_LUCK.*INVALID_JSON/s],
  ['a state there is not', ['list', '--state', 'closed'], 2, /'--state <state>'.*open, redriven, discarded, all/s],
  ['a limit of nothing', ['list', '--limit', '0'], 2, /'--limit <n>'.*from 1 to 1000/],
  ['a time without an offset', ['list', '--since', '2026-03-01T00:00:00'], 2, /'--since <time>'.*RFC 3339/],
  [
    'times that leave nothing',
    ['list', '--since', '2026-03-02T00:00:00Z', '--until', '2026-03-01T00:00:00Z'],
    2,
    /--until is 2026-03-01.*allowed: later than --since/,
  ],
  ['a tenant with a blank', ['list', '--tenant', 'a b'], 2, /'--tenant <tenant>'.*1 to 256 of/],
  ['half a position', ['show', 'usage.completed/0'], 2, /TOPIC\/PARTITION\/OFFSET, such as/],
  ['a negative offset', ['list', '--after', 'usage.completed/0/-1'], 2, /TOPIC\/PARTITION\/OFFSET, such as/],
  [
    'a position without a dead letter',
    ['show', 'usage.completed/0/8'],
    1,
    /DEAD_LETTER_UNKNOWN.*usage\.completed\/0\/8/,
  ],
  ['a cursor without a dead letter', ['list', '--after', 'usage.completed/0/8'], 1, /DEAD_LETTER_UNKNOWN/],
  ['raw bytes as JSON', ['show', 'usage.completed/0/7', '--raw', '--json'], 2, /cannot be used with option '--json'/],
  ['a command there is not', ['drop'], 2, /unknown command 'drop'/],
  ['a redrive without an actor', ['redrive', NOWHERE], 2, /required option '--actor <who>' not specified/],
  ['a discard without a reason', ['discard', NOWHERE, ...BY_OPS], 2, /required option '--reason <text>' not specified/],
  ['a discard for a blank reason', ['discard', NOWHERE, ...BY_OPS, '--reason', ' '], 2, /'--reason <text>'.*printable/],
  ['nothing to redrive', ['redrive', ...BY_OPS], 2, /no dead letter was named; allowed: positions.*--all/],
  ['nothing to discard', ['discard', ...BY_OPS, ...BECAUSE], 2, /no dead letter was named/],
  ['positions and a filter', ['redrive', NOWHERE, '--all', ...BY_OPS], 2, /positions and filters were given/],
  [
    'the code of a letter as the reason of a redrive',
    ['redrive', '--topic', 'usage.completed', '--yes', '--reason', 'INVALID_JSON', ...BY_OPS],
    2,
    /--reason is INVALID_JSON; .*--letter-reason INVALID_JSON/,
  ],
  [
    'a position without a dead letter',
    ['redrive', NOWHERE, ...BY_OPS],
    1,
    /DEAD_LETTER_UNKNOWN: .*usage\.completed\/0\/8/,
  ],
  ['a discard of half a position', ['discard', '0/0', ...BY_OPS, ...BECAUSE], 2, /TOPIC\/PARTITION\/OFFSET/],
  ['a discard as a dry run', ['discard', '--all', '--dry-run', ...BY_OPS, ...BECAUSE], 2, /unknown option '--dry-run'/],
];

describe('tollbook dead-letters refuses', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let pool: pg.Pool;

  before(async () => {
    database = await createTestDatabase();
    pool = openApplicationPool(database);
    await insertRow(pool, 'dead_letters');
  });

  after(async () => {
    await pool.end();
    await database.drop();
  });

  for (const [mistake, args, code, message] of REFUSALS) {
    it(`${mistake} with exit code ${code}, says what is allowed and writes nothing`, async () => {
      const { exitCode, stdout, stderr } = await runTollbook(['dead-letters', ...args], { DATABASE_URL: database.url });
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: code, stdout: '' });
      expect(stderr).to.match(message);
      const { rows } = await pool.query<object>(
        `SELECT redrive_state, (SELECT count(*) FROM dead_letter_actions) AS actions,
           (SELECT count(*) FROM stream_cursors) AS cursors FROM dead_letters`,
      );
      expect(rows).to.deep.equal([{ redrive_state: 'open', actions: '0', cursors: '0' }]);
    });
  }
});
