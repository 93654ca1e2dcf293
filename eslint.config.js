/**
 * Owns: what lint refuses: unsafe types, floating promises, bare errors, and imports that point outward.
 * Does not own: layout (Prettier) or type errors (tsc).
 */
import eslint from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { ownNames } from './lint/own-names.js';

/**
 * The layering rule of ARCHITECTURE.md: dependencies point inward. For each folder of src, the folders it never imports.
 * `cli` may import everything and is imported by nobody but bench/ and test/.
 */
const FORBIDDEN_FOLDERS = {
  'ledger/postgres': [
    'admin',
    'cli',
    'consumers',
    'contract',
    'gateway',
    'lua',
    'prices',
    'projections',
    'simulator',
    'stack',
  ],
  lua: ['admin', 'cli', 'consumers', 'contract', 'gateway', 'projections', 'reconciliation', 'simulator', 'stack'],
  contract: ['admin', 'cli', 'consumers', 'gateway', 'lua', 'projections', 'reconciliation', 'simulator', 'stack'],
  records: [
    'admin',
    'cli',
    'consumers',
    'contract',
    'gateway',
    'lua',
    'prices',
    'projections',
    'reconciliation',
    'simulator',
    'stack',
  ],
  gateway: ['admin', 'cli', 'consumers', 'projections', 'reconciliation', 'simulator', 'stack'],
  consumers: ['admin', 'cli', 'gateway', 'reconciliation', 'simulator', 'stack'],
  projections: ['admin', 'cli', 'consumers', 'gateway', 'reconciliation', 'simulator', 'stack'],
  reconciliation: ['admin', 'cli', 'gateway', 'simulator', 'stack'],
  'command-journal': ['admin', 'cli', 'consumers', 'gateway', 'lua', 'projections', 'simulator', 'stack'],
  prices: ['admin', 'cli', 'consumers', 'gateway', 'lua', 'projections', 'reconciliation', 'simulator', 'stack'],
  admin: ['cli', 'simulator', 'stack'],
  simulator: ['admin', 'cli', 'consumers', 'projections', 'reconciliation', 'stack'],
  stack: ['admin', 'cli', 'consumers', 'contract', 'gateway', 'ledger', 'lua', 'projections', 'simulator'],
};

/** The one thing runtime takes from outside: where a local stack listens, when the environment does not say. */
const RUNTIME_MAY_IMPORT = String.raw`stack/discover\.js$|\.\./migrations/`;

/** Everything the pure core may name: itself (not its PostgreSQL adapter), the errors, maps by name, decimal.js, node:crypto. */
const CORE_MAY_IMPORT = String.raw`\./(?!postgres/)|\.\./runtime/(errors|name-map)\.js$|decimal\.js$|node:crypto$`;

const BARE_ERROR = {
  selector:
    ':matches(NewExpression, CallExpression)[callee.name=/^(Error|TypeError|RangeError|SyntaxError|AggregateError)$/]',
  message: 'Throw a TollbookError with a code of the closed set (src/runtime/errors.ts).',
};

const PROCESS_EXIT = {
  selector: "CallExpression[callee.object.name='process'][callee.property.name='exit']",
  message: 'Only the entry points end the process; throw, or set process.exitCode.',
};

const OTHER_PRODUCER = {
  selector: "CallExpression[callee.property.name='producer']",
  message:
    'Produce through src/runtime/durable-producer.ts: what kafkajs acknowledges by itself may be stored nowhere.',
};

function restrictImports(files, ...patterns) {
  return { files, rules: { 'no-restricted-imports': ['error', { patterns }] } };
}

function forbiddenFolders(folder, forbidden) {
  const regex = String.raw`^(\.\./)+(src/)?(${forbidden.join('|')})/`;
  const message = `src/${folder} must not import this folder: dependencies point inward (ARCHITECTURE.md).`;
  return { regex, message };
}

/** What the independent total is summed from: neither what a gateway reads, nor how the ledger prices it. */
const INDEPENDENT = ['exact-cost', 'settlement', 'expectation', 'simulated-request', 'provider-shapes'];
const READING_OR_PRICING = {
  regex: String.raw`gateway|ledger/(pricing|price-|entry-cost)`,
  message: 'The independent total must not know how a gateway reads usage, nor how the ledger prices it.',
};

export default defineConfig(
  { ignores: ['dist/', 'contract/', 'coverage/', '.tollbook/', 'node_modules/'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: false, requireDefaultForNonUnion: true },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // Money is a branded bigint, which this rule takes for something else; tsc itself refuses minus on an object.
      '@typescript-eslint/no-unsafe-unary-minus': 'off',
      // The DTOs of the contract are classes for their decorators alone; plain objects of their shape are welcome.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  {
    files: ['src/**/*.ts', 'migrations/**/*.ts', 'bench/**/*.ts'],
    rules: { 'no-restricted-syntax': ['error', BARE_ERROR, PROCESS_EXIT] },
  },
  {
    files: ['src/**/*.ts'],
    plugins: { tollbook: { rules: { 'own-names': ownNames } } },
    rules: { 'tollbook/own-names': 'error' },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/runtime/durable-producer.ts', 'src/cli/main.ts'],
    rules: { 'no-restricted-syntax': ['error', BARE_ERROR, PROCESS_EXIT, OTHER_PRODUCER] },
  },
  // The one place of src that ends the process.
  { files: ['src/cli/main.ts'], rules: { 'no-restricted-syntax': ['error', BARE_ERROR] } },
  {
    files: ['test/**/*.ts'],
    rules: {
      // chai asserts by reading a property: expect(x).to.be.true.
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  restrictImports(['src/ledger/*.ts'], {
    regex: `^(?!${CORE_MAY_IMPORT})`,
    message:
      'The pure core imports itself, src/runtime/{errors,name-map}.ts, decimal.js and node:crypto, and nothing else.',
  }),
  restrictImports(['src/ledger/commands/*.ts'], {
    regex: String.raw`^(?!\./|\.\./(?!postgres/|\.\./)|\.\./\.\./runtime/(errors|name-map)\.js$|decimal\.js$|node:crypto$)`,
    message:
      'The commands are part of the pure core: they import it, src/runtime/{errors,name-map}.ts, and nothing else.',
  }),
  restrictImports(['src/runtime/*.ts'], {
    regex: String.raw`^\.\./(?!${RUNTIME_MAY_IMPORT})`,
    message: 'src/runtime imports no other folder of src, except stack/discover.',
  }),
  ...Object.entries(FORBIDDEN_FOLDERS).map(([folder, forbidden]) =>
    restrictImports([`src/${folder}/**/*.ts`], forbiddenFolders(folder, forbidden)),
  ),
  // The last rule for a file holds, so it repeats what holds for the folder.
  restrictImports(
    INDEPENDENT.map((name) => `src/simulator/${name}.ts`),
    READING_OR_PRICING,
    forbiddenFolders('simulator', FORBIDDEN_FOLDERS.simulator),
  ),
  { files: ['**/*.js'], languageOptions: { globals: { process: 'readonly' } } },
);
