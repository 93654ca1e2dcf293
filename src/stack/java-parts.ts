/**
 * Owns: what the stack takes from the Java world: the `java` program, the jars of Kafka, and the jar that carries a Redis.
 * Does not own: how Maven is run (maven-jars.ts) or installed (java-tools.ts).
 * Invariants: everything is looked up at most once per command, and only when a server that needs it is started.
 */
import path from 'node:path';
import { requireJavaTools, type JavaTools } from './java-tools.js';
import { resolveJars, type MavenArtifact } from './maven-jars.js';
import { findOnPath } from './tool-run.js';

/** The Java parts of one command, resolved on first use. */
export interface JavaParts {
  readonly java: () => Promise<string>;
  readonly jars: () => Promise<readonly string[]>;
}

const KAFKA_ARTIFACTS: readonly MavenArtifact[] = [
  { groupId: 'org.apache.kafka', artifactId: 'kafka_2.13', version: '4.4.0' },
  { groupId: 'org.slf4j', artifactId: 'slf4j-simple', version: '1.7.36' },
];

/** Carries statically linked `redis-server` programs; what it depends on is a Java library that is not needed. */
export const REDIS_ARTIFACT: MavenArtifact = {
  groupId: 'com.github.codemonstur',
  artifactId: 'embedded-redis',
  version: '1.4.3',
  bare: true,
};

/** Makes the lazy look-up for one command. */
export function createJavaParts(dir: string, report: (line: string) => void): JavaParts {
  const tools = once(() => requireJavaTools({ logPath: path.join(dir, 'logs', 'install.log'), report }));
  return {
    java: async () => (await tools()).java,
    jars: once(() => resolveStackJars(dir, tools, report)),
  };
}

/** One Maven run for both servers, because two at a time would share a local repository that is not made for it. */
function resolveStackJars(
  dir: string,
  tools: () => Promise<JavaTools>,
  report: (line: string) => void,
): Promise<readonly string[]> {
  const hasRedis = findOnPath('redis-server') !== undefined;
  return resolveJars({
    artifacts: hasRedis ? KAFKA_ARTIFACTS : [...KAFKA_ARTIFACTS, REDIS_ARTIFACT],
    workDir: path.join(dir, 'jars'),
    logPath: path.join(dir, 'logs', 'maven.log'),
    requireMaven: async () => {
      const { maven } = await tools();
      report(`kafka: resolving jars with Maven (first time about a minute)…`);
      return maven;
    },
  });
}

function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined;
  return () => (loading ??= load());
}
