import { once } from 'node:events'
import type { Lab } from '../../src/index.js'
import { sendFrom } from './datagrams.js'

/** A datagram of a host to `address:port`. */
export type Datagram = readonly [from: string, text: string, to: string]

/**
 * Sends datagrams one after the other to `home`, which listens at the given ports. Resolves with the datagrams that it
 * received until one with the text `last`, as `text at port from address`.
 */
export async function arriving(lab: Lab, ports: readonly number[], datagrams: readonly Datagram[]): Promise<string[]> {
  const program = `
    const heard = []
    let bound = 0
    for (const port of [${ports.join(', ')}]) {
      const socket = require('node:dgram').createSocket('udp4').bind(port, () => { if (++bound === ${ports.length}) console.log('bound') })
      socket.on('message', (text, { address }) => {
        heard.push(text + ' at ' + port + ' from ' + address)
        // Earlier datagrams to other sockets are in the queue already, and are read in this phase of the event loop.
        if (String(text) === 'last') setImmediate(() => { console.log(JSON.stringify(heard)); process.exit() })
      })
    }`
  const home = lab.spawn('home', [process.execPath, '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 5000
  })
  if (home.stdout === null) throw new Error('home has no output')
  await once(home.stdout, 'data')
  let output = ''
  home.stdout.on('data', (data) => (output += String(data)))
  const closed = once(home, 'close')
  for (const [from, text, to] of datagrams) await sendFrom(lab, from, text, to)
  await closed
  return JSON.parse(output) as string[]
}
