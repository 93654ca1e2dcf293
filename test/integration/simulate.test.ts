/** Owns: that a simulation reaches a real Kafka exactly as planned. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { isTollbookError } from '../../src/runtime/errors.js';
import { simulate, type SimulationResult } from '../../src/simulator/simulate.js';
import { countMessages, createTopics, deleteTopics, testBrokers, testKafka, uniqueTopic } from './kafka-topics.js';

const PARTITIONS = 3;

describe('simulate on Kafka', function () {
  this.timeout(60_000);
  const topics = { pending: uniqueTopic('simulate.pending'), completed: uniqueTopic('simulate.completed') };
  const progress: number[] = [];
  let folder: string;
  let result: SimulationResult;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tollbook-simulate-'));
    await createTopics(testKafka(), Object.values(topics), PARTITIONS);
    result = await simulate({
      simulation: { requests: 2_000, tenants: 20, seed: 7, duplicates: 0.2, reorder: 'full', poison: 0.05 },
      brokers: testBrokers(),
      topics,
      out: join(folder, 'nested', 'expectation.json'),
      onProgress: ({ published }) => progress.push(published),
    });
  });

  after(async () => {
    await deleteTopics(testKafka(), Object.values(topics));
    await rm(folder, { recursive: true });
  });

  it('leaves as many messages on each topic as the expectation says', async () => {
    const { pending, completed } = result.expectation.published;
    expect(await countMessages(testKafka(), topics.pending)).to.equal(pending);
    expect(await countMessages(testKafka(), topics.completed)).to.equal(completed);
    expect(result.report.published).to.equal(pending + completed);
  });

  it('writes the expectation it returns', async () => {
    const written: unknown = JSON.parse(await readFile(join(folder, 'nested', 'expectation.json'), 'utf8'));
    expect(written).to.deep.equal(JSON.parse(JSON.stringify(result.expectation)));
  });

  it('reports progress up to the end', () => {
    expect(progress.at(-1)).to.equal(result.expectation.published.total);
    expect(progress).to.deep.equal([...progress].sort((one, other) => one - other));
  });

  it('keeps the rate it was given', async () => {
    const simulation = { requests: 200, tenants: 2, seed: 8 };
    const { report } = await simulate({ simulation, brokers: testBrokers(), topics, ratePerSecond: 200 });
    expect(report.messagesPerSecond).to.be.within(120, 230);
  });

  it('refuses a topic that does not exist before it sends anything', async () => {
    const missing = { ...topics, completed: uniqueTopic('missing') };
    const before = await countMessages(testKafka(), topics.pending);
    const brokers = testBrokers();
    const problem: unknown = await simulate({ simulation: { requests: 10 }, brokers, topics: missing }).catch(
      (error: unknown) => error,
    );
    expect(isTollbookError(problem, 'TOPIC_MISSING')).to.equal(true);
    expect(String(problem)).to.contain(missing.completed);
    expect(await countMessages(testKafka(), topics.pending)).to.equal(before);
  });
});
