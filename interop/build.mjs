// Builds the peers of other implementations into .cache/interop. Everything that Go and Cargo keep is in .cache too:
// only counters of Go's telemetry are written to the home folder, and a home folder is not needed.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

const cache = path.join(import.meta.dirname, '..', '.cache')
const goFolder = path.join(cache, 'go')
const cargoFolder = path.join(cache, 'rust')

/** A static build, the same on every machine; downloads can be deleted again (by default Go makes them read-only). */
const goFlags = ['-mod=readonly', '-modcacherw', '-buildvcs=false', '-trimpath']
const env = {
  ...process.env,
  CGO_ENABLED: '0',
  GOPATH: goFolder,
  GOMODCACHE: path.join(goFolder, 'pkg', 'mod'),
  GOCACHE: path.join(goFolder, 'build'),
  GOFLAGS: '',
  CARGO_HOME: path.join(cargoFolder, 'home'),
  CARGO_TARGET_DIR: path.join(cargoFolder, 'target'),
  RUSTFLAGS: ''
}

/** Minor versions of go-libp2p for homes that punch holes; they differ in which side is the client. The last one is
 * that of the peers. */
export const punchVersions = /** @type {const} */ (['0.40', '0.47', '0.51'])

/**
 * @typedef {{ readonly ok: true, readonly path: string } | { readonly ok: false, readonly reason: string }} Built
 * @typedef {{ readonly output: string, readonly error?: string }} Ran - `error` in one line
 * @typedef {object} Program
 * @property {string} name
 * @property {string} folder
 * @property {string} language
 * @property {readonly string[]} version - the command that tells the compiler's
 * @property {(file: string) => boolean} isSource
 * @property {(version: string) => string | undefined} refuse - why this compiler cannot be used
 * @property {(cwd: string, version: string) => Promise<Ran>} fetch
 * @property {(cwd: string, target: string) => Promise<Ran>} compile
 */

/**
 * The Go peer, built anew where its sources or the compiler changed. Missing where there is no Go or its modules
 * cannot be fetched; rejects where it does not compile.
 *
 * @param {(line: string) => void} [onProgress] told one line before something slow
 * @returns {Promise<Built>}
 */
export const buildGoPeer = (onProgress) => build(goProgram('postern-go-peer', 'go-libp2p', 'go.mod'), onProgress)

/**
 * The same for a home on one version of go-libp2p that punches holes.
 *
 * @param {typeof punchVersions[number]} version
 * @param {(line: string) => void} [onProgress]
 * @returns {Promise<Built>}
 */
export function buildGoPunch(version, onProgress) {
  const modules = version === punchVersions.at(-1) ? 'go.mod' : `go-${version}.mod`
  return build(goProgram(`postern-go-punch-${version}`, 'go-punch', modules), onProgress)
}

/**
 * A home on rust-libp2p that punches holes, in the same manner. Missing with a Rust that is too old for it, or
 * without a C compiler, which Rust links with.
 *
 * @param {(line: string) => void} [onProgress]
 * @returns {Promise<Built>}
 */
export const buildRustPunch = (onProgress) => build(rustProgram('postern-rust-punch', 'rust-punch'), onProgress)

/** The version of bore from the Rust registry. */
const boreVersion = '0.6.0'

/**
 * The server and client of bore, as published. The version is in the name, so a new one is built. Missing without
 * Rust, a C compiler, or access to the registry.
 *
 * @param {(line: string) => void} [onProgress]
 * @returns {Promise<Built>}
 */
export const buildBore = (onProgress) => {
  const root = path.join(cargoFolder, `bore-${boreVersion}`)
  const install = ['install', 'bore-cli', '--version', boreVersion, '--locked', '--force', '--root', root]
  return build(
    {
      ...rustProgram(`bore-${boreVersion}`, '.'),
      isSource: () => false,
      fetch: (cwd) => run(cwd, 'cargo', ...install),
      async compile(_cwd, target) {
        await copyFile(path.join(root, 'bin', 'bore'), target)
        return { output: '' }
      }
    },
    onProgress
  )
}

/**
 * @param {string} name
 * @param {string} folder
 * @param {string} modules - its go.mod
 * @returns {Program}
 */
function goProgram(name, folder, modules) {
  const modfile = `-modfile=${modules}`
  return {
    name,
    folder,
    language: 'Go',
    version: ['go', 'version'],
    isSource: (file) => file.endsWith('.go') || file.startsWith(modules.replace('mod', '')),
    // Go fetches a newer version by itself.
    refuse: () => undefined,
    fetch: (cwd) => run(cwd, 'go', 'mod', 'download', modfile, '-modcacherw'),
    compile: (cwd, target) => run(cwd, 'go', 'build', modfile, ...goFlags, '-o', target, '.')
  }
}

/** The oldest minor version of Rust that Cargo.toml accepts. */
const oldestRust = 88

/**
 * @param {string} name
 * @param {string} folder
 * @returns {Program}
 */
function rustProgram(name, folder) {
  return {
    name,
    folder,
    language: 'Rust',
    version: ['cargo', '--version', '--verbose'],
    isSource: (file) => file.endsWith('.rs') || file.startsWith('Cargo.'),
    refuse(version) {
      const minor = Number(/^release: 1\.(\d+)/m.exec(version)?.[1])
      return minor < oldestRust ? `Rust 1.${minor} is older than 1.${oldestRust}.` : undefined
    },
    fetch(cwd, version) {
      // Without a target, cargo fetches the crates of all systems, Windows above all: twice as much.
      const [, host = ''] = /^host: (.+)$/m.exec(version) ?? []
      return run(cwd, 'cargo', 'fetch', '--locked', '--target', host)
    },
    async compile(cwd, target) {
      const compiled = await run(cwd, 'cargo', 'build', '--locked', '--offline')
      if (!compiled.error) await copyFile(path.join(env.CARGO_TARGET_DIR, 'debug', name), target)
      return compiled
    }
  }
}

/**
 * @param {Program} program
 * @param {(line: string) => void} [onProgress]
 * @returns {Promise<Built>}
 */
async function build({ name, folder, language, ...program }, onProgress = () => {}) {
  const cwd = path.join(import.meta.dirname, folder)
  const built = path.join(cache, 'interop', name)
  const version = await run(cwd, ...program.version)
  if (version.error) return { ok: false, reason: `There is no ${language} on this machine (${version.error}).` }
  const refused = program.refuse(version.output)
  if (refused !== undefined) return { ok: false, reason: refused }
  const hash = createHash('sha256').update(version.output).update(goFlags.join(' '))
  const files = await readdir(cwd, { recursive: true })
  for (const each of files.filter(program.isSource).toSorted())
    hash.update(each).update(await readFile(path.join(cwd, each)))
  const wanted = hash.digest('hex')
  const stamp = `${built}.sha256`
  if ((await readFile(stamp, 'utf8').catch(() => '')) === wanted) return { ok: true, path: built }

  onProgress(`Building ${name}: up to a minute the first time.`)
  await mkdir(path.dirname(built), { recursive: true })
  const fetched = await program.fetch(cwd, version.output)
  if (fetched.error) return { ok: false, reason: `${language} does not get its modules (${fetched.error}).` }
  // Build under another name first, so that a running program keeps the old file, and two builds do no harm.
  const fresh = `${built}.${process.pid}`
  const compiled = await program.compile(cwd, fresh)
  const [linker] = /linker `.+` not found/.exec(compiled.output) ?? []
  if (compiled.error && linker !== undefined) return { ok: false, reason: `${language} cannot link here: ${linker}.` }
  if (compiled.error) throw new Error(`${name} does not compile:\n${compiled.output}`)
  await rename(fresh, built)
  await writeFile(stamp, wanted)
  return { ok: true, path: built }
}

/**
 * @param {string} cwd
 * @param {string} command
 * @param {...string} args
 * @returns {Promise<Ran>}
 */
function run(cwd, command, ...args) {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env, timeout: 900_000 }, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`.trim()
      if (error) resolve({ output, error: output.split('\n').at(-1)?.trim() || error.message })
      else resolve({ output })
    })
  })
}
