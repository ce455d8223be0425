import { setImmediate } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { systemClock } from '@postern/testkit'
import { expect, it } from 'vitest'
import type { Context } from '../../src/context.js'
import { closeRelayed } from '../../src/upgrade/close-relayed-connections.js'
import { hostOf } from '../nodes.js'

it('the relayed connection is closed when a running identify has completed', async () => {
  const open: Connection[] = []
  const connection = (address: string, more: object): Connection => {
    const remoteAddr = multiaddr(address)
    const each = { status: 'open', remoteAddr, remotePeer: 'peer', streams: [], ...more } as unknown as Connection
    open.push(each)
    return each
  }
  const direct = connection('/ip4/12.0.0.2/tcp/4001', {
    // As libp2p answers when the stream limit of a protocol is reached.
    newStream: async () => Promise.reject(new Error('too many outbound protocol streams'))
  })
  const relayed = connection('/ip4/21.0.0.1/tcp/4001/p2p-circuit', {
    limits: {},
    close: async () => void open.splice(open.indexOf(relayed), 1)
  })
  const events = new EventTarget()
  const components = { events, connectionManager: { getConnections: () => open } }
  const host = hostOf(components as unknown as Context['host']['components'], systemClock)
  const stopping = new AbortController()

  const letting = closeRelayed({ host, settings: { graceMs: 0 } } as unknown as Context, direct, stopping)
  // The refusal arrives first.
  await setImmediate()
  events.dispatchEvent(new CustomEvent('peer:identify', { detail: { connection: direct } }))
  await expect.poll(() => open).toEqual([direct])
  await letting
})
