import { once } from 'node:events'
import type { Lab } from '../../src/index.js'

const node = process.execPath

/** Resolves with the time to open a TCP connection from a host to `address:port`, in milliseconds. */
export async function connectMs(lab: Lab, from: string, address: string, port: number): Promise<number> {
  const program = `
    const start = performance.now()
    require('node:net').connect(${port}, '${address}', () => { console.log(performance.now() - start); process.exit() })`
  return Number((await lab.run(from, [node, '-e', program])).stdout)
}

/** Sends this number of bytes from one host to another and resolves with whether the same bytes arrived. */
export async function arrivesWhole(lab: Lab, from: string, to: string, bytes: number): Promise<boolean> {
  const sum = `const hash = require('node:crypto').createHash('sha256')`
  const sink = `
    ${sum}
    require('node:net').createServer((socket) => socket.on('data', (data) => hash.update(data)).on('end', () => { console.log(hash.digest('hex')); process.exit() }))
      .listen(9000, () => console.log('listening'))`
  const source = `
    ${sum}
    const bytes = require('node:crypto').randomBytes(${bytes})
    require('node:net').connect(9000, '${lab.address(to)}').end(bytes)
    console.log(hash.update(bytes).digest('hex'))`
  const receiver = lab.spawn(to, [node, '-e', sink], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (receiver.stdout === null) throw new Error('the receiver has no output')
  await once(receiver.stdout, 'data')
  const [[received], sent] = await Promise.all([once(receiver.stdout, 'data'), lab.run(from, [node, '-e', source])])
  return String(received).trim() === sent.stdout.trim()
}

/** Sends a burst of numbered datagrams and resolves with the numbers in the order of their arrival. */
export async function burst(lab: Lab, from: string, to: string, count: number): Promise<number[]> {
  const sink = `
    const seen = []
    require('node:dgram').createSocket('udp4')
      .on('message', (text) => { if (seen.push(Number(text)) === ${count}) { console.log(JSON.stringify(seen)); process.exit() } })
      .bind(9000, () => console.log('bound'))`
  const source = `
    const socket = require('node:dgram').createSocket('udp4')
    socket.connect(9000, '${lab.address(to)}', () => { for (let n = 0; n < ${count}; n++) socket.send(String(n)) })
    setTimeout(() => process.exit(), 50)`
  const receiver = lab.spawn(to, [node, '-e', sink], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (receiver.stdout === null) throw new Error('the receiver has no output')
  await once(receiver.stdout, 'data')
  const [[data]] = await Promise.all([once(receiver.stdout, 'data'), lab.run(from, [node, '-e', source])])
  return JSON.parse(String(data)) as number[]
}

/** A connection from a host to an echo server on another host. */
export interface Talk {
  /** Writes a word and resolves with the echo, or with `false` after 300 ms. */
  say(word: string): Promise<string | false>
  /** Resolves with the next data, without a time limit. */
  hear(): Promise<string>
}

export async function talk(lab: Lab, from: string, to: string, port = 9001): Promise<Talk> {
  const echo = `require('node:net').createServer((socket) => socket.pipe(socket)).listen(${port}, () => console.log('listening'))`
  const program = `
    const socket = require('node:net').connect(${port}, '${lab.address(to)}', () => console.log('connected'))
    socket.setNoDelay().pipe(process.stdout)
    process.stdin.pipe(socket)`
  const server = lab.spawn(to, [node, '-e', echo], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (server.stdout === null) throw new Error('the echo has no output')
  await once(server.stdout, 'data')
  const { stdin, stdout } = lab.spawn(from, [node, '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] })
  if (stdin === null || stdout === null) throw new Error('the caller has no pipes')
  const hear = async (signal?: AbortSignal): Promise<string> =>
    String((await once(stdout, 'data', signal === undefined ? {} : { signal }))[0]).trim()
  await hear()
  return {
    hear: () => hear(),
    async say(word) {
      stdin.write(word)
      return hear(AbortSignal.timeout(300)).catch(() => false as const)
    }
  }
}
