import { autoNAT } from '@libp2p/autonat'
import { autoNATv2 } from '@libp2p/autonat-v2'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { uPnPNAT } from '@libp2p/upnp-nat'
import { yamux } from '@libp2p/yamux'
import { virtualClock } from '@postern/testkit'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { describe, expect, it } from 'vitest'
import { natTraversal } from '../src/index.js'
import { announced, createNode, pass, scriptedRouter, scriptedWitnesses } from './support/scripted.js'

type Services = NonNullable<Libp2pOptions['services']>

const { strategy } = scriptedRouter()

function made(services: Services): Promise<unknown> {
  return createLibp2p({
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services,
    start: false
  })
}

describe('a service that does the same work', () => {
  it.each<readonly [string, Services, string]>([
    ['@libp2p/autonat-v2', { v2: autoNATv2() }, 'Leave services.v2 (@libp2p/autonat-v2) out'],
    ['@libp2p/autonat', { autoNAT: autoNAT() }, 'Leave services.autoNAT (@libp2p/autonat) out'],
    ['@libp2p/dcutr', { dcutr: dcutr() }, 'Leave services.dcutr (@libp2p/dcutr) out'],
    ['@libp2p/upnp-nat', { upnp: uPnPNAT() }, 'Leave services.upnp (@libp2p/upnp-nat) out'],
    ['a second natTraversal()', { other: natTraversal() }, 'services.other is another natTraversal()']
  ])('the creation of a node fails with a TypeError that names %s', async (_, services, text) => {
    const all = { identify: identify(), ...services }
    await expect(made({ ...all, nat: natTraversal() })).rejects.toThrow(TypeError)
    await expect(made({ nat: natTraversal(), ...all })).rejects.toThrow(text)
  })

  it('another service may stay if no strategy does its work', async () => {
    const nat = natTraversal({ strategies: [strategy] })
    const services = { identify: identify(), autoNAT: autoNAT(), v2: autoNATv2(), dcutr: dcutr(), nat }
    await expect(made(services)).resolves.toBeDefined()
  })
})

describe('a missing service', () => {
  it('the creation of a node fails with an error that names identify()', async () => {
    await expect(made({ nat: natTraversal() })).rejects.toThrow(
      /natTraversal\(\) .* needs identify\(\) of @libp2p\/identify/
    )
  })

  it('the advice names autonat() if no service verifies a mapped address', async () => {
    const clock = virtualClock()
    const node = await createNode(clock, { strategies: [strategy] })
    await node.start()
    await pass(clock, 2000)
    expect(announced(node)).toEqual([])
    expect(node.services.nat.report().advice.join(' ')).toMatch(
      /11\.0\.0\.2\/tcp\/\d+ is not announced .* add autonat\(\)/
    )
    await node.stop()
  })

  it('the advice does not name autonat() if the address is announced', async () => {
    const clock = virtualClock()
    const node = await createNode(clock, { strategies: [strategy, scriptedWitnesses({ count: 0 })] })
    await node.start()
    await pass(clock, 2000)
    expect(announced(node)).toHaveLength(1)
    expect(node.services.nat.report().advice).toEqual([])
    await node.stop()
  })
})
