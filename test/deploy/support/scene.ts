import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Lab, openLab, withPeers } from '@postern/lab'
import { command, folder, type Running, serve } from '../../../packages/cli/test/support/in-lab.js'
import { pasted, startRelay } from '../../../packages/cli/test/support/relays.js'
import { startWitness, two } from '../../../packages/cli/test/support/witnesses.js'

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const forwarder = file('forwarder.mjs')
const libp2pNode = file('libp2p-node.mjs')
const reserve = file('../../../packages/cli/test/support/reserve.mjs')

/** What Prometheus reads, by the jobs of deploy/prometheus/prometheus.yml. */
export type Targets = Readonly<Record<string, readonly string[]>>

/** Relays, witnesses and nodes in a lab, which serve metrics. */
export interface Scene extends AsyncDisposable {
  readonly targets: Targets
  /** Makes traffic, grants and refusals. Calls `afterFirstPunch` between two hole punches, and waits for it. */
  play(afterFirstPunch: () => Promise<unknown>): Promise<void>
}

/**
 * Starts two relays, two witnesses and three nodes behind a router in a lab. The metrics of each are on loopback of its
 * host, as on a real machine; a port of this machine's loopback leads to each of them.
 */
export async function openScene(): Promise<Scene> {
  const lab = await openLab(withPeers('home'))
  const servers: Server[] = []
  const lead = async (host: string, port: number): Promise<string> => {
    const server = await leadTo(lab, host, port, join(await folder(), 'socket'))
    servers.push(server)
    return `127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  await serve(lab, 'home', 8080)
  const [alpha, bravo] = await Promise.all([
    startRelay(lab, 'alpha', '--metrics', '9464', '--witness', '4003'),
    startRelay(lab, 'bravo', '--metrics', '9464')
  ])
  // The witness tests two addresses a minute for one client.
  const witness = await startWitness(lab, 'bravo', '--metrics', '9465', '--requests-per-ip', '2')
  const known = [alpha, bravo].flatMap((each) => ['--relay', pasted(each), '--peer', pasted(each)])
  const peer = command(lab, ['peer', '--json', '--metrics', '9466', ...known], await folder())
  // No router has the second address, so there are requests that fail.
  const via = 'any,nat-pmp:192.168.1.99'
  const map = command(lab, ['map', '8080', '--via', via, '--json', '--metrics', '9467', ...two], await folder())
  const program = lab.spawn('home', [process.execPath, libp2pNode, '9468'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await Promise.all([peer.next('metrics'), map.next('verified'), firstOutput(program)])
  const running = [alpha.running, bravo.running, witness, peer, map]
  return {
    targets: {
      'postern-relay': await Promise.all([lead('alpha', 9464), lead('bravo', 9464)]),
      'postern-witness': [await lead('bravo', 9465)],
      'postern-node': await Promise.all([9466, 9467, 9468].map((port) => lead('home', port)))
    },
    play: (afterFirstPunch) => play(lab, pasted(alpha), peer, afterFirstPunch),
    async [Symbol.asyncDispose]() {
      for (const { child } of running) child.kill('SIGTERM')
      await Promise.all(running.map(({ ended }) => ended))
      for (const server of servers) server.close()
      await lab.close()
    }
  }
}

/** Opens a port of loopback that leads to the metrics at a port of a host's loopback. */
async function leadTo(lab: Lab, host: string, port: number, path: string): Promise<Server> {
  await firstOutput(
    lab.spawn(host, [process.execPath, forwarder, path, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] })
  )
  const server = createServer((near) => {
    const far = connect(path)
    near.pipe(far).pipe(near)
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function firstOutput({ stdout }: ChildProcess): Promise<void> {
  if (stdout === null) throw new Error('no pipe')
  await once(stdout, 'data')
}

/** Asks the witness of `bravo` to test an address. */
const ask = (address: string): string => `
  fetch('http://31.0.0.1:4003/v1/verify', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ protocol: 'tcp', address: '${address}', port: 8080, nonce: '000102030405060708090a0b' })
  }).then((reply) => reply.text()).then(console.log)`

async function play(lab: Lab, relay: string, peer: Running, afterFirstPunch: () => Promise<unknown>): Promise<void> {
  // The relay grants four of the five reservations of one address.
  const reserved = lab.run('outsider', [process.execPath, reserve, relay, '5'], { timeoutMs: 20_000 })
  const relayed = await relayedAddress(peer)
  await dialFrom(lab, 'outsider', relayed)
  // The second one is another address than that of the client; after the third one a limit is reached.
  for (const address of ['11.0.0.2', '41.0.0.1', '11.0.0.2'])
    await lab.run('home', [process.execPath, '-e', ask(address)])
  await afterFirstPunch()
  await dialFrom(lab, 'charlie', relayed)
  await reserved
  // The router forgets the mappings, and the nodes renew them.
  await lab.reboot()
}

/** Connects to an address through a relay; the two peers replace the connection by a direct one. */
async function dialFrom(lab: Lab, host: string, address: string): Promise<void> {
  const dialling = command(lab, ['peer', '--json', '--via', 'none', '--dial', address], await folder(), host)
  while ((await dialling.next('upgrade')).state !== 'direct');
  dialling.child.kill('SIGTERM')
  await dialling.ended
}

/** Resolves with an address of a node through a relay. */
async function relayedAddress(node: Running): Promise<string> {
  const isAddress = (address: string): boolean => address.includes('/p2p-circuit')
  const find = (): string | undefined => node.told.flatMap(({ addresses }) => addresses ?? []).find(isAddress)
  let found = find()
  while (found === undefined) {
    await node.next('addresses')
    found = find()
  }
  return found
}
