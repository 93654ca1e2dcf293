/**
 * Owns: that the bounds against forged events put aside what breaks them, each with its reason, that a redrive charges it once
 * the bound allows it, and that neither a reconciliation nor a replay takes a bound of then for a difference.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { readAllowedProducers } from '../../src/cli/allowed-producers.js';
import type { LetterSummary } from '../../src/ledger/dead-letter.js';
import { parseAmount } from '../../src/ledger/money.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { batchOf, type ProtocolWorld } from '../support/protocol-world.js';
import { ReconcileWorld } from '../support/reconcile-world.js';
import { briefly, RedriveWorld } from '../support/redrive-world.js';
import { replayWorld, toldOf } from '../support/shadow-samples.js';
import { completion } from '../support/usage-messages.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const LIMITS = { eventBytesMax: 64 * 1024, eventAgeMaxMs: 40 * 24 * 3_600_000 };
const COST_MAX = { costMaxNano: parseAmount('5') };

function producer(instance: string): WireEvent {
  return { stream: true, producer: { instance, epoch: 1, seq: 0 } };
}

describe('bounds against forged events', function () {
  this.timeout(120_000);
  let redrive: RedriveWorld;
  let world: ProtocolWorld;

  before(async () => {
    redrive = await RedriveWorld.open();
    world = redrive.world;
    for (const tenantId of ['costly', 'listed', 'keyed']) await world.credit(tenantId, '100');
  });
  after(() => redrive.close());

  /** Charges events under bounds; returns the letters, in the order of the events. */
  async function lettersOf(
    events: readonly WireEvent[],
    parts: Parameters<ProtocolWorld['protocol']>[0],
    kind: 'pending' | 'completed' = 'completed',
  ): Promise<LetterSummary[]> {
    const chunk = world.stream(kind).chunk(events);
    batchOf(await world.protocol(parts).charge(chunk));
    return redrive.reader.at(chunk.messages.map(({ kafkaOffset }) => ({ ...chunk.source, kafkaOffset })));
  }

  async function redriven(letters: readonly LetterSummary[]): Promise<string[]> {
    return (await redrive.redrive(letters)).map(briefly);
  }

  it('put aside what costs more than one event may, completed or pending, and charge what costs just as much', async () => {
    const event = (traceId: string, units: number): WireEvent => wireCompleted({ tenantId: 'costly', traceId, units });
    const letters = await lettersOf([event('at', 5), event('above', 6)], { bounds: COST_MAX });
    const pending = wirePending({ tenantId: 'costly', traceId: 'held', units: 6 });
    const holds = await lettersOf([pending], { bounds: COST_MAX }, 'pending');
    expect([...letters, ...holds].map(({ reason, traceId }) => `${reason} ${traceId}`)).to.deep.equal([
      'COST_TOO_LARGE above',
      'COST_TOO_LARGE held',
    ]);
    expect(letters[0]?.detail).to.equal(
      'the cost is 6.000000000; allowed: at most 5.000000000 (TOLLBOOK_EVENT_COST_MAX)',
    );
    expect((await redriven(letters))[0]).to.match(/^charged costly#\d+ COMMITTED$/);
  });

  it('open no account for an unknown tenant, and charge its events by a redrive once it is opened', async () => {
    const event = wireCompleted({ tenantId: 'stranger', traceId: 'first', fields: { stream: true } });
    const letters = await lettersOf([event], { bounds: { opensNoAccount: true } });
    expect(letters.map(({ reason }) => reason)).to.deep.equal(['UNKNOWN_TENANT']);
    expect(await world.account('stranger')).to.equal(undefined);
    await world.credit('stranger', '10');
    expect(await redriven(letters)).to.deep.equal(['charged stranger#3 COMMITTED']);
  });

  it('put aside what another instance publishes for a tenant whose producers are listed', async () => {
    const allowedProducers = new Map([['listed', new Set(['gateway-1'])]]);
    const event = (traceId: string, fields: WireEvent): WireEvent =>
      wireCompleted({ tenantId: 'listed', traceId, fields });
    const letters = await lettersOf(
      [
        event('own', producer('gateway-1')),
        event('other', producer('gateway-2')),
        event('none', { stream: true }),
        wireCompleted({ tenantId: 'costly', traceId: 'free', fields: producer('gateway-2') }),
      ],
      { limits: { ...LIMITS, allowedProducers } },
    );
    expect(letters.map(({ reason, traceId }) => `${reason} ${traceId}`)).to.deep.equal([
      'PRODUCER_NOT_ALLOWED other',
      'PRODUCER_NOT_ALLOWED none',
    ]);
    expect(letters[0]?.detail).to.equal('producer.instance is gateway-2; allowed for listed: gateway-1');
  });

  it('put aside a message under another key than its tenant', async () => {
    const event = wireCompleted({ tenantId: 'keyed', traceId: 'unkeyed', fields: { stream: true } });
    const letters = await lettersOf([event], { limits: { ...LIMITS, keyMustBeTenant: true } });
    expect(letters.map(({ reason }) => reason)).to.deep.equal(['KEY_NOT_TENANT']);
    expect((await redriven(letters))[0]).to.match(/^charged keyed#\d+ COMMITTED$/);
  });

  it('make no difference in a replay, whatever they are set to by then', async () => {
    const now = { bounds: { costMaxNano: parseAmount('0.5'), opensNoAccount: true } };
    for (const charging of [{}, now, { limits: { ...LIMITS, keyMustBeTenant: true } }]) {
      const found = await replayWorld(world, { charging });
      expect(toldOf(found)).to.deep.equal([]);
      expect(found.comparison.differences.total).to.equal(0);
    }
  });

  it('read the producers of a tenant from a file, and refuse one of another form', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'producers-'));
    const file = path.join(folder, 'producers.json');
    try {
      writeFileSync(file, '{"acme":["gateway-1"],"constructor":[]}');
      const allowed = readAllowedProducers(file);
      expect([...allowed.keys()]).to.deep.equal(['acme', 'constructor']);
      expect(allowed.get('toString')).to.equal(undefined);
      for (const text of ['[]', '{"acme":"gateway-1"}', '{"acme":[],"acme":[]}', '{']) {
        writeFileSync(file, text);
        expect(() => readAllowedProducers(file)).to.satisfy((read: () => unknown) => {
          try {
            read();
          } catch (error) {
            return isTollbookError(error, 'FILE_UNREADABLE');
          }
          return false;
        });
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a reconciliation of events that broke a bound', function () {
  this.timeout(120_000);
  let world: ReconcileWorld;

  before(async () => {
    const settings = {
      TOLLBOOK_EVENT_COST_MAX: '0.01',
      TOLLBOOK_AUTO_OPEN_ACCOUNTS: 'false',
      TOLLBOOK_KEY_MUST_BE_TENANT: 'true',
    };
    world = await ReconcileWorld.open({ settings });
  });
  after(() => world.close());

  it('finds them equal: the bounds are those of then', async () => {
    await world.credit('acme', '10');
    await world.publish('completed', [
      completion('acme', 'usual'),
      completion('acme', 'huge', { usage: { input_tokens: 1_000_000, output_tokens: 0 } }),
      completion('stranger', 'unknown'),
      JSON.stringify(completion('acme', 'unkeyed')),
    ]);
    await world.charge();
    const rows = await world.ledger.rows<{ reason: string }>('SELECT reason FROM dead_letters ORDER BY kafka_offset');
    expect(rows.map(({ reason }) => reason)).to.deep.equal(['COST_TOO_LARGE', 'UNKNOWN_TENANT', 'KEY_NOT_TENANT']);
    const { state } = await world.expectEqual();
    expect(state.taken).to.include({ bounds: 3 });
  });
});
