// Measures the time that an import adds to a fresh process.
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { aim } from '../rounds.mjs'
import { formatSpread, spreadOf } from '../stats.mjs'

const folder = fileURLToPath(new URL('..', import.meta.url))
const packages = new URL('../../packages/', import.meta.url)
/** For development only; and `postern`, which has no module. */
const tools = new Set(['conformance', 'lab', 'postern', 'testkit'])
const peers = ['@achingbrain/nat-port-mapper', '@silentbot1/nat-api']
/** What a program with `@postern/libp2p` imports in any case: libp2p alone, and the modules of a usual node. */
const bases = [
  { name: 'libp2p', specifiers: ['libp2p'] },
  {
    name: 'libp2p with TCP, noise, yamux, identify and relays',
    specifiers: [
      'libp2p',
      ...['tcp', 'noise', 'yamux', 'identify', 'circuit-relay-v2'].map((name) => `@libp2p/${name}`)
    ]
  }
]
const rounds = 10
/** What an import may add, in ms. */
const limitsMs = { core: 6, pcp: 6, 'nat-pmp': 6, manual: 6, upnp: 10, node: 25, libp2p: 30 }

/** @returns {Promise<import('../tables.mjs').Section>} */
export async function imports(context) {
  const cache = await mkdtemp(join(tmpdir(), 'postern-bench-'))
  try {
    return await measure(context, cache)
  } finally {
    await rm(cache, { recursive: true, force: true })
  }
}

async function measure({ signal, progress }, cache) {
  const own = (await readdir(packages)).filter((name) => !tools.has(name)).toSorted()
  const specifiers = new Map([
    ...own.map((name) => [`@postern/${name}`, new URL(`${name}/dist/index.js`, packages).href]),
    ...peers.map((name) => [name, name])
  ])
  const empty = []
  const alone = new Map(bases.map(({ name }) => [name, []]))
  const onTop = new Map(bases.map(({ name }) => [name, []]))
  const added = new Map([...specifiers.keys()].map((name) => [name, []]))
  const cached = new Map([...specifiers.keys()].map((name) => [name, []]))
  for (const specifier of specifiers.values()) await timeProcess(importAll([specifier]), signal, cache)
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}`)
    for (const [name, specifier] of specifiers) {
      // Before each package, so that one slow sample shows in one line only.
      const emptyMs = await timeProcess('', signal)
      empty.push(emptyMs)
      added.get(name).push((await timeProcess(importAll([specifier]), signal)) - emptyMs)
      cached.get(name).push((await timeProcess(importAll([specifier]), signal, cache)) - emptyMs)
    }
    for (const { name, specifiers: base } of bases) {
      const emptyMs = await timeProcess('', signal)
      const baseMs = await timeProcess(importAll(base), signal)
      alone.get(name).push(baseMs - emptyMs)
      const bothMs = await timeProcess(importAll([...base, specifiers.get('@postern/libp2p')]), signal)
      onTop.get(name).push(bothMs - baseMs)
    }
  }
  return {
    name: 'imports',
    title: 'Import time',
    notes: [
      'A new process that imports the package and ends, minus an empty process just before it. The aims are for the first column. The second one is with a compile cache of Node.js (`NODE_COMPILE_CACHE`, or `module.enableCompileCache()`), which an earlier run has filled.',
      'The packages for libp2p import packages of libp2p, which stay outside of theirs: two copies would not know each other. A program with libp2p has loaded those anyway.'
    ],
    tables: [
      {
        caption: 'Time that an import adds',
        columns: ['', 'ms', 'with a compile cache, ms'],
        rows: [
          ['an empty process', formatSpread(spreadOf(empty)), '–'],
          ...[...added].map(([name, times]) => [
            name,
            formatSpread(spreadOf(times)),
            formatSpread(spreadOf(cached.get(name)))
          ])
        ]
      },
      {
        caption: 'Time that @postern/libp2p adds to what a program with libp2p imports anyway',
        columns: ['the program imports', 'alone, ms', '@postern/libp2p adds, ms'],
        rows: bases.map(({ name }) => [
          name,
          formatSpread(spreadOf(alone.get(name))),
          formatSpread(spreadOf(onTop.get(name)))
        ])
      }
    ],
    aims: Object.entries(limitsMs).map(([name, limitMs]) =>
      aim(`import of ${name} ≤ ${limitMs} ms`, spreadOf(added.get(`@postern/${name}`)), ' ms', (ms) => ms <= limitMs)
    ),
    data: {
      empty,
      ...Object.fromEntries(added),
      cached: Object.fromEntries(cached),
      alone: Object.fromEntries(alone),
      onTop: Object.fromEntries(onTop)
    }
  }
}

const importAll = (specifiers) => specifiers.map((each) => `await import('${each}')`).join('\n')

/** @param {string} [cache] - the folder of a compile cache. @default none */
function timeProcess(code, signal, cache) {
  return new Promise((resolve, reject) => {
    const { NODE_COMPILE_CACHE: _, ...env } = process.env
    if (cache !== undefined) env.NODE_COMPILE_CACHE = cache
    const startedMs = performance.now()
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      cwd: folder,
      env,
      stdio: 'ignore',
      signal
    })
    child.once('error', reject)
    child.once('exit', (status) => {
      if (status === 0) resolve(performance.now() - startedMs)
      else reject(new Error(`exit code ${status}: ${code}`))
    })
  })
}
