// Sets up the clone, then runs a command in it: node scripts/run.mjs [--build] [command [argument…]]
// With --build it builds the packages first, all in one process of TypeScript: that takes a quarter of the time of one process
// for each, as `turbo run build` starts them.
//
// Plain JavaScript for Node 20 and later with npm, on machines with nothing else. npm installs toolchain/ from its lock
// file: pnpm and, if the machine's own Node is too old, Node. pnpm then installs the rest.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { constants, release } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const tools = path.join(root, 'toolchain', 'node_modules')
const bin = path.join(root, 'node_modules', '.bin')
const installed = path.join(root, 'node_modules', '.cache', 'installed')

const windows = process.platform === 'win32'
const exe = windows ? 'node.exe' : 'node'
const node = path.join(tools, `node-${windows ? 'win' : process.platform}-${process.arch}`, 'bin', exe)
const [major, minor] = process.versions.node.split('.').map(Number)
const tooOld = major < 22 || (major === 22 && minor < 19) // the highest minimum of the development tools

process.chdir(root)

const exitCode = (code, signal) => code ?? 128 + constants.signals[signal]
const modified = (file) => fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Runs a step of the set-up. Its output is shown only if it fails. */
function must(cwd, command, ...args) {
  const { error, signal, status, stdout, stderr } = spawnSync(command, args, { cwd, shell: windows, encoding: 'utf8' })
  if (error) throw error
  if (status === 0) return
  process.stderr.write(`${stdout}${stderr}`)
  process.exit(exitCode(status, signal))
}

/** What `pnpm install` depends on. It runs again only after one of these files has changed. */
function wanted() {
  const folders = ['.', 'test', 'interop', 'bench', 'fuzz', 'soak']
  for (const parent of ['packages', 'examples', 'templates']) {
    for (const name of fs.readdirSync(parent)) folders.push(path.join(parent, name))
  }
  const manifests = folders.map((folder) => path.join(folder, 'package.json'))
  const hash = createHash('sha256')
  for (const file of ['toolchain/package-lock.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc', ...manifests]) {
    if (fs.existsSync(file)) hash.update(`${file}\n${fs.readFileSync(file, 'utf8')}\n`)
  }
  return hash.digest('hex')
}

function readInstalled() {
  return fs.existsSync(installed) ? fs.readFileSync(installed, 'utf8') : ''
}

/**
 * What the results of tests depend on besides files: the Node that runs them, the kernel, and the programs without which
 * tests are skipped. turbo takes no result from its cache that was made where these were different.
 */
function machine() {
  const folders = process.env.PATH.split(path.delimiter)
  const programs = ['unshare', 'apt-get', 'go', 'cargo'].filter((name) =>
    folders.some((folder) => fs.existsSync(path.join(folder, name)))
  )
  const version = tooOld ? path.basename(path.dirname(path.dirname(node))) : process.version
  return [version, process.platform, process.arch, release(), ...programs].join(' ')
}

const stale = modified('toolchain/package-lock.json') > modified('toolchain/node_modules/.package-lock.json')
if (stale || (tooOld && !fs.existsSync(node))) {
  console.log(`Setting up: pnpm${tooOld ? ` and Node 24 (this is ${process.version})` : ''}, a few seconds.`)
  const quiet = ['--loglevel=error', '--no-audit', '--no-fund', '--no-update-notifier']
  must('toolchain', 'npm', 'ci', '--prefer-offline', ...quiet, ...(tooOld ? [] : ['--omit=optional']))
  if (tooOld && !fs.existsSync(node)) {
    console.error(
      `Node ${process.version} is too old, and there is none to fetch for ${process.platform}-${process.arch}.`
    )
    console.error('Install Node 22.19 or later, then run this again.')
    process.exit(1)
  }
}

process.env.PATH = [path.join(tools, '.bin'), bin, process.env.PATH].join(path.delimiter)
process.env.DO_NOT_TRACK = '1' // turbo's telemetry
process.env.NODE_COMPILE_CACHE = path.join(root, 'node_modules', '.cache', 'node') // not the system's temporary folder
process.env.NODE_USE_SYSTEM_CA = '1' // the certificates of the machine, for every version of Node
process.env.POSTERN_MACHINE = machine()

const updateLock = Boolean(process.env.POSTERN_UPDATE_LOCK)
if (updateLock || readInstalled() !== wanted()) {
  if (!fs.existsSync(path.join('node_modules', '.modules.yaml'))) {
    console.log('Setting up: dependencies, a few seconds more.')
  }
  const lock = updateLock ? '--no-frozen-lockfile' : '--frozen-lockfile'
  must('.', 'pnpm', 'install', lock, '--prefer-offline', '--reporter=append-only')
  fs.mkdirSync(path.dirname(installed), { recursive: true })
  fs.writeFileSync(installed, wanted())
}

// A program in .bin runs with the Node beside it, if there is one, before the one on PATH.
const link = path.join(bin, exe)
if (fs.existsSync(node) && (stale || !fs.existsSync(link))) {
  fs.rmSync(link, { force: true })
  if (windows) fs.linkSync(node, link)
  else fs.symlinkSync(path.relative(bin, node), link)
}

const build = process.argv[2] === '--build'
const [command, ...args] = process.argv.slice(build ? 3 : 2)
if (build) {
  const startedMs = performance.now()
  must('.', 'tsc', '-b')
  must('.', 'node', path.join('scripts', 'bundle.mjs'))
  must('.', 'node', path.join('packages', 'status', 'page', 'build.mjs'))
  console.log(`✔ build (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`)
}
if (command) {
  const child = spawn(command, args, { shell: windows, stdio: 'inherit' })
  process.on('SIGINT', () => {}) // the terminal sends it to the child too
  for (const signal of ['SIGHUP', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    console.error(error.message)
    process.exitCode = 127
  })
  child.on('exit', (code, signal) => {
    process.exitCode = exitCode(code, signal)
  })
}
