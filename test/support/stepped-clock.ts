/**
 * Owns: a clock that steps, for a process of its own: loaded with --import before anything else, it shifts Date.now by the
 * seconds in the file CLOCK_STEP_FILE whenever the process receives SIGUSR2; at the start only with CLOCK_STEPS_AT_START.
 */
import { readFileSync } from 'node:fs';

const systemNow = Date.now.bind(Date);
let stepMs = 0;

Date.now = () => systemNow() + stepMs;
process.on('SIGUSR2', step);
if (process.env['CLOCK_STEPS_AT_START'] === '1') step();

function step(): void {
  stepMs = Number(readFileSync(process.env['CLOCK_STEP_FILE'] ?? '', 'utf8')) * 1_000;
}
