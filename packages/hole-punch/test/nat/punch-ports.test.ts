import net from 'node:net'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Context } from '../../src/context.js'
import { createSupply } from '../../src/dcutr/port-supply.js'
import { createBudget } from '../../src/dial/syn-budget.js'
import { type Connect, systemConnect } from '../../src/dial/tcp-dial.js'
import { createKnowledge } from '../../src/nat/nat-mapping.js'
import { findObservers } from '../../src/nat/port-observers.js'
import { preparePorts } from '../../src/nat/punch-ports.js'
import { readOptions } from '../../src/options.js'
import { createNode, dialThrough, hostOf, type Node, stopNodes, trio } from '../nodes.js'

const direct = (from: Node, to: Node): readonly Connection[] =>
  from.libp2p.getConnections(to.libp2p.peerId).filter(({ limits }) => limits === undefined)

/** Simulates a NAT that uses a different port for each connection; the observer reports that port. */
async function throughAnotherPort(): Promise<Connect> {
  const wanted = new Map<number, number>()
  const nat = net.createServer((inside) => {
    const outside = net.connect(wanted.get(inside.remotePort ?? 0) ?? 0, '127.0.0.1')
    for (const [from, to] of [
      [inside, outside],
      [outside, inside]
    ] as const) {
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => nat.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void nat.close())
  const address = nat.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  return (options) => {
    wanted.set(options.localPort ?? 0, options.port)
    return net.connect({ ...options, port })
  }
}

describe('an observed port', () => {
  it('the connection to the observer is closed immediately if the NAT keeps the port number', async () => {
    const { relay, ours } = await trio()
    const call = new AbortController()
    const observers = await findObservers(ours.components, undefined, 4)
    const { ports } = await preparePorts(hostOf(ours.components), systemConnect, observers, 2, call)
    expect(ports.map(({ localPort, external }) => external.port - localPort)).toEqual([0, 0])
    expect(direct(ours, relay)).toHaveLength(1)
  })

  it('the connection to the observer is kept until release if the NAT changes the port number', async () => {
    const { relay, ours } = await trio()
    const call = new AbortController()
    const observers = await findObservers(ours.components, undefined, 4)
    const connect = await throughAnotherPort()
    const { ports, release } = await preparePorts(hostOf(ours.components), connect, observers, 1, call)
    expect(ports.map(({ localPort, external }) => external.port === localPort)).toEqual([false])
    expect(direct(ours, relay)).toHaveLength(2)
    release()
    expect(direct(ours, relay)).toHaveLength(1)
  })
})

describe('the ports of the rounds', () => {
  it('alternating peers observe the ports of the rounds, and those of a finished round are released', async () => {
    const { relay, ours, other } = await trio()
    const far = await createNode({}, ['/ip4/127.0.0.1/tcp/0'])
    onTestFinished(async () => stopNodes(far))
    await ours.libp2p.dial(multiaddr(far.address))
    await dialThrough(relay, ours, other)
    const [relayed] = ours.libp2p.getConnections(other.libp2p.peerId)
    if (relayed === undefined) throw new Error('there is no relayed connection')
    const clock = virtualClock()
    const host = hostOf(ours.components, clock)
    const call = new AbortController()
    const connect = await throughAnotherPort()
    const context: Context = {
      host,
      settings: readOptions({ connect }),
      budget: createBudget(clock, { perAddress: 100, perNetwork: 100, inAll: 100 }),
      own: () => new Set(),
      seen: () => undefined,
      knowledge: createKnowledge(host, connect, call)
    }
    const open = (): readonly number[] => [relay, far].map((each) => direct(ours, each).length)

    const supply = createSupply(context, relayed, call)
    await supply.take()
    expect(open()).toEqual([2, 1])
    await clock.advance(500)
    await supply.take()
    expect(open()).toEqual([2, 2])
    await clock.advance(500)
    await supply.take()
    expect(open()).toEqual([2, 2])
    supply.end()
    await expect.poll(open).toEqual([1, 1])
  })
})
