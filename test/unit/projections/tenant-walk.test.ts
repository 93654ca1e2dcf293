/** Owns: walking over tenants: pages in their order, two at once, stopped where it can be gone on with. */
import { expect } from 'chai';
import type { LedgerReader } from '../../../src/ledger/ledger-reader.js';
import { type Walk, walkTenants } from '../../../src/projections/tenant-walk.js';

const TENANTS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
/** Named tenants are walked over without a look at the ledger. */
const NO_READER = {} as LedgerReader;

function walkOf(parts: Partial<Walk> = {}): Walk {
  return { scope: { kind: 'named', tenantIds: [...TENANTS].reverse() }, pageSize: 2, ...parts };
}

/** A page under visit, which the test ends. */
interface OpenVisit {
  readonly tenantIds: readonly string[];
  end(): void;
  fail(): void;
}

class Visits {
  readonly open: OpenVisit[] = [];

  visit = (tenantIds: readonly string[]): Promise<void> =>
    new Promise((resolve, reject) => {
      this.open.push({ tenantIds, end: resolve, fail: () => reject(new Error(`page ${tenantIds.join('')} failed`)) });
    });

  /** Waits until so many visits have been started, all in all. */
  async started(count: number): Promise<void> {
    while (this.open.length < count) await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a walk over tenants', () => {
  it('visits each of them once, by ascending id, a page at a time', async () => {
    const visited: string[][] = [];
    const progress: [number, string][] = [];
    const scope = { kind: 'named' as const, tenantIds: [...TENANTS, 'a', 'c'] };
    const result = await walkTenants(
      NO_READER,
      walkOf({ scope, onProgress: (done, last) => progress.push([done, last]) }),
      (page) => {
        visited.push([...page]);
        return Promise.resolve();
      },
    );
    expect(visited).to.deep.equal([['a', 'b'], ['c', 'd'], ['e', 'f'], ['g']]);
    expect(progress).to.deep.equal([
      [2, 'b'],
      [4, 'd'],
      [6, 'f'],
      [7, 'g'],
    ]);
    expect(result).to.deep.equal({ tenants: 7, next: null });
  });

  it('has two pages under way at most, and counts them as done in their order', async () => {
    const visits = new Visits();
    const progress: number[] = [];
    const walk = walkTenants(NO_READER, walkOf({ onProgress: (done) => progress.push(done) }), visits.visit);
    await visits.started(2);
    visits.open[1]!.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect([visits.open.length, progress]).to.deep.equal([2, []]);
    visits.open[0]!.end();
    for (const page of [2, 3]) {
      await visits.started(page + 1);
      visits.open[page]!.end();
    }
    expect(await walk).to.deep.equal({ tenants: 7, next: null });
    expect(progress).to.deep.equal([2, 4, 6, 7]);
  });

  it('that is stopped finishes the pages under way and says after which tenant to go on', async () => {
    const visits = new Visits();
    const controller = new AbortController();
    const walk = walkTenants(NO_READER, walkOf({ signal: controller.signal }), visits.visit);
    await visits.started(2);
    controller.abort();
    for (const visit of visits.open) visit.end();
    expect(await walk).to.deep.equal({ tenants: 4, next: 'd' });
    expect(visits.open).to.have.length(2);
  });

  it('that is stopped before its first page has done nothing', async () => {
    const signal = AbortSignal.abort();
    const result = await walkTenants(NO_READER, walkOf({ signal }), () => expect.fail('no page is visited'));
    expect(result).to.deep.equal({ tenants: 0, next: '' });
  });

  it('that was stopped during its last page is complete', async () => {
    const controller = new AbortController();
    const visit = (): Promise<void> => {
      controller.abort();
      return Promise.resolve();
    };
    const scope = { kind: 'named' as const, tenantIds: ['a'] };
    expect(await walkTenants(NO_READER, walkOf({ scope, signal: controller.signal }), visit)).to.deep.equal({
      tenants: 1,
      next: null,
    });
  });

  it('ends with the failure of a page once no other is under way', async () => {
    const visits = new Visits();
    let ended: string | undefined;
    const walk = walkTenants(NO_READER, walkOf(), visits.visit).catch((error: unknown) => {
      ended = error instanceof Error ? error.message : String(error);
    });
    await visits.started(2);
    visits.open[0]!.fail();
    await new Promise((resolve) => setImmediate(resolve));
    expect(ended).to.equal(undefined);
    visits.open[1]!.end();
    await walk;
    expect(ended).to.equal('page ab failed');
  });
});
