/**
 * Owns: that a message which cannot be charged becomes a dead letter with its reason, its exact bytes and its position,
 * and that the good events around it are charged as if it were not there.
 */
import { expect } from 'chai';
import type { Message } from 'kafkajs';
import { chunksOf } from '../../src/consumers/chunks.js';
import { intake } from '../../src/consumers/intake.js';
import { FetchedLog } from '../../src/records/fetched-log.js';
import { BAD_TENANT, type BadMessage, badMessages } from '../support/bad-messages.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { sumOf, tenantFigures } from '../support/planned-tenants.js';
import { writeBatch } from '../support/record-batches.js';
import { completion, COMPLETION_COST, messageOf, send } from '../support/usage-messages.js';

interface LetterRow {
  readonly topic: string;
  readonly partition: number;
  readonly kafka_offset: string;
  readonly message_key: Buffer | null;
  readonly message_value: Buffer | null;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly reason: string;
  readonly detail: string;
  readonly redrive_state: string;
}

const FIRST_TRACE = 'good-first';
const BAD = badMessages(FIRST_TRACE);
/** Any bytes may be a key; these are no UTF-8. */
const BAD_KEY = Buffer.from([0xff, 0x00, 0xfe]);

describe('a message that cannot be charged', function () {
  this.timeout(60_000);
  let world: LedgerWorld;
  const positions = new Map<BadMessage, { topic: string; kafkaOffset: number }>();

  /** Each bad message between two good ones, on the one partition of its topic. */
  function messagesOf(topic: BadMessage['topic'], topicName: string): Message[] {
    const messages: Message[] = topic === 'completed' ? [goodMessage(FIRST_TRACE)] : [];
    for (const [index, bad] of BAD.entries()) {
      if (bad.topic !== topic) continue;
      positions.set(bad, { topic: topicName, kafkaOffset: messages.length });
      messages.push({ key: BAD_KEY, value: bad.value, headers: bad.headers ?? { source: `gateway-${index}` } });
      if (topic === 'completed') messages.push(goodMessage(`good-${index}`));
    }
    return messages;
  }

  function goodMessage(traceId: string): Message {
    return messageOf(completion(BAD_TENANT, traceId));
  }

  async function letterOf(bad: BadMessage): Promise<LetterRow> {
    const { topic, kafkaOffset } = positions.get(bad)!;
    const rows = await world.rows<LetterRow>('SELECT * FROM dead_letters WHERE topic = $1 AND kafka_offset = $2', [
      topic,
      kafkaOffset,
    ]);
    return rows[0] ?? expect.fail(`there is no dead letter of offset ${kafkaOffset}`);
  }

  before(async () => {
    world = await LedgerWorld.create({ partitions: 1 });
    const { topicPending, topicCompleted } = world.config;
    for (const [topic, name] of [
      ['pending', topicPending],
      ['completed', topicCompleted],
    ] as const) {
      await send(world.kafka, name, messagesOf(topic, name));
    }
    const ledger = await world.start();
    await world.drain();
    await world.stop(ledger);
  });

  after(() => world.close());

  for (const bad of BAD) {
    it(`puts aside ${bad.name} as ${bad.reason}, with what was found and what is allowed`, async () => {
      const letter = await letterOf(bad);
      expect(letter.reason).to.equal(bad.reason);
      for (const part of bad.detail) expect(letter.detail).to.include(part);
      expect(letter.detail).to.have.length.of.at.most(1_000);
    });

    it(`keeps ${bad.name} with its exact bytes, key and headers`, async () => {
      const letter = await letterOf(bad);
      expect(letter).to.include({ partition: 0, redrive_state: 'open' });
      expect(letter.message_key?.equals(BAD_KEY)).to.equal(true);
      if (bad.value === null) expect(letter.message_value).to.equal(null);
      else expect(letter.message_value?.equals(bad.value)).to.equal(true);
      expect(letter.headers).to.deep.equal(base64HeadersOf(bad));
    });
  }

  it('has no value for a header without one, which other clients than ours can send', () => {
    const headers = [
      ['empty', null],
      ['full', Buffer.from('x')],
    ] as const;
    const facts = { topic: 't', partition: 0, from: 0n };
    const log = FetchedLog.of(writeBatch({ records: [{ value: null, headers }] }), facts);
    const [range] = chunksOf(log, { messagesMax: 1, bytesMax: 1 });
    const item = intake(range!.messages[0]!, 'completed', { eventBytesMax: 1, eventAgeMaxMs: 1, nowMs: 0 });
    expect(item)
      .to.have.nested.property('letter.headers')
      .that.deep.equals({ empty: [], full: ['eA=='] });
  });

  it('puts aside nothing else', async () => {
    expect(await world.count('dead_letters')).to.equal(BAD.length);
  });

  it('charges every good event around the bad ones, and the ledger proves clean', async () => {
    const goods = BAD.filter(({ topic }) => topic === 'completed').length + 1;
    const charged = sumOf(Array.from({ length: goods }, () => COMPLETION_COST));
    const { [BAD_TENANT]: figures } = await tenantFigures(world, [BAD_TENANT]);
    expect(figures).to.deep.equal({ charged, uncollected: '0.000000000', held: '0.000000000', balance: `-${charged}` });
    expect(await world.assertProven()).to.equal(charged);
  });
});

function base64HeadersOf(bad: BadMessage): Record<string, string[]> {
  const headers = bad.headers ?? { source: `gateway-${BAD.indexOf(bad)}` };
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name.replace('\u0000', '\u2400'),
      [value ?? []].flat().map((each) => Buffer.from(each).toString('base64')),
    ]),
  );
}
