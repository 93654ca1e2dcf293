/**
 * Owns: how a single-node Apache Kafka in KRaft mode is configured, formatted, started and probed.
 * Does not own: its jars (java-parts.ts) or its life cycle.
 * Invariants: listens on 127.0.0.1 alone; the data folder is formatted once, with the cluster id of the state file, so
 * that a restart is the same cluster to every cursor.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { TollbookError } from '../runtime/errors.js';
import type { Launch } from './server-process.js';
import type { ServerRecipe, ServerSite } from './server-recipe.js';
import { runTool } from './tool-run.js';

// Tried: a broker of this size is ready after 1.5 s; the C2 compiler and a parallel collector cost two cores more than
// they give back for one developer.
const JVM_FLAGS = ['-Xms256m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'] as const;
const LOG_FLAGS = [
  // Its dumps of every setting, some 2,000 lines a start, would bury what a reader looks for.
  '-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn',
  '-Dorg.slf4j.simpleLogger.showDateTime=true',
  '-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS',
] as const;
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const PROBE_TIMEOUT_MS = 2000;

/** Apache Kafka 4.4.0 as a server of the local stack. */
export const kafkaRecipe: ServerRecipe = {
  name: 'kafka',
  stopSignal: 'SIGTERM',
  stopDeadlineMs: 20_000,
  startDeadlineMs: 60_000,
  prepare: prepareKafka,
  probe: probeKafka,
  provision: () => Promise.resolve(),
};

async function prepareKafka(site: ServerSite): Promise<Launch> {
  const home = path.join(site.dir, 'kafka');
  const dataDir = path.join(home, 'data');
  const propertiesPath = path.join(home, 'server.properties');
  const classPath = (await site.javaParts.jars()).join(path.delimiter);
  const java = await site.javaParts.java();
  mkdirSync(home, { recursive: true });
  writeFileSync(propertiesPath, renderProperties(site, dataDir));
  // The class path travels in the environment: 45 jars would drown the command line by which the process is recognised.
  const env = { CLASSPATH: classPath };
  if (!existsSync(path.join(dataDir, 'meta.properties'))) {
    site.report('kafka: formatting its data folder…');
    await runTool({
      command: java,
      args: ['kafka.tools.StorageTool', 'format', '-t', site.state.kafkaClusterId, '-c', propertiesPath],
      cwd: home,
      logPath: site.logPath,
      env,
      failure: 'Kafka could not format its data folder',
    });
  }
  const args = [...JVM_FLAGS, ...LOG_FLAGS, 'kafka.Kafka', propertiesPath];
  return { command: java, args, env, cwd: home, marks: ['kafka.Kafka', propertiesPath] };
}

async function probeKafka(site: ServerSite): Promise<void> {
  const admin = new Kafka({
    brokers: [`127.0.0.1:${String(site.record.port)}`],
    clientId: 'tollbook-stack',
    logLevel: logLevel.NOTHING,
    connectionTimeout: PROBE_TIMEOUT_MS,
    requestTimeout: PROBE_TIMEOUT_MS,
    retry: { retries: 0 },
  }).admin();
  try {
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    // A broker answers before the controller has admitted it; until then the cluster lists none.
    if (brokers.length === 0) throw new TollbookError('KAFKA_UNAVAILABLE', 'the cluster lists no broker yet');
  } finally {
    await admin.disconnect();
  }
}

/**
 * `controller.quorum.voters` (static) rather than a dynamic quorum: the latter writes the controller's port into the
 * metadata log, and a restart on another port would then wait for a voter that is no more.
 */
function renderProperties(site: ServerSite, dataDir: string): string {
  const port = String(site.record.port);
  const controllerPort = String(site.record.controllerPort);
  const bytesMax = String(MESSAGE_BYTES_MAX);
  const properties: Readonly<Record<string, string>> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': dataDir,
    // After a kill the controller admits the new broker only when the old one's session has run out: measured 12.5 s
    // until ready with the default of 9 s. Much shorter, and a busy machine would fence a broker that lives.
    'broker.session.timeout.ms': '5000',
    'broker.heartbeat.interval.ms': '1000',
    'auto.create.topics.enable': 'false',
    'group.initial.rebalance.delay.ms': '0',
    'message.max.bytes': bytesMax,
    'replica.fetch.max.bytes': bytesMax,
    // Never by age: a replayed trace carries the time stamps of its year.
    'log.retention.ms': '-1',
    // One broker: the defaults (50 partitions, 3 replicas) only cost files and start-up time.
    'offsets.topic.num.partitions': '4',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
  };
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value.replaceAll('\\', '\\\\')}\n`)
    .join('');
}
