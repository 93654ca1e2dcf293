/** Owns: how fault points are armed, what each action does, and that the set of names is the one in the code. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { isTollbookError } from '../../../src/runtime/errors.js';
import {
  armFaults,
  armFaultsFrom,
  disarmFaults,
  FAULT_POINTS,
  faultPoint,
  POISON_POINTS,
} from '../../../src/runtime/fault-points.js';

const MODULE = new URL('../../../src/runtime/fault-points.js', import.meta.url).href;

describe('fault points', () => {
  afterEach(() => disarmFaults());

  function refusalOf(work: () => void): string {
    try {
      work();
    } catch (error) {
      if (isTollbookError(error, 'CONFIG_INVALID')) return error.message;
      throw error;
    }
    return 'accepted';
  }

  it('stand in the code once each, and no other name does', () => {
    const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    const texts = files.map((name) => readFileSync(path.join('src', name), 'utf8'));
    const calls = (pattern: RegExp): string[] =>
      texts.flatMap((text) => [...text.matchAll(pattern)].map(([, point = '']) => point)).sort();
    expect(calls(/await faultPoint\('([^']+)'/g)).to.deep.equal(Object.keys(FAULT_POINTS).sort());
    expect(calls(/\bpoisonPoint\('([^']+)'/g)).to.deep.equal(Object.keys(POISON_POINTS).sort());
  });

  it('do nothing, and are not even waited for, unless they are armed', () => {
    expect(faultPoint('charge.asked')).to.equal(undefined);
    armFaultsFrom({ TOLLBOOK_FAULTS: '' });
    expect(faultPoint('charge.asked')).to.equal(undefined);
  });

  it('act at the pass that was named, at every one when none was, and nowhere else', async () => {
    armFaults('charge.asked=throw:POSTGRES_CONFLICT@2,charge.woken=throw:FENCED');
    const ends: string[] = [];
    for (const point of [
      'charge.asked',
      'charge.asked',
      'charge.asked',
      'charge.woken',
      'charge.woken',
      'charge.decoded',
    ] as const) {
      ends.push(
        await Promise.resolve(faultPoint(point)).then(
          () => 'passed',
          (error: unknown) => (isTollbookError(error) ? error.code : 'other'),
        ),
      );
    }
    expect(ends).to.deep.equal(['passed', 'POSTGRES_CONFLICT', 'passed', 'FENCED', 'FENCED', 'passed']);
  });

  it('delay as long as they were told', async () => {
    armFaults('charge.asked=delay:50');
    const startedMs = performance.now();
    await faultPoint('charge.asked');
    expect(performance.now() - startedMs).to.be.at.least(45);
  });

  it('name everything that is not understood, and what is allowed', () => {
    const refusal = refusalOf(() =>
      armFaults(
        'charge.asked=kill@1,charge.asked=explode,nowhere=kill,charge.woken=throw:NO_CODE,charge.woken=delay,charge.woken=kill@0,charge.deciding=kill,charge.asked=poison:a',
      ),
    );
    for (const part of ['charge.asked=explode', 'nowhere=kill', 'throw:NO_CODE', 'charge.woken=delay', 'kill@0'])
      expect(refusal).to.include(part);
    for (const part of ['charge.deciding=kill', 'charge.asked=poison:a']) expect(refusal).to.include(part);
    expect(refusal).to.not.include('"charge.asked=kill@1"');
    expect(refusal).to.include('POINT=throw:CODE').and.to.include('projection.versions-read');
  });

  it('are refused in production without the second flag, and armed with it', () => {
    const environment = { TOLLBOOK_FAULTS: 'charge.asked=delay:0', NODE_ENV: 'production' };
    expect(refusalOf(() => armFaultsFrom(environment))).to.include('TOLLBOOK_FAULTS_IN_PRODUCTION=yes');
    expect(faultPoint('charge.asked')).to.equal(undefined);
    armFaultsFrom({ ...environment, TOLLBOOK_FAULTS_IN_PRODUCTION: 'yes' });
    expect(faultPoint('charge.asked')).to.be.instanceOf(Promise);
  });

  it('kill their process as SIGKILL does, and say where first', async () => {
    const script = `import { armFaults, faultPoint } from '${MODULE}'; armFaults('charge.asked=kill@2');
      for (;;) { await faultPoint('charge.asked'); console.log('passed'); }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    const written = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (written.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (written.stderr += text));
    const signal = await new Promise((resolve) => child.on('close', (_code, name) => resolve(name)));
    expect(signal).to.equal('SIGKILL');
    expect(written).to.deep.equal({ stdout: 'passed\n', stderr: 'fault point charge.asked: kill at pass 2\n' });
  });
});
