import type { Connection, IdentifyResult, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { virtualClock } from '@postern/testkit'
import { expect, it } from 'vitest'
import type { AutonatComponents } from '../../src/index.js'
import { dialRequestProtocol } from '../../src/wire/v2.js'
import { isGone, search } from '../support/nodes.js'

/** A fake node with as many idle connections as the test needs. */
function crowd() {
  const connections = new Map<string, Connection>()
  const events = new EventTarget()
  let asked = 0
  const components = {
    peerId: { toString: () => 'own' },
    events,
    registrar: { getProtocols: () => [], handle: async () => undefined, unhandle: async () => undefined },
    connectionManager: {
      getConnections: (peerId?: PeerId) =>
        [...connections.values()].filter(({ remotePeer }) => peerId === undefined || remotePeer === peerId)
    },
    peerStore: {
      get: async (id: PeerId) => {
        asked += 1
        return { id, protocols: [dialRequestProtocol], metadata: new Map() }
      }
    }
  } as unknown as AutonatComponents
  const leave = (name: string): void => {
    const connection = connections.get(name)
    if (connection === undefined) return
    connections.delete(name)
    Object.assign(connection, { status: 'closed' })
    events.dispatchEvent(new CustomEvent('connection:close', { detail: connection }))
  }
  return {
    components,
    asked: () => asked,
    leave,
    /** Connects a peer and, by default, identifies it. */
    join(name: string, address: string, identifies = true) {
      const remotePeer = { toString: () => name } as PeerId
      const connection = { id: name, remotePeer, remoteAddr: multiaddr(address), status: 'open', direction: 'inbound' }
      connections.set(name, connection as Connection)
      const detail = { peerId: remotePeer, protocols: [dialRequestProtocol], connection } as unknown as IdentifyResult
      if (identifies) events.dispatchEvent(new CustomEvent('peer:identify', { detail }))
    }
  }
}

const settled = async (): Promise<void> => virtualClock().advance(0)

it('64 of a thousand peers in different networks become witnesses, and others replace those that leave', async () => {
  const { components, join, leave, asked } = crowd()
  const looking = search(components, {}, virtualClock())
  await settled()
  for (let index = 0; index < 1_000; index += 1) join(`peer${index}`, `/ip4/11.${index % 250}.${index >> 8}.1/tcp/1`)
  expect(looking.witnesses()).toHaveLength(64)
  for (const { party } of looking.witnesses().slice(0, 10)) leave(party.id)
  await settled()
  expect(looking.findings.filter(isGone)).toHaveLength(10)
  expect(looking.witnesses()).toHaveLength(74)
  expect(asked()).toBeLessThan(200)
})

it('4 of a thousand peers in one network become witnesses', async () => {
  const { components, join } = crowd()
  const looking = search(components, {}, virtualClock())
  await settled()
  for (let index = 0; index < 1_000; index += 1) join(`peer${index}`, `/ip4/11.0.${index >> 8}.${index % 250}/tcp/1`)
  expect(looking.witnesses()).toHaveLength(4)
})

it('the protocols of only 32 of a thousand peers in 8 networks are looked up', async () => {
  const { components, join, asked } = crowd()
  for (let index = 0; index < 1_000; index += 1) join(`peer${index}`, `/ip4/11.${index % 8}.0.1/tcp/1`, false)
  const looking = search(components, {}, virtualClock())
  await settled()
  expect(looking.witnesses()).toHaveLength(32)
  expect(asked()).toBe(32)
})

it('a place is reserved for a named peer', async () => {
  const { components, join } = crowd()
  const name = '12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'
  Object.assign(components.connectionManager, { openConnection: async () => Promise.reject(new Error('it dials us')) })
  const looking = search(components, { peers: [`/ip4/11.0.0.1/tcp/1/p2p/${name}`] }, virtualClock())
  await settled()
  for (let index = 0; index < 1_000; index += 1) join(`peer${index}`, `/ip4/11.${index % 250}.${index >> 8}.1/tcp/1`)
  expect(looking.witnesses()).toHaveLength(63)
  join(name, '/ip4/11.0.0.1/tcp/1')
  expect(looking.witnesses().at(-1)?.party.id).toBe(name)
})

it('relayed and limited connections do not make a peer a witness', async () => {
  const { components, join } = crowd()
  const looking = search(components, {}, virtualClock())
  await settled()
  join('relayed', '/ip4/11.0.0.1/tcp/1/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln/p2p-circuit')
  join('limited', '/ip4/11.1.0.1/tcp/1', false)
  const [, limited] = components.connectionManager.getConnections()
  Object.assign(limited ?? {}, { limits: { seconds: 120 } })
  join('direct', '/ip4/11.2.0.1/tcp/1')
  expect(looking.witnesses().map(({ party }) => party.id)).toEqual(['direct'])
})
