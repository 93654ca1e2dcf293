/**
 * Owns: fault points: named places between two steps of a protocol, at which a test makes its process die, hang, fail or
 * wait; and how they are armed.
 * Does not own: what an end at a point leaves behind, and what mends it (docs/failure-windows.md, test/fault).
 * Invariants: a point that is not armed does nothing and costs one comparison; the names are a closed set; with
 * NODE_ENV=production nothing is armed without a second flag, so that no stray variable can end a ledger; a point that
 * acts says so on stderr first, so that whoever armed it knows where the process stands.
 */
import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ERROR_CODES, type ErrorCode, TollbookError } from './errors.js';

/** Every fault point, and between which steps it stands: the numbers are those of the header of the module named. */
export const FAULT_POINTS = {
  'charge.decoded': 'charge-protocol.ts, 1 to 2',
  'database.begun': 'every database transaction, begun: charge-protocol.ts, in 2',
  'ledger.cursor-locked': 'charge-protocol.ts, 2 to 3; book-command.ts, in 1; expiry.ts, 1 to 2',
  'ledger.accounts-locked': 'charge-protocol.ts, 3 to 4; book-command.ts, 3 to 4; expiry.ts, in 2',
  'charge.decided': 'charge-protocol.ts, 4 to 5',
  'charge.asked': 'charge-protocol.ts, 5 to 6',
  'ledger.entries-written': 'entries written, accounts, seal and cursor not yet: charge-protocol.ts, in 6',
  'database.before-commit': 'every database transaction, all written: charge-protocol.ts, in 6',
  'database.committed': 'every database transaction, committed: charge-protocol.ts, 6 to 7',
  'charge.woken': 'charge-protocol.ts, after 7: the offset is not yet committed to Kafka',
  'charge.hinted': 'usage-consumer.ts: the offset is committed to Kafka',
  'command.booked': 'a command is committed, neither projected nor answered',
  'journal.published': 'journal-follower.ts, 3 to 4: Kafka has the commands, the position is not moved',
  'expiry.found': 'hold-expiry.ts: holds found due, not yet booked',
  'expiry.booked': 'hold-expiry.ts: booked, the projector not yet woken',
  'projection.versions-read': 'projection.ts, 1 to 2',
  'projection.ledger-read': 'projection.ts, 2 to 3',
  'projection.inflight-read': 'projection.ts, 3 to 4',
  'projection.projected': 'projection.ts, after 4',
  'sweep.compared': 'projector.ts: hashes behind their ledger found, not yet marked',
  'sweep.inflight-found': 'inflight-sweeper.ts: stale items found, not yet dropped',
  'prices.compared': 'import-prices.ts: the version is made, nothing is written',
  'prices.written': 'import-prices.ts: the version is committed, not yet answered',
  'publish.taken': 'usage-publisher.ts, in 5: a batch left the buffer, Kafka does not have it',
  'publish.stored': 'usage-publisher.ts, in 5: Kafka has the batch, no promise is resolved',
} as const;

/** Every point at which one of several things can be made poison. Nothing else acts there. */
export const POISON_POINTS = {
  'charge.decoding': 'charge-protocol.ts, in 1: by the offset of a message',
  'charge.deciding': 'charge-protocol.ts, in 4: by the trace of an event',
} as const;

/** One word of the closed set of fault points. */
export type FaultPoint = keyof typeof FAULT_POINTS;

/** One word of the closed set of points for poison. */
export type PoisonPoint = keyof typeof POISON_POINTS;

type FaultAction =
  | { readonly kind: 'kill' }
  | { readonly kind: 'hang' }
  | { readonly kind: 'throw'; readonly code: ErrorCode }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'poison'; readonly name: string };

interface ArmedFault {
  readonly point: FaultPoint | PoisonPoint;
  readonly action: FaultAction;
  /** At which pass it acts, from 1; undefined: at every one. */
  readonly pass: number | undefined;
  passes: number;
}

const VARIABLE = 'TOLLBOOK_FAULTS';
const PRODUCTION_FLAG = 'TOLLBOOK_FAULTS_IN_PRODUCTION';
const FAULT = /^([a-z.-]+)=(kill|hang|throw:([A-Z_]+)|delay:(\d{1,6})|poison:([\w./:-]+\*?|\*))(?:@([1-9]\d{0,8}))?$/;
const ALLOWED =
  'allowed: POINT=kill, POINT=hang, POINT=throw:CODE, POINT=delay:MS or POINT=poison:NAME, each with @N for the Nth pass alone';

let armed: ReadonlyMap<FaultPoint | PoisonPoint, ArmedFault> | undefined;

/** Stands between two steps: undefined unless armed; throws or rejects with the armed error code. */
export function faultPoint(point: FaultPoint): Promise<void> | undefined {
  return armed === undefined ? undefined : act(armed.get(point));
}

/**
 * Stands where something is done with each of several things, named by `names`: throws a TypeError when one of them is the
 * poison that is armed, as a bug would that only this one meets. Unless armed, nobody is asked for a name.
 */
export function poisonPoint(point: PoisonPoint, names: () => Iterable<string>): void {
  const fault = armed?.get(point);
  if (fault?.action.kind !== 'poison') return;
  const { name } = fault.action;
  for (const found of names()) {
    const isPoison = name.endsWith('*') ? found.startsWith(name.slice(0, -1)) : found === name;
    if (isPoison) throwTypeError(point, found);
  }
}

/** Throws what the engine throws for a bug of ours: no code, no disposition. */
function throwTypeError(point: PoisonPoint, found: string): void {
  writeSync(process.stderr.fd, `fault point ${point}: poison ${found}\n`);
  Reflect.get(undefined as unknown as object, found);
}

/**
 * Arms fault points, such as `charge.asked=kill@3,database.committed=delay:500`; replaces what was armed before.
 *
 * - `kill` ends the process as SIGKILL does; `hang` stops all of it until SIGCONT;
 * - `throw:CODE` fails with that error code; `delay:MS` waits so many milliseconds;
 * - `poison:NAME` throws a TypeError for what has that name, or begins with it when a `*` follows: at the points for poison alone;
 * - `@N` acts at the Nth pass alone, without it every pass does.
 *
 * Throws CONFIG_INVALID naming every part that is not understood.
 */
export function armFaults(text: string): void {
  const parts = text.split(',').filter((part) => part !== '');
  const faults = parts.map(readFault);
  const problems = parts.filter((_part, index) => faults[index] === undefined);
  if (problems.length > 0) {
    throw new TollbookError(
      'CONFIG_INVALID',
      `${VARIABLE}: found ${problems.map((part) => JSON.stringify(part)).join(', ')}; ${ALLOWED}; ` +
        `points: ${Object.keys(FAULT_POINTS).join(', ')}; for poison: ${Object.keys(POISON_POINTS).join(', ')}`,
    );
  }
  armed = new Map(faults.flatMap((fault) => (fault === undefined ? [] : [[fault.point, fault]])));
}

/** Makes every fault point do nothing again. */
export function disarmFaults(): void {
  armed = undefined;
}

/** Arms what TOLLBOOK_FAULTS names. Throws CONFIG_INVALID; in production also for want of the second flag. */
export function armFaultsFrom(environment: Readonly<Record<string, string | undefined>>): void {
  const text = environment[VARIABLE] ?? '';
  if (text === '') return;
  if (environment['NODE_ENV'] === 'production' && environment[PRODUCTION_FLAG] !== 'yes') {
    throw new TollbookError(
      'CONFIG_INVALID',
      `${VARIABLE} is set, and NODE_ENV is production: unset it, or set ${PRODUCTION_FLAG}=yes to break this process on purpose`,
    );
  }
  armFaults(text);
}

function readFault(part: string): ArmedFault | undefined {
  const [, point = '', word = '', code = '', ms = '', name, pass] = FAULT.exec(part) ?? [];
  const at = { pass: pass === undefined ? undefined : Number(pass), passes: 0 };
  if (name !== undefined) return isPoisonPoint(point) ? { point, action: { kind: 'poison', name }, ...at } : undefined;
  const action = actionOf(word, code, ms);
  return isFaultPoint(point) && action !== undefined ? { point, action, ...at } : undefined;
}

function actionOf(word: string, code: string, ms: string): FaultAction | undefined {
  if (word === 'kill' || word === 'hang') return { kind: word };
  if (ms !== '') return { kind: 'delay', ms: Number(ms) };
  return isErrorCode(code) ? { kind: 'throw', code } : undefined;
}

function isFaultPoint(name: string): name is FaultPoint {
  return Object.hasOwn(FAULT_POINTS, name);
}

function isPoisonPoint(name: string): name is PoisonPoint {
  return Object.hasOwn(POISON_POINTS, name);
}

function isErrorCode(name: string): name is ErrorCode {
  return Object.hasOwn(ERROR_CODES, name);
}

async function act(fault: ArmedFault | undefined): Promise<void> {
  if (fault === undefined) return;
  fault.passes += 1;
  if (fault.pass !== undefined && fault.pass !== fault.passes) return;
  const { point, action } = fault;
  if (action.kind === 'poison') return;
  writeSync(process.stderr.fd, `fault point ${point}: ${action.kind} at pass ${fault.passes}\n`);
  switch (action.kind) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      return new Promise(() => undefined);
    case 'hang':
      process.kill(process.pid, 'SIGSTOP');
      return;
    case 'throw':
      throw new TollbookError(action.code, `fault point ${point}`);
    case 'delay':
      await delay(action.ms);
  }
}
