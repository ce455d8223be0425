// Minified and compressed size of each package.
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { build } from 'esbuild'

const packages = new URL('../../packages/', import.meta.url)
/** For development only: no program ships them; and `postern`, which has no module. */
const tools = new Set(['conformance', 'lab', 'postern', 'testkit'])

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function sizes({ progress }) {
  const names = (await readdir(packages)).filter((name) => !tools.has(name)).toSorted()
  const rows = []
  for (const name of names) {
    progress(name)
    rows.push({
      name,
      own: await sizeOf(name, { packages: 'external' }),
      withLibraries: await sizeOf(name, { external: ['@postern/*'] }),
      whole: await sizeOf(name, {})
    })
  }
  const core = rows.find(({ name }) => name === 'core').whole.gzip / 1000
  const coreWithoutLibraries = ['core', 'interface']
    .map((each) => rows.find(({ name }) => name === each).own.gzip / 1000)
    .reduce((sum, each) => sum + each)
  return {
    name: 'sizes',
    title: 'Size',
    notes: [
      'Bundled by esbuild for Node as an ES module, minified, then compressed by gzip at level 9; kB are 1000 bytes. “Alone” leaves out everything that is imported; “with libraries” leaves out only the other packages of Postern; “whole” leaves out nothing but Node.',
      `core and interface, each alone, together: ${kilobytes(coreWithoutLibraries * 1000)} kB; as one bundle, ${kilobytes(core * 1000)} kB.`
    ],
    tables: [
      {
        caption: 'Size of each package, minified / compressed, kB',
        columns: ['package', 'alone', 'with libraries', 'whole'],
        rows: rows.map(({ name, own, withLibraries, whole }) => [
          `@postern/${name}`,
          ...[own, withLibraries, whole].map((size) => `${kilobytes(size.minified)} / ${kilobytes(size.gzip)}`)
        ])
      }
    ],
    // Why not 12: docs/adr/0006-size-of-the-core.md
    aims: [{ text: 'core with interface ≤ 20 kB compressed', measured: `${core.toFixed(1)} kB`, met: core <= 20 }],
    data: rows
  }
}

/** Shows esbuild the libraries that are loaded when they are needed. */
const lateLibraries = {
  name: 'late-libraries',
  setup({ onLoad }) {
    onLoad({ filter: /\/packages\/[\w-]+\/dist\/.*\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replaceAll(/createRequire\(import\.meta\.url\)\("/g, 'require("')
    }))
  }
}

const kilobytes = (bytes) => (bytes / 1000).toFixed(1)

async function sizeOf(name, options) {
  const { outputFiles } = await build({
    entryPoints: [new URL(`${name}/dist/index.js`, packages).pathname],
    bundle: true,
    minify: true,
    write: false,
    platform: 'node',
    format: 'esm',
    legalComments: 'none',
    logLevel: 'error',
    plugins: [lateLibraries],
    ...options,
    // A part in machine code that ssh2 uses where it is installed.
    external: ['*.node', ...(options.external ?? [])]
  })
  const [{ contents }] = outputFiles
  const compressed = await promisify(gzip)(contents, { level: 9 })
  return { minified: contents.length, gzip: compressed.length }
}
