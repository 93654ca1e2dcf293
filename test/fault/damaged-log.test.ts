/** Owns: a log whose bytes are changed on a broker's disk. Its row stands in docs/failure-windows.md. */
import { expect } from 'chai';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { faultStackDir, haltServer, reviveServer, useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { sumOf } from '../support/planned-tenants.js';
import { COMPLETION_COST, completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const WAIT_MS = 90_000;

describe('a log that was changed on a disk', function () {
  this.timeout(300_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create({}, 2);
  });

  after(async () => {
    await reviveServer('kafka');
    await world.close();
  });

  /** Puts other bytes in the place of some in the log of partition 0, while the broker is down. */
  async function replaceInLog(from: string, to: string): Promise<void> {
    await haltServer('kafka');
    const folder = `${world.ledger.config.topicCompleted}-0`;
    const file = path.join(faultStackDir(), 'kafka', 'data', folder, '00000000000000000000.log');
    const bytes = readFileSync(file);
    const at = bytes.indexOf(from);
    expect(at).to.be.above(0);
    bytes.write(to, at);
    writeFileSync(file, bytes);
    await reviveServer('kafka');
  }

  it('a byte of a log changed on a disk: nothing of it is charged, the others go on, and it is charged once it is whole', async () => {
    const { kafka, config } = world.ledger;
    const whole = '"input_tokens":1000';
    const changed = '"input_tokens":9000';
    await send(kafka, config.topicCompleted, completions('damaged', 1, { partition: 0 }));
    await send(kafka, config.topicCompleted, completions('beside', 1, { partition: 1 }));
    await replaceInLog(whole, changed);
    const child = world.start();
    await waitUntil('the partition is stopped', () => child.log().includes('BATCH_CRC_MISMATCH'), WAIT_MS);
    const charged = async (): Promise<string[]> => {
      const sql = `SELECT tenant_id FROM ledger_entries WHERE type = 'DEDUCT' ORDER BY tenant_id`;
      return (await world.ledger.rows<{ tenant_id: string }>(sql)).map(({ tenant_id }) => tenant_id);
    };
    await waitUntil('the other partition is charged', async () => (await charged()).length === 1, WAIT_MS);
    expect(await charged()).to.deep.equal(['beside']);
    await replaceInLog(changed, whole);
    await waitUntil('the whole log is charged', async () => (await charged()).length === 2, WAIT_MS);
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    expect(await world.ledger.assertProven()).to.equal(sumOf([COMPLETION_COST, COMPLETION_COST]));
  });
});
