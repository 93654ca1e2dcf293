/** The ledger on PostgreSQL keeps the contract that the ledger in memory keeps, on which simulations run. */
import { PostgresDueHolds } from '../../src/ledger/postgres/due-holds.js';
import { PostgresLedgerReader } from '../../src/ledger/postgres/postgres-ledger-reader.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import { type ContractLedger, ledgerContract } from '../model/ledger-contract.js';
import { createTestDatabase, openApplicationPool } from '../support/test-database.js';

describe('the ledger on PostgreSQL', () => {
  ledgerContract(openPostgres);
});

async function openPostgres(): Promise<ContractLedger> {
  const database = await createTestDatabase();
  const pool = openApplicationPool(database);
  return {
    store: new PostgresLedgerStore(pool),
    reader: new PostgresLedgerReader(pool),
    dueHolds: new PostgresDueHolds(pool),
    settle: (work) => work(),
    close: async () => {
      await pool.end();
      await database.drop();
    },
  };
}
