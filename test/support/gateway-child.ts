/**
 * Owns: a gateway as a process of its own, to be killed: publishes completions and tells on stderr which of them Kafka has
 * acknowledged, one line each, written before anything else happens.
 * Arguments: prefix of the traces, how many, how many may wait for an acknowledgement at a time.
 */
import { writeSync } from 'node:fs';
import { createUsagePublisher } from '../../src/gateway/index.js';
import { loadConfig } from '../../src/runtime/config.js';
import { armFaultsFrom } from '../../src/runtime/fault-points.js';

const TENANTS = 5;

const [prefix = 'gateway', count = '0', waitingMax = '1'] = process.argv.slice(2);

armFaultsFrom(process.env);
const { kafkaBrokers, topicPending, topicCompleted } = loadConfig();
const publisher = await createUsagePublisher({
  brokers: kafkaBrokers.split(','),
  topics: { pending: topicPending, completed: topicCompleted },
  batchEventsMax: 50,
});

async function publish(number: number): Promise<void> {
  const traceId = `${prefix}-${number}`;
  await publisher.completed({
    traceId,
    tenantId: `${prefix}-tenant-${number % TENANTS}`,
    occurredAt: new Date().toISOString(),
    provider: 'openai',
    model: 'gpt-4o',
    stream: true,
    outcome: 'succeeded',
    usage: { inputTokens: 1000, outputTokens: 200 },
    pricing: { inputPer1k: '0.003', outputPer1k: '0.015', currency: 'USD' },
  });
  writeSync(process.stderr.fd, `acknowledged ${traceId}\n`);
}

const waiting = new Set<Promise<void>>();
for (let number = 0; number < Number(count); number += 1) {
  const ack = publish(number).finally(() => waiting.delete(ack));
  waiting.add(ack);
  if (waiting.size >= Number(waitingMax)) await Promise.race(waiting);
}
await Promise.all(waiting);
await publisher.close();
