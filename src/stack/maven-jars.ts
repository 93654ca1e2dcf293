/**
 * Owns: resolving the Java artefacts of the stack with Maven, and remembering where they are.
 * Does not own: Java and Maven themselves (java-tools.ts).
 * Invariants: a remembered list is used only while it belongs to the same artefacts and every jar of it still exists;
 * one Maven runs at a time, because its local repository is not made for two.
 */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import path from 'node:path';
import { runTool } from './tool-run.js';

/** One Maven artefact; `bare` leaves out what it depends on. */
export interface MavenArtifact {
  readonly groupId: string;
  readonly artifactId: string;
  readonly version: string;
  readonly bare?: boolean;
}

/** What a resolution needs. */
export interface ResolveOptions {
  readonly artifacts: readonly MavenArtifact[];
  /** Folder for the pom and the remembered list. */
  readonly workDir: string;
  readonly logPath: string;
  /** Called only when Maven has to run; gives the path of `mvn`. */
  readonly requireMaven: () => Promise<string>;
}

const MAVEN_GOAL = [
  '-q',
  '-B',
  '--no-transfer-progress',
  'dependency:build-classpath',
  '-DincludeScope=runtime',
] as const;

/**
 * Resolves artefacts to the paths of their jars, downloading what is not there yet.
 *
 * @returns the paths of all jars, in class-path order
 * @throws STACK_SERVER_FAILED naming Maven's log when an artefact cannot be resolved
 */
export async function resolveJars(options: ResolveOptions): Promise<readonly string[]> {
  const pom = renderPom(options.artifacts);
  const pomPath = path.join(options.workDir, 'pom.xml');
  const listPath = path.join(options.workDir, 'classpath.txt');
  const remembered = readRemembered(pom, pomPath, listPath);
  if (remembered !== undefined) return remembered;
  mkdirSync(options.workDir, { recursive: true });
  rmSync(listPath, { force: true }); // first: a new pom beside an old list would be believed after a failure
  writeFileSync(pomPath, pom);
  await runTool({
    command: await options.requireMaven(),
    args: [...MAVEN_GOAL, `-Dmdep.outputFile=${listPath}`, ...repositoryFlags(options.workDir)],
    cwd: options.workDir,
    logPath: options.logPath,
    failure: 'Maven could not resolve the jars of the local stack',
  });
  return readList(listPath);
}

/** Finds the jar of one artefact among resolved paths. */
export function jarOf(jars: readonly string[], artifact: MavenArtifact): string | undefined {
  return jars.find((jar) => path.basename(jar) === `${artifact.artifactId}-${artifact.version}.jar`);
}

/** Maven keeps downloads in the home folder of the account, whatever HOME says; service accounts often have none. */
function repositoryFlags(workDir: string): readonly string[] {
  try {
    accessSync(userInfo().homedir, constants.W_OK);
    return [];
  } catch {
    return [`-Dmaven.repo.local=${path.join(workDir, 'repository')}`];
  }
}

function readRemembered(pom: string, pomPath: string, listPath: string): readonly string[] | undefined {
  if (!existsSync(pomPath) || !existsSync(listPath) || readFileSync(pomPath, 'utf8') !== pom) return undefined;
  const jars = readList(listPath);
  return jars.every((jar) => existsSync(jar)) ? jars : undefined;
}

function readList(listPath: string): readonly string[] {
  return readFileSync(listPath, 'utf8').trim().split(path.delimiter);
}

function renderPom(artifacts: readonly MavenArtifact[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tollbook</groupId>
  <artifactId>local-stack</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
${artifacts.map(renderDependency).join('\n')}
  </dependencies>
</project>
`;
}

function renderDependency(artifact: MavenArtifact): string {
  const exclusions = '<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>';
  return `    <dependency>
      <groupId>${artifact.groupId}</groupId>
      <artifactId>${artifact.artifactId}</artifactId>
      <version>${artifact.version}</version>${artifact.bare === true ? `\n      ${exclusions}` : ''}
    </dependency>`;
}
