import { once } from 'node:events'
import { betweenTiers, type Lab, type Tier, type TiersOptions, withPeers } from '@postern/lab'
import { command, enter, folder, posternIn, type Running } from './in-lab.js'
import { pasted, startRelay } from './relays.js'

/** Two homes and two relays. */
export interface TunnelHomes {
  readonly lab: Lab
  readonly relays: readonly string[]
  /** The options that name the relays. */
  readonly named: readonly string[]
  /** The id of the connecting peer in `home2`. */
  readonly guest: string
  listen(...args: readonly string[]): Promise<{ readonly running: Running; readonly peerId: string }>
  connect(peerId: string, ...args: readonly string[]): Running
  /** Runs another command in `home2`. */
  guestRuns(args: readonly string[]): Running
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
    named,
    guest,
    guestRuns: (args) => command(lab, args, here, 'home2'),
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

const endless = `require('node:net').createServer((s) => { const more = () => { while (s.write(Buffer.alloc(65536))); }; s.on('error', () => {}).on('drain', more); more() }).listen(+process.argv[1], '127.0.0.1', () => console.log('ready'))`

/** An echo server, which ends a connection when the other side does. */
export const serveEcho = (lab: Lab, host: string, port: number): Promise<void> => serve(lab, host, port, echo)

/** A server that sends endlessly. */
export const serveEndless = (lab: Lab, host: string, port: number): Promise<void> => serve(lab, host, port, endless)

async function serve(lab: Lab, host: string, port: number, program: string): Promise<void> {
  const child = lab.spawn(host, [process.execPath, '-e', program, String(port)], { stdio: 'pipe' })
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

/** Sends random bytes through the tunnel, ends, and reads the answer: `same <count>`, `other <count>`, or the code of
 * an error. */
export async function sendThrough(lab: Lab, bytes: number): Promise<string> {
  const { stdout } = await lab.run('home2', [process.execPath, '-e', send, String(bytes)], { timeoutMs: 30_000 })
  return stdout.trim()
}

const read = `
  let count = 0
  require('node:net').connect({ host: '127.0.0.1', port: 2222 })
    .on('data', (data) => { if (count === 0) console.log('begun'); count += data.length })
    .on('end', () => { console.log('ended'); process.exit() })
    .on('error', (error) => { console.log(error.code); process.exit() })`

/** Reads from the tunnel. Returns when data starts to arrive, and how it ends: `ended`, or the code of an error. */
export function readThrough(lab: Lab): { readonly begun: Promise<unknown>; readonly end: Promise<string> } {
  const child = lab.spawn('home2', [process.execPath, '-e', read], { stdio: 'pipe' })
  const { stdout } = child
  if (stdout === null) throw new Error('nothing to read')
  let said = ''
  stdout.on('data', (data: Buffer) => {
    said += data.toString()
  })
  const end = new Promise<string>((resolve) => {
    child.once('close', () => resolve(said.trim().split('\n').at(-1) ?? ''))
  })
  return { begun: once(stdout, 'data'), end }
}

/** Resolves to the first direct address that `tunnel listen` announces; it is verified then. */
export async function mappedAddress(running: Running): Promise<string> {
  const isMapped = (address: string): boolean =>
    address.startsWith('/ip4/11.0.0.2/tcp/') && !address.includes('p2p-circuit')
  for (const { addresses } of running.told) {
    const found = addresses?.find(isMapped)
    if (found !== undefined) return found.replace(/\/p2p\/.*/, '')
  }
  await running.next('addresses')
  return mappedAddress(running)
}
