// Asks a relay for reservations with several nodes, one after the other, and prints what each of them was told, as JSON:
// {"duration":120,"data":131072} as the relay wrote it, or {"refused":"… (status 200)"}.

import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { systemClock } from '@postern/core'
import { createLibp2p } from 'libp2p'

await import('../../../../scripts/sources.mjs')
const { requestReservation } = await import('../../../relay/src/client/reservations.ts')

const [relay, count] = process.argv.slice(2)
const answers = []
for (let index = 0; index < Number(count); index++) {
  const node = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() }
  })
  const connection = await node.dial(multiaddr(relay))
  try {
    answers.push((await requestReservation(connection, systemClock, { signal: AbortSignal.timeout(5000) })).limit)
  } catch ({ message }) {
    answers.push({ refused: message })
  }
}
console.log(JSON.stringify(answers))
process.exit()
