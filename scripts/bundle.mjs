// Writes the JavaScript of the packages, of which tsc writes the types: node scripts/bundle.mjs [folder of a package…]
// Each entry of a package becomes one file, with what several entries and dynamic imports share in files beside them. Node needs at
// least 0.3 ms for each module, so a few files start faster than many.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { build } from 'esbuild'

const packages = path.join(path.dirname(import.meta.dirname), 'packages')
const named = process.argv.slice(2).map((folder) => path.resolve(folder))
const folders = named.length > 0 ? named : readdirSync(packages).map((name) => path.join(packages, name))

/** The modules that a package starts as processes of their own. */
const programs = { lab: ['./dist/forwarder.js'] }

await Promise.all(folders.map(bundle))

async function bundle(folder) {
  const { exports, sideEffects, bin = {} } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
  // `postern` is a program with no module.
  if (exports === undefined) return
  const exported = Object.values(exports).map((entry) => entry.default)
  // A program may import a module that the package does not export.
  const started = Object.values(bin).flatMap((file) =>
    [...readFileSync(path.join(folder, file), 'utf8').matchAll(/'\.(\.\/dist\/[\w/-]+\.js)'/g)].map(
      ([, module]) => module
    )
  )
  const spawned = programs[path.basename(folder)] ?? []
  const entries = [...new Set([...exported, ...started, ...spawned])]
  // A module that has to run before all others, such as the check of the version of Node, is a file of its own.
  const first = Array.isArray(sideEffects) ? sideEffects : []
  const dist = path.join(folder, 'dist')
  for (const file of readdirSync(dist, { recursive: true })) {
    // The page of status is built by another script.
    if (/\.js(\.map)?$/.test(file) && !file.startsWith('page')) rmSync(path.join(dist, file))
  }
  await build({
    entryPoints: [...entries, ...first].map((file) =>
      path.join(folder, file.replace('./dist/', 'src/').replace(/\.js$/, '.ts'))
    ),
    outbase: path.join(folder, 'src'),
    outdir: dist,
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    // Dependencies stay one: two copies of core or of libp2p would not know each other.
    packages: 'external',
    external: first.map((file) => file.replace('./dist/', './')),
    sourcemap: 'linked',
    sourcesContent: false, // src is published beside it
    logLevel: 'warning'
  })
}
