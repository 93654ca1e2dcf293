/** Owns: that a ledger which was put back to an earlier state is noticed, by a process that saw more and by one that did not. */
import { expect } from 'chai';
import { HistoryWatch } from '../../src/command-journal/history-watch.js';
import type { CreditCommand } from '../../src/ledger/commands/command.js';
import { commandSource } from '../../src/ledger/commands/command-stream.js';
import { parseAmount } from '../../src/ledger/money.js';
import { rowsThrough } from '../../src/ledger/postgres/anchor-rows.js';
import { systemClock } from '../../src/runtime/clock.js';
import { createLogger } from '../../src/runtime/logger.js';
import { Forgery } from '../support/forgery.js';
import { JournalWorld } from '../support/journal-world.js';
import { RedriveWorld } from '../support/redrive-world.js';

const HOUR_MS = 3_600_000;

describe('a ledger that was put back to an earlier state', function () {
  this.timeout(120_000);
  const log: { readonly level: number; readonly msg: string }[] = [];

  beforeEach(() => void log.splice(0));

  function watchOf(options: Pick<ConstructorParameters<typeof HistoryWatch>[0], 'rows' | 'journal'>): HistoryWatch {
    const write = (line: string): void => void log.push(JSON.parse(line) as (typeof log)[number]);
    const logger = createLogger({ level: 'info' }, { write });
    return new HistoryWatch({
      ...options,
      clock: systemClock,
      logger,
      intervalMs: HOUR_MS,
      journalEveryMs: 0,
      alarmEveryMs: HOUR_MS,
    });
  }

  const errors = (): string[] => log.filter(({ level }) => level >= 50).map(({ msg }) => msg);

  it('has its lost commands named by batch, also by a process that starts later, until they are booked again', async () => {
    const world = await JournalWorld.create();
    const { ledger, topic } = world;
    const credit = (key: string): CreditCommand => ({
      ...{ kind: 'credit', tenantId: 'acme', key, amountNano: parseAmount('1'), actor: 'ops', reason: 'r' },
    });
    await world.book(credit('kept'));
    const forgery = await Forgery.open(ledger.database);
    for (const key of ['lost-1', 'lost-2']) await world.book(credit(key));
    await world.publish();
    const options = { rows: rowsThrough(ledger.pool), journal: { kafka: ledger.kafka, topic } };
    const witness = watchOf(options);
    await witness.look();
    expect(witness.lost()).to.deep.equal([]);
    await forgery.restore();
    await world.book(credit('new'));

    const { partition } = commandSource('acme');
    const range = `batches 2 to 3 of ~commands/${partition} are gone; run "tollbook commands replay"`;
    const later = watchOf(options);
    for (const watch of [witness, later]) {
      await watch.look();
      expect(watch.lost().map(({ from, to }) => [from, to])).to.deep.equal([[2, 3]]);
      expect(errors().splice(0)).to.deep.equal([`PostgreSQL was put back to an earlier state: ${range}`]);
      await watch.look();
      expect(watch.lost()).to.have.length(1);
      log.splice(0);
    }
    expect(await world.replay()).to.include({ exitCode: 0, booked: 2, already_booked: 1 });
    for (const watch of [witness, later, watchOf(options)]) {
      await watch.look();
      expect(watch.lost()).to.deep.equal([]);
    }
    expect(errors()).to.deep.equal([]);
    await forgery.close();
    await world.close();
  });

  it('has its lost redrives named, with what to do about them', async () => {
    const letters = await RedriveWorld.open();
    const dead = await letters.buryOld(letters.world.tenant(), 2);
    const forgery = await Forgery.open(letters.world.database);
    await letters.redrive(dead);
    const watch = watchOf({ rows: rowsThrough(letters.world.pool), journal: undefined });
    await watch.look();
    await forgery.restore();
    await watch.look();
    expect(watch.lost().map(({ source, from, to }) => [source.topic, from, to])).to.deep.equal([['~redrive', 1, 1]]);
    expect(errors()).to.have.length(1);
    expect(errors()[0]).to.match(/batches 1 to 1 of ~redrive\/\d+ are gone; redrive the dead letters/);
    await forgery.close();
    await letters.close();
  });
});
