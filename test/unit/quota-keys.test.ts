/** The names of a tenant's keys: fixed vectors, since another name loses what is in Redis. */
import { expect } from 'chai';
import { BUCKET_COUNT, bucketOf, quotaKeys, tenantOfKey } from '../../src/lua/quota-keys.js';

describe('the keys of a tenant', () => {
  it('lie in the bucket that FNV-1a, folded to 16 bits, gives for the id', () => {
    const vectors: readonly (readonly [string, number])[] = [
      ['', 217],
      ['a', 32],
      ['acme', 82],
      ['tenant-1', 185],
      ['tenant-0001', 24],
      ['Ünïcode', 35],
    ];
    for (const [tenantId, bucket] of vectors) expect(bucketOf(tenantId), tenantId).to.equal(bucket);
    expect(BUCKET_COUNT).to.equal(256);
  });

  it('carry the bucket as hash tag', () => {
    expect(quotaKeys('tb', 'acme')).to.deep.equal({ quota: 'tb:{q82}:acme:quota', inflight: 'tb:{q82}:acme:inflight' });
  });

  it('give the tenant back, and foreign keys give none', () => {
    for (const tenantId of ['acme', 'a:quota', '1', 'x:inflight:y', 'auth0|a+b@c.d', '-*&%$!#=:inflight', ':quota']) {
      const { quota, inflight } = quotaKeys('tb', tenantId);
      for (const key of [quota, inflight]) expect(tenantOfKey('tb', key)).to.equal(tenantId);
    }
    for (const key of ['tb:{q83}:acme:quota', 'tb:{q82}:acme:other', 'tc:{q82}:acme:quota', 'tb:{q82}::quota', '']) {
      expect(tenantOfKey('tb', key), key).to.equal(undefined);
    }
  });
});
