// A registry of npm on loopback, Verdaccio, with its data in a folder of the caller. What it does not have it fetches from the registry
// that npm is configured with.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { must, start } from './run-program.mjs'

const root = path.dirname(path.dirname(import.meta.dirname))
const sources = path.join(import.meta.dirname, 'registry')
const installed = path.join(root, 'node_modules', '.cache', 'registry')
const startMs = 60_000

/** The registry ends with the program that has started it, however that ends: the other end of its standard input closes. */
const endWithInput = pathToFileURL(path.join(import.meta.dirname, 'programs', 'end-with-input.mjs')).href

/**
 * Starts a registry with nothing in it.
 *
 * @param {string} folder for its data
 * @returns {Promise<{ url: string, token: string }>} `token` lets npm publish. endPrograms() ends the registry
 */
export async function startRegistry(folder) {
  await install()
  fs.mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}/`
  const config = path.join(folder, 'config.yaml')
  fs.writeFileSync(config, configText(folder, await registryOfNpm()))
  const logFile = path.join(folder, 'registry.log')
  const log = fs.openSync(logFile, 'w')
  const bin = path.join(installed, 'node_modules', 'verdaccio', 'bin', 'verdaccio')
  const args = ['--import', endWithInput, bin, '--config', config, '--listen', `127.0.0.1:${port}`]
  const { child } = start(folder, process.execPath, args, { stdio: ['pipe', log, log] })
  fs.closeSync(log)
  await untilAnswers(url, child, logFile)
  return { url, token: await addUser(url) }
}

/** Installs Verdaccio from its lock file, unless that is installed already. */
async function install() {
  const lock = fs.readFileSync(path.join(sources, 'package-lock.json'))
  const stamp = path.join(installed, 'installed')
  const wanted = createHash('sha256').update(lock).digest('hex')
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === wanted) return
  fs.mkdirSync(installed, { recursive: true })
  for (const name of ['package.json', 'package-lock.json'])
    fs.cpSync(path.join(sources, name), path.join(installed, name))
  await must(installed, 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  fs.writeFileSync(stamp, wanted)
}

async function registryOfNpm() {
  const registry = await must(root, 'npm', ['config', 'get', 'registry'])
  return registry.trim() || 'https://registry.npmjs.org/'
}

/** Ours are never fetched from elsewhere, even where a package of the same name is there. */
const configText = (folder, upstream) => `storage: ${JSON.stringify(path.join(folder, 'storage'))}
auth:
  htpasswd:
    file: ${JSON.stringify(path.join(folder, 'htpasswd'))}
uplinks:
  npm:
    url: ${JSON.stringify(upstream)}
    timeout: 60s
    maxage: 1h
    max_fails: 100
packages:
  '@postern/*': { access: $all, publish: $authenticated }
  'postern': { access: $all, publish: $authenticated }
  '**': { access: $all, proxy: npm }
server: { keepAliveTimeout: 60 }
max_body_size: 50mb
web: { enable: false }
log: { type: stdout, format: pretty, level: warn }
`

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function untilAnswers(url, server, logFile) {
  const until = performance.now() + startMs
  while (performance.now() < until && server.exitCode === null) {
    const answer = await fetch(`${url}-/ping`).catch(() => undefined)
    if (answer?.ok) return
    await sleep(100)
  }
  throw new Error(`the registry does not start: ${fs.readFileSync(logFile, 'utf8').slice(0, 1000)}`)
}

async function addUser(url) {
  const response = await fetch(`${url}-/user/org.couchdb.user:rehearsal`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'rehearsal', password: 'of a release' })
  })
  const { token } = await response.json()
  if (typeof token !== 'string') throw new Error(`the registry gives no token: status ${response.status}`)
  return token
}
