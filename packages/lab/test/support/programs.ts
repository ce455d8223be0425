import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Lab } from '../../src/index.js'

const node = process.execPath

/** Starts an HTTP server in a host. Resolves when it listens. It ends with the lab. */
export async function serve(lab: Lab, host: string, port: number, address = '0.0.0.0'): Promise<ChildProcess> {
  const program = `require('node:http').createServer((request, response) => response.end('from ${host}, to ' + request.socket.remoteAddress))
    .listen(${port}, '${address}', () => console.log('listening'))`
  const child = lab.spawn(host, [node, '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (child.stdout === null) throw new Error('no output')
  await once(child.stdout, 'data')
  return child
}

/** Resolves with the text of a page that a host requests, or with the error code (`TIMEOUT` after 500 ms). */
export async function visit(lab: Lab, host: string, url: string): Promise<string> {
  const program = `
    const request = require('node:http').get('${url}', { agent: false }, async (response) => {
      for await (const chunk of response.setEncoding('utf8')) process.stdout.write(chunk)
      process.exit()
    })
    request.on('error', (error) => { console.log(error.code); process.exit() })
    setTimeout(() => { console.log('TIMEOUT'); process.exit() }, 500)`
  return (await lab.run(host, [node, '-e', program])).stdout.trim()
}

/** Sends two datagrams from one socket of `from` to two ports of `to`. Resolves with the source ports that arrive. */
export async function sourcePorts(lab: Lab, from: string, to: string): Promise<[number, number]> {
  const receiver = `
    const seen = []
    for (const port of [7001, 7002]) {
      const socket = require('node:dgram').createSocket('udp4')
      socket.on('message', (text, { port }) => { if (seen.push(port) === 2) { console.log(JSON.stringify(seen)); process.exit() } })
      socket.bind(port, () => console.error('bound'))
    }`
  const sender = `
    const socket = require('node:dgram').createSocket('udp4')
    socket.bind(6000, () => { for (const port of [7001, 7002]) socket.send('x', port, '${lab.address(to)}') })
    setTimeout(() => process.exit(), 100)`
  const child = lab.spawn(to, [node, '-e', receiver], { stdio: ['ignore', 'pipe', 'pipe'] })
  let bound = ''
  for await (const chunk of child.stderr ?? []) if ((bound += String(chunk)).match(/bound/g)?.length === 2) break
  if (child.stdout === null) throw new Error('the receiver has no output')
  const [[data]] = await Promise.all([once(child.stdout, 'data'), lab.run(from, [node, '-e', sender])])
  return JSON.parse(String(data)) as [number, number]
}

export interface PcpReply {
  readonly result: number
  readonly epoch: number
}

/**
 * Requests a mapping (IPv4) or pinhole (IPv6) for a port of `home` by PCP. Resolves with the answer, `TIMEOUT` after
 * 500 ms, or an error code.
 */
export async function pcpMap(
  lab: Lab,
  gateway: string,
  protocol: 'tcp' | 'udp',
  port: number
): Promise<PcpReply | string> {
  const six = gateway.includes(':')
  const client = six ? lab.address6('home') : lab.address('home')
  const bytes = Buffer.alloc(60)
  bytes.set([2, 1], 0)
  bytes.writeUInt32BE(300, 4)
  bytes.set(addressBytes(client), 8)
  bytes.set(crypto.getRandomValues(new Uint8Array(12)), 24)
  bytes[36] = protocol === 'tcp' ? 6 : 17
  bytes.writeUInt16BE(port, 40)
  bytes.writeUInt16BE(port, 42)
  bytes.set(addressBytes(six ? '::' : '0.0.0.0'), 44)
  const program = `
    const request = Buffer.from('${bytes.toString('hex')}', 'hex')
    const socket = require('node:dgram').createSocket('udp${six ? 6 : 4}')
    socket.on('message', (reply) => { console.log(JSON.stringify({ result: reply[3], epoch: reply.readUInt32BE(8) })); process.exit() })
    socket.on('error', (error) => { console.log(JSON.stringify(error.code)); process.exit() })
    socket.bind(0, '${client}', () => socket.connect(5351, '${gateway}', () => socket.send(request)))
    setTimeout(() => { console.log('"TIMEOUT"'); process.exit() }, 500)`
  return JSON.parse((await lab.run('home', [node, '-e', program])).stdout) as PcpReply | string
}

/** Returns the 16 bytes of an address; IPv4 as IPv4-mapped. */
function addressBytes(address: string): Uint8Array {
  const bytes = new Uint8Array(16)
  if (!address.includes(':')) {
    bytes.set([255, 255], 10)
    bytes.set(address.split('.').map(Number), 12)
    return bytes
  }
  const [left = '', right = ''] = address.split('::')
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const view = new DataView(bytes.buffer)
  groups(left).forEach((group, index) => view.setUint16(index * 2, group))
  groups(right)
    .toReversed()
    .forEach((group, index) => view.setUint16(14 - index * 2, group))
  return bytes
}

/** Resolves with the output of natpmpc for a mapping of a TCP port of a host. */
export async function natPmpMap(lab: Lab, port: number, gateway = '192.168.1.1', host = 'home'): Promise<string> {
  const command = ['natpmpc', '-g', gateway, '-a', String(port), String(port), 'tcp', '100']
  return (await lab.run(host, command, { timeoutMs: 600 })).stdout
}

/** Sends two datagrams with a TTL of 1 from `home`. Resolves with the number of time-exceeded messages, or an error. */
export async function lowTtl(lab: Lab, address: string): Promise<number | string> {
  const program = `
    const exceeded = () => {
      const [names, values] = require('node:fs').readFileSync('/proc/self/net/snmp', 'utf8').match(/^Icmp:.*$/gm).map((line) => line.split(' '))
      return values[names.indexOf('InTimeExcds')]
    }
    const say = (value) => { console.log(JSON.stringify(value)); process.exit() }
    const before = exceeded()
    for (const port of [33434, 33435]) {
      const socket = require('node:dgram').createSocket('udp4')
      socket.on('error', (error) => { if (error.code === 'ECONNREFUSED') say(error.code) })
      socket.connect(port, '${address}', () => { socket.setTTL(1); socket.send('') })
    }
    setTimeout(() => say(exceeded() - before), 100)`
  return JSON.parse((await lab.run('home', [node, '-e', program])).stdout) as number | string
}

/** Resolves with whether an echo on another host returns a datagram of `size` bytes within 300 ms. */
export async function datagramReturns(lab: Lab, from: string, to: string, size = 1): Promise<boolean> {
  const echo = `
    const socket = require('node:dgram').createSocket('udp4')
    socket.on('message', (text, { port, address }) => socket.send(text, port, address))
    socket.bind(7000, () => console.log('bound'))`
  const sender = `
    const socket = require('node:dgram').createSocket('udp4')
    socket.on('message', () => process.exit(0))
    socket.send('x'.repeat(${size}), 7000, '${lab.address(to)}')
    setTimeout(() => process.exit(1), 300)`
  const child = lab.spawn(to, [node, '-e', echo], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (child.stdout === null) throw new Error('the echo has no output')
  await once(child.stdout, 'data')
  const { code } = await lab.run(from, [node, '-e', sender])
  child.kill()
  return code === 0
}

/** Resolves with the output of upnpc for a mapping of a TCP port of `home`; its search takes 2 s. */
export async function upnpMap(lab: Lab, port: number): Promise<string> {
  const url = `http://${lab.address('router')}:${lab.controlPort()}/rootDesc.xml`
  const command = ['upnpc', '-u', url, '-a', lab.address('home'), String(port), String(port), 'tcp', '300']
  const { stdout, stderr } = await lab.run('home', command)
  return stdout + stderr
}

/** Resolves with the number of ICMP destination-unreachable messages that a host has received. */
export async function unreachables(lab: Lab, host: string): Promise<number> {
  const { stdout } = await lab.run(host, ['grep', '^Icmp:', '/proc/self/net/snmp'])
  const [names = [], values = []] = stdout.split('\n').map((line) => line.split(' '))
  return Number(values[names.indexOf('InDestUnreachs')])
}

/** Resolves with the error that a connected UDP socket of a host gets for a datagram, or `TIMEOUT` after 300 ms. */
export async function datagramError(lab: Lab, host: string, address: string): Promise<string> {
  const program = `
    const socket = require('node:dgram').createSocket('udp4')
    socket.on('error', (error) => { console.log(error.code); process.exit() })
    socket.connect(7000, '${address}', () => socket.send('x'))
    setTimeout(() => { console.log('TIMEOUT'); process.exit() }, 300)`
  return (await lab.run(host, [node, '-e', program])).stdout.trim()
}
