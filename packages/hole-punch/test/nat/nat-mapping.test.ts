import { Socket } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import type { Behaviour } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Connect, systemConnect } from '../../src/dial/tcp-dial.js'
import { createKnowledge } from '../../src/nat/nat-mapping.js'
import { keptPorts } from '../../src/nat/punch-ports.js'
import { createNode, hostOf, stopNodes, trio } from '../nodes.js'

const port = (localPort: number, host: string, number: number) => ({
  localPort,
  external: { host, port: number, family: 4 as const }
})

describe('the knowledge about the NAT', () => {
  it('the mapping is unknown with one observer, and is measured again later', async () => {
    const { ours } = await trio()
    const cut = new AbortController()
    const knowledge = createKnowledge(hostOf(ours.components), systemConnect, cut)
    knowledge.learn(undefined)
    await knowledge.learned(cut)
    expect([knowledge.mapping(), knowledge.keptPortsAt(4)]).toEqual([undefined, undefined])
    knowledge.learn(undefined)
    cut.abort()
    await knowledge.ended()
  })

  it('with one observer, STUN servers show the mapping and the observer shows whether ports are kept', async () => {
    const { ours } = await trio()
    const told = { mapping: 'endpoint-independent' as Behaviour | null }
    const cut = new AbortController()
    const knowledge = createKnowledge({ ...hostOf(ours.components), nat: () => told }, systemConnect, cut)
    expect([knowledge.mapping(), knowledge.keptPortsAt(4)]).toEqual(['endpoint-independent', undefined])
    knowledge.learn(undefined)
    await expect.poll(() => knowledge.keptPortsAt(4)).toBe('127.0.0.1')
    told.mapping = 'address-dependent'
    expect(knowledge.mapping()).toBe('address-and-port-dependent')
    told.mapping = null
    expect(knowledge.mapping()).toBeUndefined()
    cut.abort()
    await knowledge.ended()
  })

  it('the observation of two peers over TCP takes precedence over STUN servers', async () => {
    const { ours } = await trio()
    const far = await createNode({}, ['/ip4/127.2.0.1/tcp/0'])
    onTestFinished(async () => stopNodes(far))
    await ours.libp2p.dial(multiaddr(far.address))
    const cut = new AbortController()
    const nat = (): { readonly mapping: Behaviour } => ({ mapping: 'address-and-port-dependent' })
    const knowledge = createKnowledge({ ...hostOf(ours.components), nat }, systemConnect, cut)
    expect(knowledge.mapping()).toBe('address-and-port-dependent')
    knowledge.learn(undefined)
    await expect.poll(() => knowledge.mapping()).toBe('endpoint-independent')
    cut.abort()
    await knowledge.ended()
  })

  it('learned waits at most a quarter of a second', async () => {
    const { ours } = await trio()
    const far = await createNode({}, ['/ip4/127.2.0.1/tcp/0'])
    onTestFinished(async () => stopNodes(far))
    await ours.libp2p.dial(multiaddr(far.address))
    const clock = virtualClock()
    const cut = new AbortController()
    // There are two observers, but no socket ever connects.
    const hanging: Connect = () => new Socket()
    const knowledge = createKnowledge(hostOf(ours.components, clock), hanging, cut)
    knowledge.learn(undefined)
    let isOver = false
    const waiting = knowledge.learned(cut).then(() => void (isOver = true))
    await clock.advance(249)
    expect(isOver).toBe(false)
    await clock.advance(1)
    await waiting
    cut.abort()
    await knowledge.ended()
    expect(clock.pending).toBe(0)
  })

  it('a single observation of a port does not show that ports are kept', async () => {
    const { ours } = await trio()
    const knowledge = createKnowledge(hostOf(ours.components), systemConnect, new AbortController())
    knowledge.seen(port(20_001, '11.0.0.2', 20_001))
    expect(knowledge.keptPortsAt(4)).toBeUndefined()
  })
})

describe('ports that the NAT keeps', () => {
  it('kept ports are available immediately, with the local port number', () => {
    const ports = keptPorts('11.0.0.2', 4, 3)
    expect(ports).toHaveLength(3)
    for (const { localPort, external } of ports) {
      expect(external).toEqual({ host: '11.0.0.2', port: localPort, family: 4 })
      expect(localPort).toBeGreaterThanOrEqual(20_000)
      expect(localPort).toBeLessThan(32_000)
    }
  })
})
