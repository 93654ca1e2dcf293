/** Owns: entries as JSON and as CSV: every column, exactly. */
import { expect } from 'chai';
import { entriesCsv, entryDocument, entryTable } from '../../../src/cli/entry-documents.js';
import type { LedgerEntry } from '../../../src/ledger/entry.js';
import type { RecordedEntry } from '../../../src/ledger/ledger-queries.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { ENTRY_COLUMNS } from '../../../src/ledger/postgres/rows.js';
import { charge } from '../ledger/usage-samples.js';

function recorded(changes: Partial<LedgerEntry> = {}): RecordedEntry {
  return { entry: charge(changes), entryHash: 'ab'.repeat(32), batchId: 12, recordedAt: '2026-03-15T10:00:01.000Z' };
}

describe('the documents of an entry', () => {
  it('CSV has every column of the ledger, in its order', () => {
    expect(entriesCsv([])).to.equal(`${ENTRY_COLUMNS.join(',')}\r\n`);
  });

  it('CSV leaves missing values empty and quotes what needs it', () => {
    const description = 'said "no", twice\nand left';
    const [, row = ''] = entriesCsv([recorded({ description, detail: { limit: '5' } })]).split('\r\n');
    expect(row).to.include(',"said ""no"", twice\nand left","{""limit"":""5""}",,,,usage.completed,3,41,');
    expect(row.startsWith('tenant-1,8,trace-1,DEDUCT,COMMITTED,0.018000000,10.000000000,9.982000000,')).to.equal(true);
  });

  it('JSON writes amounts and offsets as strings, counts as numbers and missing values as null', () => {
    expect(entryDocument(recorded({ amountNano: parseAmount('9007199254.740993001') }))).to.include({
      ...{ seq: 8, amount: '9007199254.740993001', inputTokens: 1000, inputPrice: '0.003', stream: false },
      ...{ sourceOffset: '41', sourcePartition: 3, meters: null, actor: null, batchId: 12 },
    });
  });

  it('the table shows what a person follows a balance with', () => {
    const table = entryTable([recorded({ description: 'late' })]);
    for (const cell of ['8', 'trace-1', 'COMMITTED', '0.018', '9.982', 'claude-sonnet-4', 'late']) {
      expect(table).to.match(new RegExp(` ${cell} `));
    }
  });
});
