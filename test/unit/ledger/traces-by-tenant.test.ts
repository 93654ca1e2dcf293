import { expect } from 'chai';
import { tracesByTenant } from '../../../src/ledger/postgres/array-literal.js';

describe('traces by tenant', () => {
  it('each tenant stands once, with its traces in one list', () => {
    const traces = [
      { tenantId: 'b', traceId: '1' },
      { tenantId: 'a', traceId: '2' },
      { tenantId: 'b', traceId: '3' },
    ];
    expect(tracesByTenant(traces)).to.deep.equal({ tenantIds: ['b', 'a'], values: ['{"b","a"}', '{"1 3","2"}'] });
  });

  it('no traces are no tenants', () => {
    expect(tracesByTenant([])).to.deep.equal({ tenantIds: [], values: ['{}', '{}'] });
  });
});
