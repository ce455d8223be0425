// Builds the peers of other implementations into .cache/interop, with everything that Go keeps in .cache too: nothing but
// counters of its telemetry is written to the home folder, and there need be none.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

const cache = path.join(import.meta.dirname, '..', '.cache')
const goFolder = path.join(cache, 'go')

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

/** Minor versions of go-libp2p for homes that punch holes; they differ in who is client. The last one is the peers' own. */
export const punchVersions = /** @type {const} */ (['0.40', '0.47', '0.51'])

/**
 * @typedef {{ readonly ok: true, readonly path: string } | { readonly ok: false, readonly reason: string }} Built
 * @typedef {{ readonly name: string, readonly folder: string, readonly modules: string }} Program - `modules`: its go.mod
 */

/**
 * The Go peer, built anew where its sources or the compiler changed. Not to be had where there is no Go or its modules
 * cannot be fetched; rejects where it does not compile.
 *
 * @param {(line: string) => void} [onProgress] told one line before something slow
 * @returns {Promise<Built>}
 */
export const buildGoPeer = (onProgress) =>
  build({ name: 'postern-go-peer', folder: 'go-libp2p', modules: 'go.mod' }, onProgress)

/**
 * A home on one version of go-libp2p that punches holes, in the same manner.
 *
 * @param {typeof punchVersions[number]} version
 * @param {(line: string) => void} [onProgress]
 * @returns {Promise<Built>}
 */
export const buildGoPunch = (version, onProgress) =>
  build(
    {
      name: `postern-go-punch-${version}`,
      folder: 'go-punch',
      modules: version === punchVersions.at(-1) ? 'go.mod' : `go-${version}.mod`
    },
    onProgress
  )

/**
 * @param {Program} program
 * @param {(line: string) => void} [onProgress]
 * @returns {Promise<Built>}
 */
async function build({ name, folder, modules }, onProgress = () => {}) {
  const cwd = path.join(import.meta.dirname, folder)
  const built = path.join(cache, 'interop', name)
  const version = await go(cwd, 'version')
  if (version.error) return { ok: false, reason: `There is no Go on this machine (${version.error}).` }
  const hash = createHash('sha256').update(version.output).update(flags.join(' '))
  const isSource = (each) => each.endsWith('.go') || each.startsWith(modules.replace('mod', ''))
  for (const each of (await readdir(cwd)).filter(isSource).toSorted())
    hash.update(each).update(await readFile(path.join(cwd, each)))
  const wanted = hash.digest('hex')
  const stamp = `${built}.sha256`
  if ((await readFile(stamp, 'utf8').catch(() => '')) === wanted) return { ok: true, path: built }

  onProgress(`Building ${name}: up to a minute the first time.`)
  await mkdir(path.dirname(built), { recursive: true })
  const modfile = `-modfile=${modules}`
  const fetched = await go(cwd, 'mod', 'download', modfile, '-modcacherw')
  if (fetched.error) return { ok: false, reason: `Go does not get its modules (${fetched.error}).` }
  // Under another name first: whoever runs it meanwhile keeps the old one, and two builders do no harm.
  const fresh = `${built}.${process.pid}`
  const compiled = await go(cwd, 'build', modfile, ...flags, '-trimpath', '-o', fresh, '.')
  if (compiled.error) throw new Error(`${name} does not compile:\n${compiled.output}`)
  await rename(fresh, built)
  await writeFile(stamp, wanted)
  return { ok: true, path: built }
}

/**
 * @param {string} cwd
 * @param {...string} args
 * @returns {Promise<{ readonly output: string, readonly error?: string }>} the error in one line
 */
function go(cwd, ...args) {
  return new Promise((resolve) => {
    execFile('go', args, { cwd, env, timeout: 900_000 }, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`.trim()
      if (error) resolve({ output, error: output.split('\n').at(-1) || error.message })
      else resolve({ output })
    })
  })
}
