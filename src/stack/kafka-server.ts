/**
 * Owns: how the brokers of Apache Kafka in KRaft mode are configured, formatted, started and probed: one, or three that
 * each are broker and controller.
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
import { BROKER_NAMES, brokersOf, type BrokerName, type StackState } from './stack-state.js';
import { runTool } from './tool-run.js';

// Tried: a broker of this size is ready after 1.5 s; the C2 compiler and a parallel collector cost two cores more than
// they give back for one developer.
const JVM_FLAGS = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'] as const;
const MEMORY_FLAGS_ALONE = ['-Xms256m', '-Xmx512m'] as const;
const MEMORY_FLAGS_OF_THREE = ['-Xms128m', '-Xmx400m'] as const;
const LOG_FLAGS = [
  // Its dumps of every setting, some 2,000 lines a start, would bury what a reader looks for.
  '-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn',
  '-Dorg.slf4j.simpleLogger.showDateTime=true',
  '-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS',
] as const;
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const PROBE_TIMEOUT_MS = 2000;

/** A broker of Apache Kafka 4.4.0 as a server of the local stack. */
export function brokerRecipe(name: BrokerName): ServerRecipe {
  return {
    name,
    stopSignal: 'SIGTERM',
    stopDeadlineMs: 20_000,
    startDeadlineMs: 180_000, // seconds on a quiet machine, a minute for one of three on one that is ten times as busy
    prepare: (site) => prepareBroker(name, site),
    probe: (site) => probeBroker(name, site),
    provision: () => Promise.resolve(),
  };
}

/** The number of a broker in its cluster, from 1. */
export function nodeIdOf(name: BrokerName): number {
  return BROKER_NAMES.indexOf(name) + 1;
}

async function prepareBroker(name: BrokerName, site: ServerSite): Promise<Launch> {
  const home = path.join(site.dir, name);
  const dataDir = path.join(home, 'data');
  const propertiesPath = path.join(home, 'server.properties');
  const classPath = (await site.javaParts.jars()).join(path.delimiter);
  const java = await site.javaParts.java();
  mkdirSync(home, { recursive: true });
  writeFileSync(propertiesPath, renderProperties(name, site, dataDir));
  // The class path travels in the environment: 45 jars would drown the command line by which the process is recognised.
  const env = { CLASSPATH: classPath };
  if (!existsSync(path.join(dataDir, 'meta.properties'))) {
    site.report(`${name}: formatting its data folder…`);
    await runTool({
      command: java,
      args: ['kafka.tools.StorageTool', 'format', '-t', site.state.kafkaClusterId, '-c', propertiesPath],
      cwd: home,
      logPath: site.logPath,
      env,
      failure: 'Kafka could not format its data folder',
    });
  }
  const memoryFlags = brokersOf(site.state).length === 1 ? MEMORY_FLAGS_ALONE : MEMORY_FLAGS_OF_THREE;
  const args = [...memoryFlags, ...JVM_FLAGS, ...LOG_FLAGS, 'kafka.Kafka', propertiesPath];
  return { command: java, args, env, cwd: home, marks: ['kafka.Kafka', propertiesPath] };
}

async function probeBroker(name: BrokerName, site: ServerSite): Promise<void> {
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
    // A broker answers before the controller has admitted it; until then the cluster does not list it.
    if (!brokers.some(({ nodeId }) => nodeId === nodeIdOf(name)))
      throw new TollbookError('KAFKA_UNAVAILABLE', `the cluster does not list ${name} yet`);
  } finally {
    await admin.disconnect();
  }
}

/**
 * `controller.quorum.voters` (static) rather than a dynamic quorum: the latter writes the controller's port into the
 * metadata log, and a restart on another port would then wait for a voter that is no more.
 */
function renderProperties(name: BrokerName, site: ServerSite, dataDir: string): string {
  const port = String(site.record.port);
  const controllerPort = String(site.record.controllerPort);
  const bytesMax = String(MESSAGE_BYTES_MAX);
  const replicas = String(brokersOf(site.state).length);
  // With two of three a broker may be lost without losing what was acknowledged, and without refusing what comes.
  const inSyncMin = brokersOf(site.state).length === 1 ? '1' : '2';
  const properties: Readonly<Record<string, string>> = {
    'process.roles': 'broker,controller',
    'node.id': String(nodeIdOf(name)),
    'controller.quorum.voters': votersOf(site.state),
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
    'default.replication.factor': replicas,
    'min.insync.replicas': inSyncMin,
    // The defaults (50 partitions each) only cost files and start-up time here.
    'offsets.topic.num.partitions': '4',
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.num.partitions': '4',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSyncMin,
    'share.coordinator.state.topic.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSyncMin,
  };
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value.replaceAll('\\', '\\\\')}\n`)
    .join('');
}

/** Every broker is a controller as well; all have their ports before the first is started. */
function votersOf(state: StackState): string {
  return brokersOf(state)
    .map((name) => `${String(nodeIdOf(name))}@127.0.0.1:${String(state.servers[name]?.controllerPort)}`)
    .join(',');
}
