/**
 * Owns: `tollbook dead-letters redrive | amend | discard` behind their flags: walking the selection, and telling what it came to.
 * Does not own: the redrive (consumers/redrive.ts), the discard (ledger/discard-letters.ts), the flags.
 * Invariants: what is refused is refused before anything is written; memory is bounded, so of many letters only the first
 * are told one by one; the exit code is 0 when nothing that was asked for is left undone.
 */
import type pg from 'pg';
import { amendLetter } from '../consumers/amend-letter.js';
import { redriveLetters } from '../consumers/redrive.js';
import { kindOf, type LetterRedrive, type RedrivePorts } from '../consumers/redrive-attempt.js';
import { letterName, type LetterPosition, type LetterSummary, type RedriveOutcome } from '../ledger/dead-letter.js';
import { discardLetters } from '../ledger/discard-letters.js';
import { PostgresDeadLetterReader } from '../ledger/postgres/postgres-dead-letter-reader.js';
import { PostgresDeadLetterStore } from '../ledger/postgres/postgres-dead-letter-store.js';
import { assertPriceBook } from '../ledger/postgres/price-books.js';
import { QuotaScripts } from '../lua/quota-scripts.js';
import { systemClock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import { isTollbookError } from '../runtime/errors.js';
import { createLogger } from '../runtime/logger.js';
import { waitForRedis } from '../runtime/redis.js';
import { clockBeside } from '../runtime/postgres-time.js';
import { chargingParts } from './charging-parts.js';
import { assertNone, type LetterSelection, selectLetters, type SelectionFlags } from './dead-letter-selection.js';
import { visibleLine } from '../runtime/printable.js';
import { openRedis } from './ledger-process.js';
import { startProgress } from './progress.js';
import { printNote, printText } from './output.js';

/** The flags of a change. */
export interface ChangeFlags extends SelectionFlags {
  readonly actor: string;
  readonly reason?: string;
  readonly json?: boolean;
}

/** What a change runs on. */
export interface ChangeWorld {
  readonly config: Readonly<Config>;
  readonly pool: pg.Pool;
}

/** Letters told one by one; the others are counted. */
const LETTERS_TOLD_MAX = 1_000;
const REDIS_WAIT_MS = 2_000;

/** What became of one letter, as it is told. */
interface ToldLetter {
  readonly position: string;
  readonly result: 'redriven' | 'discarded' | 'alreadyRedriven' | 'alreadyDiscarded' | 'stillOpen';
  readonly outcome?: RedriveOutcome;
  readonly entry?: { readonly tenantId: string; readonly seq: number; readonly status: string };
  readonly reason?: string;
  readonly detail?: string;
}

/** Redrives the letters selected, and tells what they came to. */
export async function redrive(
  world: ChangeWorld,
  positions: readonly LetterPosition[],
  flags: ChangeFlags,
): Promise<void> {
  const selection = await selectLetters(new PostgresDeadLetterReader(world.pool), positions, flags);
  assertNone(selection, 'discarded');
  const { actor, reason = null, dryRun: isDryRun = false } = flags;
  await withRedrivePorts(
    world,
    { topics: selection.topics, writes: selection.total > 0 && !isDryRun },
    async (ports) => {
      const told = await walk(selection, { label: 'redriving', silent: flags.json === true }, async (letters) =>
        (await redriveLetters(ports, { letters, actor, reason, isDryRun })).map(toldRedrive),
      );
      tellRedrive(told, flags);
    },
  );
}

/** The flags of an amendment. */
export interface AmendFlags {
  readonly actor: string;
  readonly reason: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Charges the corrected copy of a letter, and tells what it came to. */
export async function amend(
  world: ChangeWorld,
  position: LetterPosition,
  order: AmendFlags & { readonly value: Buffer },
): Promise<void> {
  const { actor, reason, value, dryRun: isDryRun = false } = order;
  const selection = await selectLetters(new PostgresDeadLetterReader(world.pool), [position], {});
  assertNone(selection, 'discarded');
  await withRedrivePorts(world, { topics: [position.topic], writes: !isDryRun }, async (ports) => {
    const told = new Tally();
    for await (const letters of selection.pages()) {
      for (const letter of letters) {
        told.add([toldRedrive(await amendLetter(ports, { letter, value, actor, reason, isDryRun }))]);
      }
    }
    tellRedrive(told, order);
    if (told.has('alreadyRedriven')) await tellOtherCopy(world.pool, position, value);
  });
}

/** Whoever amends a letter again must not believe that this copy was charged. */
async function tellOtherCopy(pool: pg.Pool, position: LetterPosition, value: Buffer): Promise<void> {
  const action = (await new PostgresDeadLetterReader(pool).story(position))?.action;
  if (action?.action === 'redriven' && action.amendedValue?.equals(value) === true) return;
  const name = letterName(position);
  printNote(
    `${name} was redriven otherwise: this copy is not what was charged; see tollbook dead-letters show ${name}\n`,
  );
  process.exitCode = 1;
}

function tellRedrive(told: Tally, { json, dryRun }: Pick<AmendFlags, 'json' | 'dryRun'>): void {
  tell(told, { json: json === true, isDryRun: dryRun === true });
  if (told.has('stillOpen') && dryRun !== true) process.exitCode = 1;
}

async function withRedrivePorts(
  { config, pool }: ChangeWorld,
  { topics: asked, writes }: { readonly topics: readonly string[]; readonly writes: boolean },
  work: (ports: RedrivePorts) => Promise<void>,
): Promise<void> {
  const topics: RedrivePorts['topics'] = new Map([
    [config.topicPending, 'pending'],
    [config.topicCompleted, 'completed'],
  ]);
  for (const topic of asked) kindOf({ topics }, topic);
  if (config.priceBook !== '') await assertPriceBook(pool, config.priceBook, 'TOLLBOOK_PRICE_BOOK');
  const logger = createLogger({ level: 'warn', name: 'tollbook', pretty: true });
  const redis = openRedis(config, logger);
  const scripts = new QuotaScripts(redis, { prefix: config.redisPrefix, callSpan: config.redisCallSpan });
  const clock = clockBeside(pool, config.clockSkewMaxMs);
  const ports = {
    ...chargingParts(config, { scripts, logger, clock }),
    letters: new PostgresDeadLetterStore(pool),
    topics,
  };
  try {
    await clock.check();
    if (writes) await giveRedisTime(redis);
    await work(ports);
  } finally {
    redis.disconnect();
  }
}

/** Discards the letters selected, and tells what they came to. */
export async function discard(
  { pool }: ChangeWorld,
  positions: readonly LetterPosition[],
  flags: ChangeFlags & { readonly reason: string },
): Promise<void> {
  const selection = await selectLetters(new PostgresDeadLetterReader(pool), positions, flags);
  assertNone(selection, 'redriven');
  const ports = { letters: new PostgresDeadLetterStore(pool), clock: systemClock };
  const { actor, reason } = flags;
  const told = await walk(selection, { label: 'discarding', silent: flags.json === true }, async (letters) =>
    (await discardLetters(ports, { positions: letters, actor, reason })).map(
      ({ position, kind, state }): ToldLetter => ({
        position: letterName(position),
        result: kind === 'discarded' ? 'discarded' : state === 'redriven' ? 'alreadyRedriven' : 'alreadyDiscarded',
      }),
    ),
  );
  tell(told, { json: flags.json === true, isDryRun: false });
  if (told.has('alreadyRedriven')) process.exitCode = 1;
}

/** Without Redis the locked accounts decide, as in consuming: no reason to refuse a redrive. */
async function giveRedisTime(redis: Parameters<typeof waitForRedis>[0]): Promise<void> {
  try {
    await waitForRedis(redis, REDIS_WAIT_MS);
  } catch (error) {
    if (!isTollbookError(error, 'REDIS_UNAVAILABLE')) throw error;
    process.stderr.write('Redis does not answer: PostgreSQL decides\n');
  }
}

async function walk(
  selection: LetterSelection,
  { label, silent }: { label: string; silent: boolean },
  change: (letters: readonly LetterSummary[]) => Promise<ToldLetter[]>,
): Promise<Tally> {
  const tally = new Tally();
  const isShort = selection.total <= LETTERS_TOLD_MAX;
  const progress = startProgress({ label, total: selection.total, unit: 'dead letters', silent: silent || isShort });
  try {
    for await (const letters of selection.pages()) {
      tally.add(await change(letters));
      progress.set(tally.letters);
    }
  } finally {
    progress.stop();
  }
  return tally;
}

function toldRedrive(redriven: LetterRedrive): ToldLetter {
  const position = letterName(redriven.position);
  switch (redriven.kind) {
    case 'redriven': {
      const { outcome, entry } = redriven;
      return { position, result: 'redriven', outcome, ...(entry === undefined ? {} : { entry }) };
    }
    case 'closed':
      return { position, result: redriven.state === 'redriven' ? 'alreadyRedriven' : 'alreadyDiscarded' };
    case 'stillDead':
      return { position, result: 'stillOpen', reason: redriven.reason, detail: redriven.detail };
  }
}

/** Counts what letters came to, and keeps the first of them. */
class Tally {
  readonly told: ToldLetter[] = [];
  readonly results: Partial<Record<ToldLetter['result'], number>> = {};
  readonly outcomes: Partial<Record<RedriveOutcome, number>> = {};
  letters = 0;

  add(letters: readonly ToldLetter[]): void {
    this.letters += letters.length;
    this.told.push(...letters.slice(0, LETTERS_TOLD_MAX - this.told.length));
    for (const { result, outcome } of letters) {
      this.results[result] = (this.results[result] ?? 0) + 1;
      if (outcome !== undefined) this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
    }
  }

  has(result: ToldLetter['result']): boolean {
    return this.results[result] !== undefined;
  }
}

function tell(tally: Tally, { json, isDryRun }: { json: boolean; isDryRun: boolean }): void {
  const { letters, told, results, outcomes } = tally;
  const leftOff = letters - told.length;
  if (json) {
    const document = { dryRun: isDryRun, selected: letters, results, outcomes, letters: told, lettersLeftOff: leftOff };
    printText(`${JSON.stringify(document)}\n`);
    return;
  }
  const lines = told.map((letter) => `${letter.position}  ${wordsOf(letter, isDryRun)}`);
  if (leftOff > 0) lines.push(`… and ${leftOff} more`);
  lines.push(summaryOf(tally, isDryRun));
  printText(`${lines.join('\n')}\n`);
}

function wordsOf({ result, outcome, entry, reason, detail }: ToldLetter, isDryRun: boolean): string {
  switch (result) {
    case 'redriven': {
      const became = entry === undefined ? '' : ` as ${entry.tenantId}#${entry.seq} ${entry.status}`;
      return `${isDryRun ? 'would be redriven' : 'redriven'}: ${outcome ?? ''}${became}`;
    }
    case 'discarded':
      return 'discarded';
    case 'alreadyRedriven':
      return 'was redriven before';
    case 'alreadyDiscarded':
      return 'was discarded before';
    case 'stillOpen':
      return `stays open: ${reason ?? ''}: ${visibleLine(detail ?? '')}`;
  }
}

function summaryOf({ letters, results, outcomes }: Tally, isDryRun: boolean): string {
  if (letters === 0) return 'no open dead letter matches: nothing to do';
  const parts = [
    ...Object.entries(outcomes).map(([outcome, count]) => `${count} ${isDryRun ? 'would be ' : ''}${outcome}`),
    ...(results.discarded === undefined ? [] : [`${results.discarded} discarded`]),
    ...(results.alreadyRedriven === undefined ? [] : [`${results.alreadyRedriven} redriven before`]),
    ...(results.alreadyDiscarded === undefined ? [] : [`${results.alreadyDiscarded} discarded before`]),
    ...(results.stillOpen === undefined ? [] : [`${results.stillOpen} still open`]),
  ];
  return `${letters} dead letter${letters === 1 ? '' : 's'}: ${parts.join(', ')}${isDryRun ? '; nothing written' : ''}`;
}
