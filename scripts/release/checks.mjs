// What the rehearsal does with the published packages.

import path from 'node:path'
import { checkBreakingRelease } from './breaking-release.mjs'
import { checkBothCommands, checkDoctor, checkNpx } from './commands.mjs'
import { checkExample, checkTemplate, examples } from './examples.mjs'
import { checkImports, checkOldNode, checkRequire } from './imports.mjs'
import { createProject, libp2p, onEachNode, oneOf, onRuntime, run } from './projects.mjs'

const plain = ['core', 'interface', 'manual', 'nat-api', 'nat-pmp', 'node', 'pcp', 'stun', 'testkit', 'upnp']
const withLibp2p = ['autonat', 'hole-punch', 'libp2p', 'relay', 'witness']

/**
 * The checks, in the order in which they run: some go on in the projects of those before. Each resolves with what it saw, or rejects.
 * `isShort` is part of `--short`. `needs` a lab or other runtimes: it is skipped, with the reason, where there are none.
 *
 * @type {readonly { name: string, isShort?: boolean, needs?: readonly ('lab' | 'runtimes')[], run(world: import('./projects.mjs').World): Promise<string> }[]}
 */
export const checks = [
  {
    name: 'plain ESM with npm',
    isShort: true,
    async run(world) {
      const folder = await createProject(world, { name: 'esm', packages: plain, files: ['plain.mjs', 'require.cjs'] })
      return onEachNode(world, folder, 'plain.mjs')
    }
  },
  {
    name: 'require()',
    isShort: true,
    run: (world) => run(world, path.join(world.folder, 'esm'), process.execPath, ['require.cjs'])
  },
  {
    name: 'one core for all',
    isShort: true,
    run: async (world) => oneOf(path.join(world.folder, 'esm'), '@postern/core')
  },
  ...['pnpm', 'yarn'].map((manager) => ({
    name: `plain ESM with ${manager}`,
    ...(manager === 'yarn' && { needs: ['runtimes'] }),
    async run(world) {
      const folder = await createProject(world, { name: manager, manager, packages: plain, files: ['plain.mjs'] })
      return run(world, folder, process.execPath, ['plain.mjs'])
    }
  })),
  ...['bun', 'deno'].map((name) => ({
    name: `plain ESM on ${name}`,
    needs: ['runtimes'],
    run: (world) => onRuntime(world, name, path.join(world.folder, 'esm'), ['plain.mjs'])
  })),
  {
    name: 'TypeScript, strict, nodenext and bundler',
    async run(world) {
      const folder = await createProject(world, {
        name: 'typescript',
        packages: [...plain, ...withLibp2p],
        files: ['typed.ts'],
        more: ['typescript', '@types/node', 'libp2p', ...libp2p]
      })
      const tsc = path.join('node_modules', 'typescript', 'bin', 'tsc')
      const strict = ['--noEmit', '--strict', '--target', 'es2023', '--types', 'node', 'typed.ts', '--skipLibCheck']
      await run(world, folder, process.execPath, [tsc, '--module', 'nodenext', ...strict])
      await run(world, folder, process.execPath, [
        tsc,
        '--module',
        'esnext',
        '--moduleResolution',
        'bundler',
        ...strict
      ])
      return 'compiled'
    }
  },
  {
    name: 'a libp2p node',
    async run(world) {
      const folder = await createProject(world, {
        name: 'libp2p',
        packages: ['libp2p', 'pcp', 'testkit'],
        files: ['node-of-libp2p.mjs'],
        more: ['libp2p', ...libp2p]
      })
      return onEachNode(world, folder, 'node-of-libp2p.mjs')
    }
  },
  ...['bun', 'deno'].map((name) => ({
    name: `a libp2p node on ${name}`,
    needs: ['runtimes'],
    run: (world) => onRuntime(world, name, path.join(world.folder, 'libp2p'), ['node-of-libp2p.mjs'])
  })),
  { name: 'the import of every package, on every runtime', needs: ['runtimes'], run: checkImports },
  { name: 'require() of every package', needs: ['runtimes'], run: checkRequire },
  { name: 'a Node.js that is too old is told so', needs: ['runtimes'], run: checkOldNode },
  { name: 'npx postern --version', run: checkNpx },
  { name: 'npx postern doctor --dry-run, in a lab', needs: ['lab'], run: checkDoctor },
  { name: 'postern and @postern/cli together', needs: ['runtimes'], run: checkBothCommands },
  ...examples.map((name) => ({
    name: `the example ${name}, in a lab`,
    needs: ['lab'],
    run: (world) => checkExample(world, name)
  })),
  { name: 'the template of a strategy', run: checkTemplate },
  { name: 'a breaking minor of core', run: checkBreakingRelease }
]
