/**
 * Owns: finding Java 17 or newer and Maven, and installing them on a Debian-like system when run as root.
 * Invariants: nothing is installed when both are there; on every other system the error prints the one command that
 * installs what is missing.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { TollbookError } from '../runtime/errors.js';
import { findOnPath, outputOf, runTool } from './tool-run.js';

/** Where the two tools were found. */
export interface JavaTools {
  readonly java: string;
  readonly maven: string;
}

/** What the search needs to know. */
export interface JavaToolsOptions {
  readonly logPath: string;
  readonly report: (line: string) => void;
}

const JAVA_MAJOR_MIN = 17;

/**
 * Finds Java and Maven; as root on a Debian-like system installs what is missing.
 *
 * @throws STACK_TOOL_MISSING with the command to run, or STACK_SERVER_FAILED when the installation fails
 */
export async function requireJavaTools(options: JavaToolsOptions): Promise<JavaTools> {
  const found = findJavaTools();
  if (found !== undefined) return found;
  const command = installCommand();
  if (!mayInstall()) throw toolMissing(command);
  options.report(`java: Java ${String(JAVA_MAJOR_MIN)} or Maven is missing; installing with: ${command}`);
  await installWithApt(options.logPath);
  const installed = findJavaTools();
  if (installed === undefined) throw toolMissing(command);
  return installed;
}

function findJavaTools(): JavaTools | undefined {
  const java = javaCandidates().find((candidate) => (javaMajorOf(candidate) ?? 0) >= JAVA_MAJOR_MIN);
  const maven = findOnPath('mvn');
  return java !== undefined && maven !== undefined ? { java, maven } : undefined;
}

function javaCandidates(): readonly string[] {
  const home = process.env['JAVA_HOME'];
  return home === undefined || home === '' ? ['java'] : [path.join(home, 'bin', 'java'), 'java'];
}

/** Reads the major number from `java -version`, such as `openjdk version "17.0.15" 2025-04-15`. */
function javaMajorOf(java: string): number | undefined {
  const match = /version "(\d+)/.exec(outputOf(java, ['-version']) ?? '');
  return match === null ? undefined : Number(match[1]);
}

function hasApt(): boolean {
  return existsSync('/usr/bin/apt-get');
}

function mayInstall(): boolean {
  return hasApt() && process.getuid?.() === 0;
}

function installCommand(): string {
  if (hasApt()) return `apt-get install -y --no-install-recommends ${aptPackages().join(' ')}`;
  if (process.platform === 'darwin') return 'brew install openjdk@17 maven';
  if (existsSync('/usr/bin/dnf')) return 'dnf install -y java-21-openjdk-headless maven';
  if (existsSync('/sbin/apk')) return 'apk add openjdk17-jre-headless maven';
  return 'install a Java runtime (17 or newer) and Apache Maven, so that `java` and `mvn` are on the PATH';
}

/** Debian 12 and Ubuntu have 17; Debian 13 has only 21 and newer. `default-jre` is older than 17 on Ubuntu 22.04. */
function aptPackages(): readonly string[] {
  const majors = ['17', '21', '25'];
  const known = majors.find((major) => (outputOf('apt-cache', ['show', `openjdk-${major}-jre-headless`]) ?? '') !== '');
  return [`openjdk-${known ?? '17'}-jre-headless`, 'maven'];
}

async function installWithApt(logPath: string): Promise<void> {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const run = { command: 'apt-get', cwd: '/', logPath, env, failure: 'Java and Maven could not be installed' };
  await runTool({ ...run, args: ['update', '-qq'] });
  await runTool({ ...run, args: ['install', '-y', '-qq', '--no-install-recommends', ...aptPackages()] });
}

function toolMissing(command: string): TollbookError {
  const prefix = hasApt() && process.getuid?.() !== 0 ? 'sudo ' : '';
  const found = outputOf('java', ['-version'])?.split('\n')[0] ?? 'no java';
  const message =
    `the local stack needs Java ${String(JAVA_MAJOR_MIN)} or newer and Maven; found ${found}` +
    ` and ${findOnPath('mvn') ?? 'no mvn'}. Install them with: ${prefix}${command}`;
  return new TollbookError('STACK_TOOL_MISSING', message);
}
