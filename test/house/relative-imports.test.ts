import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { read, root } from './workspace.js'

/** The JavaScript that no compiler reads: a file of `dist` that it imports may be gone since packages are bundles. */
const files = execFileSync('git', ['ls-files', '*.mjs', '*.js', '*.cjs'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '')

it('each relative import of a script leads to a file', () => {
  const found = files.flatMap((file) =>
    [...read(file).matchAll(/(?:from|import|import\() ?'(\.{1,2}\/[^'$]+)'/g)].map(([, path = '']) => ({ file, path }))
  )
  expect(found.length).toBeGreaterThan(200)
  const missing = found.filter(({ file, path }) => {
    const target = join(root, dirname(file), path)
    return !existsSync(target) && !existsSync(target.replace(/\.js$/, '.ts'))
  })
  expect(missing).toEqual([])
})
