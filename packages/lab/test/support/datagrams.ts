import { once } from 'node:events'
import type { Lab } from '../../src/index.js'

const node = process.execPath

/**
 * `home` sends a datagram to `alpha`. Then alpha answers from another port, bravo sends a datagram to the same external
 * port, and finally alpha answers from the contacted port. Resolves with the senders of the datagrams that `home`
 * received, in order.
 */
export async function comesIn(lab: Lab): Promise<string[]> {
  const asked = `
    const [one, two] = [7001, 7002].map((port) => require('node:dgram').createSocket('udp4').bind(port, '${lab.address('alpha')}'))
    one.once('listening', () => console.log('bound'))
    one.on('message', (text, { port, address }) => {
      two.send('other port', port, address, () => console.log(address + ' ' + port))
      process.stdin.on('data', () => one.send('last', port, address, () => process.exit()))
    })`
  const asking = `
    const socket = require('node:dgram').createSocket('udp4').bind(6000, () => socket.send('x', 7001, '${lab.address('alpha')}'))
    socket.on('message', (text) => { console.log(String(text)); if (String(text) === 'last') process.exit() })`
  const alpha = lab.spawn('alpha', [node, '-e', asked], { stdio: ['pipe', 'pipe', 'inherit'] })
  if (alpha.stdout === null) throw new Error('alpha has no output')
  await once(alpha.stdout, 'data')
  const [[seen], output] = await Promise.all([
    once(alpha.stdout, 'data').then(async ([data]) => {
      const [address, port] = String(data).trim().split(' ')
      await sendFrom(lab, 'bravo', 'other address', `${address}:${port}`)
      alpha.stdin?.write('now')
      return [port]
    }),
    lab.run('home', [node, '-e', asking], { timeoutMs: 3000 })
  ])
  if (seen === undefined) throw new Error('alpha saw no port')
  return output.stdout.trim().split('\n')
}

/** Sends one datagram from a host to `address:port`. */
export async function sendFrom(lab: Lab, host: string, text: string, to: string): Promise<void> {
  const [address, port] = to.split(':')
  const program = `
    const socket = require('node:dgram').createSocket('udp4')
    socket.send('${text}', ${port}, '${address}', () => socket.close())`
  await lab.run(host, [node, '-e', program])
}

/**
 * Sends a STUN request from one socket of `home`, with the flags of CHANGE-REQUEST (RFC 5780, section 7.2: 4 is another
 * address, 2 is another port). Resolves with the observed address, the other address of the server, and the source of
 * the answer.
 */
export async function askStun(
  lab: Lab,
  server: string,
  change = 0
): Promise<{ mapped: string; other?: string; from: string } | 'TIMEOUT'> {
  const program = `
    const socket = require('node:dgram').createSocket('udp4')
    const id = require('node:crypto').randomBytes(12)
    const request = Buffer.concat([Buffer.from('000100082112a442', 'hex'), id, Buffer.from('00030004', 'hex'), Buffer.from([0, 0, 0, ${change}])])
    socket.on('message', (reply, { address, port }) => {
      const found = { from: address + ':' + port }
      for (let at = 20; at < reply.length; at += 4 + reply.readUInt16BE(at + 2)) {
        const type = reply.readUInt16BE(at)
        const mask = type === 0x20 ? 0x2112a442 : 0
        const ip = Buffer.alloc(4)
        if (type !== 0x20 && type !== 0x802c) continue
        ip.writeUInt32BE((reply.readUInt32BE(at + 8) ^ mask) >>> 0)
        found[type === 0x20 ? 'mapped' : 'other'] = [...ip].join('.') + ':' + (reply.readUInt16BE(at + 6) ^ (mask >>> 16))
      }
      console.log(JSON.stringify(found))
      process.exit()
    })
    socket.bind(6000, () => socket.send(request, 3478, '${server}'))
    setTimeout(() => { console.log('"TIMEOUT"'); process.exit() }, 500)`
  const { stdout } = await lab.run('home', [node, '-e', program])
  return JSON.parse(stdout) as { mapped: string; other?: string; from: string } | 'TIMEOUT'
}

/** Resolves with what one socket of `home` receives when another socket sends to the external address of the first. */
export async function hearsItself(lab: Lab, text: string): Promise<string> {
  const echo = `
    const socket = require('node:dgram').createSocket('udp4').bind(7001, () => console.log('bound'))
    socket.on('message', (text, { port, address }) => socket.send(address + ':' + port, port, address))`
  const program = `
    const [one, two] = [6000, 6001].map((port) => require('node:dgram').createSocket('udp4').bind(port))
    one.on('message', (heard, { address, port }) => {
      const [to, number] = String(heard).split(':')
      if (number === undefined) { console.log(heard + ' from ' + address + ':' + port); process.exit() }
      one.send('x', 6001, to) // for filters that want to have seen something go there
      two.send('${text}', Number(number), to)
    })
    one.once('listening', () => one.send('x', 7001, '${lab.address('alpha')}'))
    setTimeout(() => { console.log('TIMEOUT'); process.exit() }, 500)`
  const alpha = lab.spawn('alpha', [node, '-e', echo], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (alpha.stdout === null) throw new Error('alpha has no output')
  await once(alpha.stdout, 'data')
  const { stdout } = await lab.run('home', [node, '-e', program])
  alpha.kill()
  return stdout.trim()
}

/** Resolves with whether two hosts that send to each other's port 6000 receive the datagrams of each other. */
export async function meet(lab: Lab, towards: Readonly<Record<string, string>>): Promise<boolean> {
  const program = (address: string): string => `
    const socket = require('node:dgram').createSocket('udp4')
    let [text, to] = ['hello', [6000, '${address}']]
    const end = (answered) => { console.log(answered); process.exit() }
    socket.on('message', (said, { port, address }) => {
      [text, to] = ['heard', [port, address]]
      if (String(said) === 'heard') setTimeout(end, 100, true) // the other is to hear it too
    })
    socket.bind(6000, () => setInterval(() => socket.send(text, ...to), 10))
    setTimeout(end, 1000, false)`
  const both = await Promise.all(
    Object.entries(towards).map(([host, address]) => lab.run(host, [node, '-e', program(address)]))
  )
  return both.every(({ stdout }) => stdout.trim() === 'true')
}
