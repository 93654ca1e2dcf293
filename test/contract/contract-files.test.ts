/** Owns: the proof that the committed contract files are those that the DTOs generate, and that they hold together. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { expect } from 'chai';
import { contractDifferences, contractFiles } from '../../src/contract/contract-files.js';
import { USAGE_KINDS } from '../../src/contract/dto-kinds.js';
import { EXAMPLES } from '../../src/contract/examples.js';

const FOLDER = 'contract';

async function committed(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(FOLDER, name), 'utf8')) as Record<string, unknown>;
}

/** Every `$ref` of a document, wherever it stands. */
function references(node: unknown): string[] {
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([key, value]) =>
    key === '$ref' && typeof value === 'string' ? [value] : references(value),
  );
}

function resolve(document: unknown, pointer: string): unknown {
  return pointer
    .slice('#/'.length)
    .split('/')
    .reduce<unknown>((node, step) => (node as Record<string, unknown> | undefined)?.[step], document);
}

describe('the published contract', () => {
  it('is committed exactly as the DTOs generate it', async () => {
    expect(await contractDifferences(FOLDER), 'run `tollbook contract write`').to.deep.equal([]);
  });

  it('consists of one schema an event and one AsyncAPI document', () => {
    const names = contractFiles().map(({ name }) => name);
    expect(names).to.deep.equal(['usage-pending.schema.json', 'usage-completed.schema.json', 'asyncapi.json']);
  });

  it('reports a file that is missing', async () => {
    const differences = await contractDifferences(join(FOLDER, 'no-such-folder'));
    expect(differences.map(({ state }) => state)).to.deep.equal(['missing', 'missing', 'missing']);
  });

  for (const kind of USAGE_KINDS) {
    it(`accepts its own examples of usage.${kind} with a validator that knows nothing of this code`, async () => {
      const ajv = new Ajv({ strict: true });
      addFormats.default(ajv);
      const validate = ajv.compile(await committed(`usage-${kind}.schema.json`));
      for (const example of EXAMPLES[kind]) expect(validate(example), JSON.stringify(validate.errors)).to.equal(true);
    });

    it(`refuses fields that usage.${kind} does not have, at every level`, async () => {
      const schema = await committed(`usage-${kind}.schema.json`);
      const sections = Object.values(schema['definitions'] as Record<string, Record<string, unknown>>);
      for (const level of [schema, ...sections]) expect(level['additionalProperties']).to.equal(false);
    });
  }

  it('describes every field that is not a section', async () => {
    for (const kind of USAGE_KINDS) {
      const schema = await committed(`usage-${kind}.schema.json`);
      const sections = Object.values(schema['definitions'] as Record<string, { properties: object }>);
      const fields = [schema as { properties: object }, ...sections].flatMap((level) => Object.entries(level.properties));
      const silent = fields.filter(([, field]) => !('$ref' in field) && !('description' in field)).map(([name]) => name);
      expect(silent).to.deep.equal([]);
    }
  });

  it('has an AsyncAPI document whose every reference leads somewhere', async () => {
    const document = await committed('asyncapi.json');
    const files = contractFiles().map(({ name }) => `./${name}`);
    for (const reference of references(document)) {
      if (reference.startsWith('#/')) expect(resolve(document, reference), reference).to.be.an('object');
      else expect(files).to.include(reference);
    }
    for (const kind of USAGE_KINDS) expect(references(document)).to.include(`./usage-${kind}.schema.json`);
  });

  it('names the topics and the message key in its AsyncAPI document', async () => {
    const text = JSON.stringify(await committed('asyncapi.json'));
    expect(text).to.include('"address":"usage.pending"').and.include('"address":"usage.completed"');
    expect(text).to.include("The event's tenant_id");
  });
});
