// Runs inside a lab: `node observed.mjs udp|tcp <ladder>`; prints one line of JSON when observers have answered.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { memoryStore } from '@postern/core'
import { expose } from '@postern/node'

const [, , protocol, strategies] = process.argv
const server = protocol === 'udp' ? createSocket('udp4').bind(6000) : createServer().listen(6000, '0.0.0.0')
await once(server, 'listening')
const exposure = await expose(server, { strategies, store: memoryStore() })
const listenersBefore = server.listenerCount('message')

const done = () =>
  exposure
    .report()
    .strategies.every(({ kind, state }) => kind !== 'observer' || state === 'active' || state === 'failed')
if (!done()) {
  await new Promise((resolve) => {
    exposure.addEventListener('strategy', () => {
      if (done()) resolve()
    })
  })
}
const { verdict, nat, candidates, externalAddresses, advice, strategies: lines } = exposure.report()
await exposure.close()
const left = server.listenerCount('message')
console.log(JSON.stringify({ verdict, nat, candidates, externalAddresses, advice, lines, listenersBefore, left }))
process.exit()
