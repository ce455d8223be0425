// Builds the peers of other implementations into .cache/interop, with everything that Go keeps in .cache too: nothing but
// counters of its telemetry is written to the home folder, and there need be none.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

const source = path.join(import.meta.dirname, 'go-libp2p')
const cache = path.join(import.meta.dirname, '..', '.cache')
const goFolder = path.join(cache, 'go')
const built = path.join(cache, 'interop', 'postern-go-peer')

/** Static, the same whoever builds it; what is downloaded can be deleted again (by default Go writes it read-only). */
const flags = ['-mod=readonly', '-modcacherw', '-buildvcs=false']
const env = {
  ...process.env,
  CGO_ENABLED: '0',
  GOPATH: goFolder,
  GOMODCACHE: path.join(goFolder, 'pkg', 'mod'),
  GOCACHE: path.join(goFolder, 'build'),
  GOFLAGS: ''
}

/**
 * The Go peer, built anew where its sources or the compiler changed. Not to be had where there is no Go or its modules
 * cannot be fetched; rejects where it does not compile.
 *
 * @param {(line: string) => void} [onProgress] told one line before something slow
 * @returns {Promise<{ readonly ok: true, readonly path: string } | { readonly ok: false, readonly reason: string }>}
 */
export async function buildGoPeer(onProgress = () => {}) {
  const version = await go('version')
  if (version.error) return { ok: false, reason: `There is no Go on this machine (${version.error}).` }
  const hash = createHash('sha256').update(version.output).update(flags.join(' '))
  for (const name of (await readdir(source)).toSorted())
    hash.update(name).update(await readFile(path.join(source, name)))
  const wanted = hash.digest('hex')
  const stamp = `${built}.sha256`
  if ((await readFile(stamp, 'utf8').catch(() => '')) === wanted) return { ok: true, path: built }

  onProgress('Building the Go peer: about a minute the first time.')
  await mkdir(path.dirname(built), { recursive: true })
  const modules = await go('mod', 'download', '-modcacherw')
  if (modules.error) return { ok: false, reason: `Go does not get its modules (${modules.error}).` }
  // Under another name first: whoever runs it meanwhile keeps the old one, and two builders do no harm.
  const fresh = `${built}.${process.pid}`
  const build = await go('build', ...flags, '-trimpath', '-o', fresh, '.')
  if (build.error) throw new Error(`The Go peer does not compile:\n${build.output}`)
  await rename(fresh, built)
  await writeFile(stamp, wanted)
  return { ok: true, path: built }
}

/**
 * @param {...string} args
 * @returns {Promise<{ readonly output: string, readonly error?: string }>} the error in one line
 */
function go(...args) {
  return new Promise((resolve) => {
    execFile('go', args, { cwd: source, env, timeout: 900_000 }, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`.trim()
      if (error) resolve({ output, error: output.split('\n').at(-1) || error.message })
      else resolve({ output })
    })
  })
}
