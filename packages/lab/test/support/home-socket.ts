import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Lab } from '../../src/index.js'

/** A UDP socket of `home` that a test directs. It ends with the lab. */
export interface HomeSocket {
  /** What it has received, in order: `answer of a STUN server`, or `text from address`. */
  readonly heard: readonly string[]
  /** Sends a STUN request to `address:port`, and resolves with the answer. */
  askStun(server: string): Promise<void>
  /** Sends a datagram to the last sender. */
  answer(): void
  /** Resolves when the socket has received this. */
  until(text: string): Promise<void>
}

/** Binds a UDP socket of `home` to a port. */
export async function bindAtHome(lab: Lab, port: number): Promise<HomeSocket> {
  const program = `
    const socket = require('node:dgram').createSocket('udp4').bind(${port}, () => console.log('bound'))
    let last
    socket.on('message', (data, { address, port }) => {
      last = [port, address]
      console.log(data.readUInt16BE() === 0x0101 ? 'answer of a STUN server' : data + ' from ' + address)
    })
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      if (line === 'answer') return socket.send('answer', ...last)
      const [address, port] = line.split(':')
      const id = require('node:crypto').randomBytes(12)
      socket.send(Buffer.concat([Buffer.from('000100002112a442', 'hex'), id]), Number(port), address)
    })`
  const child = lab.spawn('home', [process.execPath, '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] })
  if (child.stdout === null) throw new Error('home has no output')
  const heard: string[] = []
  const lines = createInterface({ input: child.stdout })
  await once(lines, 'line')
  lines.on('line', (line) => heard.push(line))
  const until = async (isThere: () => boolean): Promise<void> => {
    while (!isThere()) await once(lines, 'line')
  }
  return {
    heard,
    askStun(server) {
      const before = heard.length
      child.stdin?.write(`${server}\n`)
      return until(() => heard.slice(before).includes('answer of a STUN server'))
    },
    answer: () => void child.stdin?.write('answer\n'),
    until: (text) => until(() => heard.includes(text))
  }
}

/**
 * Starts a host that sends a datagram to `address:port` when the returned function is called, without the delay of
 * starting a program.
 */
export async function readyToSend(lab: Lab, host: string, text: string, to: string): Promise<() => void> {
  const [address, port] = to.split(':')
  const program = `
    const socket = require('node:dgram').createSocket('udp4').bind(() => console.log('bound'))
    process.stdin.once('data', () => socket.send('${text}', ${port}, '${address}', () => process.exit()))`
  const child = lab.spawn(host, [process.execPath, '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] })
  if (child.stdout === null) throw new Error(`${host} has no output`)
  await once(child.stdout, 'data')
  return () => void child.stdin?.write('now')
}

/** Resolves with the hosts that a router has recorded for its external UDP ports, as nft prints them. */
export async function noted(lab: Lab): Promise<string> {
  const { stdout } = await lab.run('router', ['nft', 'list', 'map', 'inet', 'router', 'noted'])
  return /elements = \{([^}]*)\}/.exec(stdout)?.[1]?.trim() ?? ''
}
