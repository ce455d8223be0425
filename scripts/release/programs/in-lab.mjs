// node in-lab.mjs <scene> <folder>: runs what is installed in a folder, in a lab of the installed @postern/lab, and fails unless it does
// what it is for. Writes one line about that.
import { strict as assert } from 'node:assert'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { betweenTiers, canRunLab, openLab, startSshd, withPeers } from '@postern/lab'

const waitMs = 30_000
const [scene, folder] = process.argv.slice(2)
/** The topology of each scene, and the function that plays it. */
const scenes = {
  doctor: ['home', doctor],
  'plain-http': ['home', plainHttp],
  compose: ['ipv6-firewall', compose],
  'custom-strategy': [withPeers('carrier-nat'), customStrategy],
  'upnp-nat-drop-in': ['home-pcp', upnpNatDropIn],
  'libp2p-node': [withPeers('two-homes'), libp2pNode],
  tunnel: [withPeers(betweenTiers('home', 'home')), tunnel]
}

if (scene === 'support') {
  // Why no lab can run here, or an empty line.
  const seen = await canRunLab()
  console.log(seen.ok ? '' : seen.reason)
} else {
  const [topology, play] = scenes[scene]
  const lab = await openLab(topology)
  try {
    console.log(await play(lab))
  } finally {
    await lab.close()
  }
}

/** The one-shot: npx runs what it has in its cache, since the lab has no registry. */
async function doctor(lab) {
  const command = ['npx', '--offline', '--yes', 'postern', 'doctor', '--dry-run', '--json']
  const { code, stdout, stderr } = await lab.run('home', command, { cwd: folder, timeoutMs: waitMs })
  assert.equal(code, 12, stderr)
  const report = JSON.parse(stdout)
  assert.equal(report.gateway.address, '192.168.1.1')
  const found = report.strategies.filter(({ state }) => state === 'available').map(({ name }) => name)
  assert.deepEqual(found, ['pcp', 'nat-pmp', 'upnp'])
  assert.deepEqual(await lab.rules(), [])
  return `finds ${found.join(', ')} and maps nothing`
}

async function plainHttp(lab) {
  const server = start(lab, 'home', ['index.js'])
  await server.until(/^public unverified \/ip4\/11\.0\.0\.2\/tcp\/8080$/)
  const text = await visit(lab, 'internet', 'http://11.0.0.2:8080/')
  assert.equal(text, 'Hello from behind the NAT')
  await server.end('SIGINT')
  assert.deepEqual(await lab.rules(), [])
  return 'is reached from the internet, and releases its port'
}

async function compose(lab) {
  const server = start(lab, 'home', ['index.ts'])
  assert.equal(await server.until(/^mapped/), 'mapped upnp 11.0.0.2:8080')
  await server.until(/^verdict public/)
  assert.equal(await visit(lab, 'internet', 'http://11.0.0.2:8080/'), 'Hello from a ladder of your own')
  assert.equal(await server.end('SIGTERM'), 0)
  assert.deepEqual(await lab.rules(), [])
  return 'maps through UPnP first, and releases'
}

/** Its user has a line in the configuration of ssh; here it is in a file that only this run reads. */
async function customStrategy(lab) {
  const server = await startSshd(lab, 'alpha', { folder, gatewayPorts: 'clientspecified' })
  const bin = path.join(folder, 'bin')
  fs.mkdirSync(bin)
  const own = `-i '${server.keyFile}' -o UserKnownHostsFile='${server.knownHosts}' -p ${server.port}`
  fs.writeFileSync(path.join(bin, 'ssh'), `#!/bin/sh\nPATH="\${PATH#*:}" exec ssh ${own} "$@"\n`, { mode: 0o755 })
  const program = start(lab, 'home', ['start.ts', `${server.user}@${server.address}`, server.address], bin)
  const url = await program.until(/^http:/)
  assert.equal(await visit(lab, 'bravo', url), 'Hello through ssh')
  await program.end('SIGINT')
  return 'is reached through the port of an SSH server'
}

async function upnpNatDropIn(lab) {
  const node = start(lab, 'home', ['index.js'])
  await node.until(/^\/ip4\/11\.0\.0\.2\/tcp\/4001\/p2p\//)
  assert.equal((await lab.rules()).length, 1)
  assert.equal(await node.end('SIGTERM'), 0)
  assert.deepEqual(await lab.rules(), [])
  return 'maps with PCP, and releases'
}

async function libp2pNode(lab) {
  const relays = await startRelays(lab)
  const one = start(lab, 'home', ['index.js', ...relays])
  const other = start(lab, 'home2', ['index.js', ...relays])
  await one.until(/^address: \/ip4\/11\.0\.0\.2\//)
  const address = await other.until(/^address: \/ip4\/12\.0\.0\.2\//)
  one.tell(address.replace('address: ', ''))
  assert.match(await one.until(/^(?:direct|relayed):/), /^direct: \/ip4\/12\.0\.0\.2\/tcp\/4001\//)
  one.tell('Are you there?')
  await other.until(/^< Are you there\?$/)
  assert.equal(await one.end('SIGTERM'), 0)
  assert.equal(await other.end('SIGTERM'), 0)
  for (const router of ['router', 'router2']) assert.deepEqual(await lab.rules(router), [])
  return 'two homes chat directly, after two relays have verified their addresses'
}

async function tunnel(lab) {
  const relays = await startRelays(lab)
  const echo = `require('node:http').createServer((_, reply) => reply.end('Hello through the tunnel')).listen(2200, '127.0.0.1', () => console.log('ready'))`
  await start(lab, 'home', ['-e', echo]).until(/^ready$/)
  const there = start(lab, 'home', ['index.js', 'listen', '2200', ...relays])
  const here = start(lab, 'home2', ['index.js', 'connect', '2222', ...relays])
  there.tell((await here.until(/^id: /)).replace('id: ', ''))
  const addresses = await there.until(/^addresses: .*\/p2p-circuit/)
  here.tell(addresses.split(' ').find((each) => each.includes('/p2p-circuit')))
  assert.match(await here.until(/^(?:direct|relayed):/), /^direct: \/ip4\/11\.0\.0\.2\//)
  assert.equal(await visit(lab, 'home2', 'http://127.0.0.1:2222/'), 'Hello through the tunnel')
  assert.equal(await there.end('SIGTERM'), 0)
  assert.equal(await here.end('SIGTERM'), 0)
  return 'carries a page from home to home, directly'
}

/** Starts the installed `postern relay` on two public hosts. Resolves with their addresses. */
function startRelays(lab) {
  const postern = path.join(import.meta.dirname, 'node_modules', 'postern', 'bin', 'postern.js')
  return Promise.all(
    ['alpha', 'bravo'].map(async (host) => {
      const listen = `/ip4/${lab.address(host)}/tcp/4001`
      const key = path.join(folder, `${host}.key`)
      const relay = start(lab, host, [postern, 'relay', '--json', '--listen', listen, '--key', key])
      const { peerId } = JSON.parse(await relay.until(/"event":"listening"/))
      return `${listen}/p2p/${peerId}`
    })
  )
}

/** Resolves with the text of a page, as a host of the lab reads it. */
async function visit(lab, host, url) {
  const text = `console.log(await (await fetch('${url}')).text())`
  const command = [process.execPath, '--input-type=module', '-e', text]
  const { code, stdout, stderr } = await lab.run(host, command, { timeoutMs: waitMs })
  assert.equal(code, 0, stderr)
  return stdout.trim()
}

/** Starts Node.js in a host of the lab, with the folder as its working folder, and programs of `bin` before all others. */
function start(lab, host, args, bin = '/nonexistent') {
  const shell = ['sh', '-c', 'PATH="$0:$PATH" exec "$@"', bin, process.execPath, ...args]
  const child = lab.spawn(host, shell, { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] })
  const exited = once(child, 'exit')
  const said = []
  const looks = new Set()
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      said.push(line)
      for (const look of looks) look()
    })
  child.stdin.on('error', () => undefined)
  return {
    tell: (line) => void child.stdin.write(`${line}\n`),
    /** Resolves with the first line that matches. */
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const line = said.find((each) => pattern.test(each))
          if (line === undefined) return
          clearTimeout(timer)
          looks.delete(look)
          resolve(line)
        }
        const fail = () =>
          reject(new Error(`${args.join(' ')} did not print ${pattern}; it printed:\n${said.join('\n')}`))
        const timer = setTimeout(fail, waitMs)
        looks.add(look)
        look()
      }),
    /** Resolves with the exit code. */
    async end(signal) {
      child.kill(signal)
      await exited
      return child.exitCode
    }
  }
}
