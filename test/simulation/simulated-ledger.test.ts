/** The ledger that simulations run on keeps the contract that PostgreSQL keeps. */
import { SeededRandom } from '../../src/simulator/seeded-random.js';
import { type ContractLedger, ledgerContract } from '../model/ledger-contract.js';
import { propertySeed } from '../model/property-seed.js';
import { SimulatedLedgerReader } from './simulated-ledger-reader.js';
import { SimulatedLedger } from './simulated-ledger.js';
import { StepScheduler } from './step-scheduler.js';

describe('the ledger in memory that simulations run on', () => {
  ledgerContract(() => Promise.resolve(openSimulated()));
});

function openSimulated(): ContractLedger {
  const scheduler = new StepScheduler(new SeededRandom(propertySeed(), 1, 2), 0);
  const store = new SimulatedLedger({ scheduler, removed: undefined, losesAnswer: () => false });
  const reader = new SimulatedLedgerReader(store.rows, scheduler);
  const settle = async <T>(work: () => Promise<T>): Promise<T> => {
    const working = work();
    working.catch(() => undefined);
    do await new Promise((resolve) => process.nextTick(resolve));
    while (await scheduler.draw());
    return working;
  };
  return { store, reader, dueHolds: reader, settle, close: () => Promise.resolve() };
}
