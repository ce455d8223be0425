import type { AddressManager } from '@libp2p/interface-internal'
import type { CandidateReport } from '@postern/core'
import type { Endpoint, Observer, Strategy } from '@postern/interface'
import { openTap } from '@postern/net'
import { virtualClock } from '@postern/testkit'
import { expect, it } from 'vitest'
import { createAnnouncer } from '../src/announcer.js'
import { announced, createNode, pass, scriptedWitnesses } from './support/scripted.js'

it('a node lends observers a socket while they observe, and does not announce the observed address', async () => {
  const clock = virtualClock()
  const lent: Endpoint[] = []
  const observer: Observer = {
    kind: 'observer',
    party: { id: '21.0.0.1:3478', network: '21.0.0.0/16' },
    async observe({ endpoint }) {
      lent.push(endpoint)
      return { address: '/ip4/11.0.0.2/udp/9', mapping: 'endpoint-independent' }
    }
  }
  const strategy: Strategy = () => ({
    name: 'stun',
    kind: 'observer',
    discover: async (_network, found) => found(observer)
  })
  const node = await createNode(clock, { strategies: [strategy, scriptedWitnesses({ count: 0 })] })
  await node.start()
  await expect
    .poll(async () => (await pass(clock, 1000), node.services.nat.report().nat?.mapping))
    .toBe('endpoint-independent')
  expect(lent).toMatchObject([{ protocol: 'udp', family: 4, address: '127.0.0.1' }])
  expect(announced(node)).toEqual([])
  expect(node.services.nat.report()).toMatchObject({ verdict: 'private', externalAddresses: [] })
  // The port is free again.
  const cut = new AbortController()
  const again = await openTap({ family: 4, address: '127.0.0.1', port: lent[0]?.port ?? 0 }, cut)
  again.close()
  await node.stop()
  expect(clock.pending).toBe(0)
})

it.each([true, false])(
  'an observed address is announced once it is verified, and not before (witnesses: %s)',
  (verifies) => {
    const calls: string[] = []
    const manager = new Proxy({} as AddressManager, {
      get: (_, name) => () => calls.push(String(name))
    })
    const seen: CandidateReport = {
      address: '/ip4/11.0.0.2/udp/4001/quic-v1',
      type: 'observed',
      strategy: 'stun',
      endpoint: { protocol: 'udp', address: '192.168.1.2', port: 4001 },
      state: 'claimed',
      expiresAt: null,
      evidence: []
    }
    const announcer = createAnnouncer(manager, verifies)
    announcer.update([seen, { ...seen, state: 'refuted' }])
    expect(calls).toEqual([])
    announcer.update([{ ...seen, state: 'verified' }])
    expect(calls).toEqual(['addPublicAddressMapping', 'confirmObservedAddr'])
    announcer.update([seen])
    expect(calls.at(-1)).toBe('removePublicAddressMapping')
  }
)
