import { betweenTiers, type Lab, type Tier, type TiersOptions, withPeers } from '@postern/lab'
import { command, enter, folder, posternIn, type Running } from './in-lab.js'
import { pasted, startRelay } from './relays.js'

/** Two homes that know two relays. */
export interface TunnelHomes {
  readonly lab: Lab
  readonly relays: readonly string[]
  /** The id of whoever connects, in `home2`. */
  readonly guest: string
  listen(...args: readonly string[]): Promise<{ readonly running: Running; readonly peerId: string }>
  connect(peerId: string, ...args: readonly string[]): Running
}

export async function openTunnelHomes(one: Tier, other: Tier, options: TiersOptions = {}): Promise<TunnelHomes> {
  const lab = await enter(withPeers(betweenTiers(one, other, options)))
  const relays = (await Promise.all([startRelay(lab, 'alpha'), startRelay(lab, 'bravo')])).map(pasted)
  const named = relays.flatMap((relay) => ['--relay', relay])
  const [there, here] = [await folder(), await folder()]
  const key = `${here}/guest.key`
  const guest = (await posternIn(lab, ['tunnel', 'id', '--key', key], 'home2')).stdout.trim()
  return {
    lab,
    relays,
    guest,
    async listen(...args) {
      const running = command(lab, ['tunnel', 'listen', '--json', ...named, ...args], there, 'home')
      const told = await running.next('listening')
      for (;;) {
        const { addresses } = await running.next('addresses')
        if (addresses?.some((each) => each.includes('/p2p-circuit')) === true) break
      }
      return { running, peerId: 'peerId' in told ? String(told.peerId) : '' }
    },
    connect: (peerId, ...args) =>
      command(lab, ['tunnel', 'connect', peerId, '2222', '--json', '--key', key, ...named, ...args], here, 'home2')
  }
}

const echo = `require('node:net').createServer({ allowHalfOpen: true }, (s) => s.on('error', () => {}).pipe(s)).listen(+process.argv[1], '127.0.0.1', () => console.log('ready'))`

/** A server that says back what it hears, and ends when the other side has. */
export async function serveEcho(lab: Lab, host: string, port: number): Promise<void> {
  const child = lab.spawn(host, [process.execPath, '-e', echo, String(port)], { stdio: 'pipe' })
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('close', () => reject(new Error('the server did not start')))
  })
}

const send = `
  const { createHash, randomBytes } = require('node:crypto')
  const bytes = randomBytes(+process.argv[1])
  const heard = createHash('sha256')
  let count = 0
  const socket = require('node:net').connect({ host: '127.0.0.1', port: 2222, allowHalfOpen: true })
  socket.on('data', (data) => { heard.update(data); count += data.length })
    .on('end', () => { console.log(heard.digest('hex') === createHash('sha256').update(bytes).digest('hex') ? 'same ' + count : 'other ' + count); process.exit() })
    .on('error', (error) => { console.log(error.code); process.exit() })
  socket.end(bytes)`

/** Sends so many random bytes through the tunnel, ends, and reads on: `same <count>`, `other <count>`, or an error's code. */
export async function sendThrough(lab: Lab, bytes: number): Promise<string> {
  const { stdout } = await lab.run('home2', [process.execPath, '-e', send, String(bytes)], { timeoutMs: 30_000 })
  return stdout.trim()
}
