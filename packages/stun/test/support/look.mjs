// Runs inside a lab: `node look.mjs <task> <json>`; prints one line of JSON.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { systemClock } from '@postern/interface'
import { openTap, shareSocketOf } from '@postern/net'
import { discoverBehaviour, discoverLifetime, observeTcp, stun } from '@postern/stun'

const [, , task, text = '{}'] = process.argv
const options = JSON.parse(text)
const { signal } = new AbortController()
const host = { clock: systemClock, random: Math.random, log: { debug() {}, info() {} } }

const tasks = {
  /** As whoever uses the package alone. */
  async behaviour({ server, address, family = 4, ...rest }) {
    const tap = await openTap({ family, address, port: 6000 }, { signal })
    const found = await discoverBehaviour({ clock: systemClock, tap, server, ...rest }, { signal })
    tap.close()
    return found
  },
  /** As a strategy, with a socket of Node's that the program uses itself meanwhile. */
  async observe({ servers, address, requests = 4 }) {
    const socket = createSocket('udp4').bind(6000, address)
    await once(socket, 'listening')
    socket.on('message', () => undefined)
    const tap = shareSocketOf(socket, { protocol: 'udp', family: 4, address, port: 6000 })
    const found = []
    await stun({ servers, requests })(host).discover({ gateways: [], addresses: [] }, (each) => found.push(each), {
      signal
    })
    const observations = await Promise.all(
      found.map((each) => each.observe(tap, { signal }).catch(({ code, message }) => ({ failed: { code, message } })))
    )
    const listeners = socket.listenerCount('message')
    socket.close()
    return { observations, listeners }
  },
  async tcp({ servers, localPort }) {
    const seen = []
    for (const server of servers) {
      const { mapped, local } = await observeTcp({ server, localPort }, { signal })
      seen.push({ mapped, local })
    }
    return seen
  },
  lifetime: (rest) => discoverLifetime({ clock: systemClock, family: 4, ...rest }, { signal })
}

const result = await tasks[task](options).catch(({ code, message }) => ({ failed: { code, message } }))
console.log(JSON.stringify(result))
process.exit()
