// Sets up the clone, then runs a command in it: node scripts/run.mjs [command [argument…]]
//
// Plain JavaScript for Node 20 and later with npm, on machines with nothing else. npm installs toolchain/ from its lock
// file: pnpm and, if the machine's own Node is too old, Node. pnpm then installs the rest.
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const tools = path.join(root, 'toolchain', 'node_modules')
const bin = path.join(root, 'node_modules', '.bin')

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
// Prints nothing if there is nothing to do.
const first = !fs.existsSync(path.join('node_modules', '.modules.yaml'))
if (first) console.log('Setting up: dependencies, a few seconds more.')
const lock = process.env.POSTERN_UPDATE_LOCK ? '--no-frozen-lockfile' : '--frozen-lockfile'
must('.', 'pnpm', 'install', lock, '--prefer-offline', '--reporter=append-only')

// A program in .bin runs with the Node beside it, if there is one, before the one on PATH.
const link = path.join(bin, exe)
if (fs.existsSync(node) && (stale || !fs.existsSync(link))) {
  fs.rmSync(link, { force: true })
  if (windows) fs.linkSync(node, link)
  else fs.symlinkSync(path.relative(bin, node), link)
}

const [command, ...args] = process.argv.slice(2)
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
