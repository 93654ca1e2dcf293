/**
 * Owns: a consuming process that dies between any two steps of the charge protocol or of the projection: what it leaves
 * behind is what docs/failure-windows.md says, and the next process ends exact.
 */
import { expect } from 'chai';
import type { FaultPoint } from '../../src/runtime/fault-points.js';
import { FaultWorld, type LeftBehind } from '../support/fault-world.js';
import { useFaultStack } from '../support/fault-stack.js';

interface Row {
  readonly window: string;
  readonly points: readonly FaultPoint[];
  /** Fails unless the fault has left behind what the window says. */
  readonly leaves: (left: LeftBehind) => void;
}

const nothing = ({ inFlightWithoutEntry }: LeftBehind): void => void expect(inFlightWithoutEntry).to.equal(0);

const ROWS: readonly Row[] = [
  {
    window: 'crash in 1 to 4',
    points: ['charge.decoded', 'database.begun', 'ledger.cursor-locked', 'ledger.accounts-locked', 'charge.decided'],
    leaves: nothing,
  },
  {
    window: 'crash between 5 and the commit of 6',
    points: ['charge.asked', 'ledger.entries-written', 'database.before-commit'],
    leaves: ({ inFlightWithoutEntry }) => expect(inFlightWithoutEntry).to.be.above(0),
  },
  {
    window: 'crash between the commit of 6 and 7',
    points: ['database.committed'],
    leaves: ({ hashesBehind, ...left }) => {
      expect(hashesBehind).to.be.above(0);
      nothing({ hashesBehind, ...left });
    },
  },
  {
    window: 'crash after 7, before the Kafka offset is committed',
    points: ['charge.woken', 'charge.hinted'],
    leaves: nothing,
  },
  {
    window: 'projection: crash between reading and the script',
    points: ['projection.versions-read', 'projection.ledger-read', 'projection.inflight-read'],
    leaves: ({ hashesBehind }) => expect(hashesBehind).to.be.above(0),
  },
  {
    window: "projection: the script's answer is lost",
    points: ['projection.projected'],
    leaves: () => undefined,
  },
];

describe('a process that is killed', function () {
  this.timeout(180_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    // One partition at a time, so that nothing but the step at hand is under way.
    world = await FaultWorld.create({ TOLLBOOK_PARTITIONS_CONCURRENT: '1' });
  });

  after(() => world.close());

  for (const { window, points, leaves } of ROWS) {
    for (const point of points) {
      it(`${window}: killed at ${point}, it leaves what the window says and the next process ends exact`, async () => {
        await world.publish(60);
        const child = world.start({ faults: `${point}=kill@2` });
        expect(await child.ended, child.log()).to.equal('SIGKILL');
        const brokenAtMs = performance.now();
        expect(child.log()).to.include(`fault point ${point}: kill at pass 2`);
        leaves(await world.leftBehind());
        await world.recover(`killed at ${point}`, brokenAtMs);
      });
    }
  }
});
