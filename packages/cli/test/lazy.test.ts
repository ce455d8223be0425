import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'

const bin = fileURLToPath(new URL('../bin/postern.js', import.meta.url))
const hook = `
  import { registerHooks } from 'node:module'
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context)
      process.stderr.write('loads ' + found.url + '\\n')
      return found
    }
  })`

/** Returns the modules of libp2p and similar ones that a command loads. */
async function loads(...args: readonly string[]): Promise<readonly string[]> {
  const home = await mkdtemp(join(tmpdir(), 'postern-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  const env = { PATH: process.env['PATH'], HOME: home, XDG_STATE_HOME: home, XDG_CACHE_HOME: home }
  const given = ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, bin, ...args]
  const stderr = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, given, { env }, (error, _stdout, text) => {
      if (error === null) resolve(text)
      else reject(error)
    })
  })
  const all = [...stderr.matchAll(/^loads (.*)$/gm)].map(([, url]) => url ?? '')
  expect(all.some((url) => url.endsWith('/cli/dist/index.js'))).toBe(true)
  return all.filter((url) => /libp2p|multiformats/.test(url.replace(/.*\/node_modules\/|.*\/packages\//, '')))
}

it.each([['--version'], ['--help'], ['tunnel', '--help']])(
  'nothing of libp2p is loaded for postern %s %s',
  async (...args) => {
    expect(await loads(...args.flat())).toEqual([])
  }
)

it('libp2p is loaded by a command that needs it, so that the test above can fail', async () => {
  expect(await loads('tunnel', 'id')).not.toEqual([])
})
