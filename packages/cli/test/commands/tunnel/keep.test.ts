import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { natError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Kept, keepPeer } from '../../../src/commands/tunnel/keep.js'
import type { TunnelNode } from '../../../src/commands/tunnel/make-node.js'
import { readPeerId } from '../../../src/commands/tunnel/peer.js'

const peer = readPeerId('12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5')

/** A node with dials and upgrades that the test controls, including how long they take. */
function scripted() {
  const clock = virtualClock()
  const events = new EventTarget()
  const open: Connection[] = []
  const told: Kept[] = []
  const dials: number[] = []
  const ended = new AbortController()
  onTestFinished(() => ended.abort())
  let onDial: () => void = () => undefined
  let direct = Promise.withResolvers<Connection>()

  const connection = (via: 'direct' | 'relayed'): Connection => {
    const address = via === 'direct' ? '/ip4/11.0.0.2/tcp/1' : '/ip4/21.0.0.1/tcp/1/p2p-circuit'
    const limits = via === 'direct' ? undefined : {}
    return { status: 'open', direct: via === 'direct', limits, remoteAddr: multiaddr(address) } as Connection
  }
  const node = {
    getConnections: () => open,
    dial: async () => {
      dials.push(clock.monotonicMs())
      onDial()
    },
    addEventListener: events.addEventListener.bind(events),
    removeEventListener: events.removeEventListener.bind(events),
    services: { nat: { direct: () => direct.promise } }
  }
  const keeper = keepPeer(node as unknown as TunnelNode, peer, [], (news) => void told.push(news), {
    clock,
    signal: ended.signal
  })
  return {
    clock,
    told,
    dials,
    keeper,
    call: { signal: ended.signal },
    whenDialled(then: () => void) {
      onDial = then
    },
    open(via: 'direct' | 'relayed') {
      const opened = connection(via)
      open.push(opened)
      return opened
    },
    upgraded() {
      const made = connection('direct')
      open.push(made)
      direct.resolve(made)
      return made
    },
    notUpgraded: () => direct.reject(natError('SYMMETRIC_NAT', 'they cannot meet')),
    lose() {
      open.length = 0
      direct = Promise.withResolvers()
      events.dispatchEvent(new Event('connection:close'))
    }
  }
}

/** Lets chained promises settle without advancing the time. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve()
}

describe('a peer that is kept connected', () => {
  it('keepPeer dials again after half a second, doubling up to 30 s', async () => {
    const { clock, dials, told, whenDialled } = scripted()
    whenDialled(() => {
      throw natError('UNREACHABLE', 'there is no peer')
    })
    await clock.advance(200_000)
    const waits = dials.slice(1).map((at, index) => at - (dials[index] ?? 0))
    expect(waits.slice(0, 9)).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    expect(told[1]).toEqual({ event: 'not-connected', message: 'there is no peer', retryMs: 1000 })
  })

  it('keepPeer dials a lost peer at once, and restarts the waits', async () => {
    const { clock, dials, told, open, lose, whenDialled } = scripted()
    await clock.advance(499)
    whenDialled(() => void open('direct'))
    await clock.advance(1)
    expect(told.at(-1)).toMatchObject({ event: 'connected', via: 'direct' })
    const before = dials.length
    whenDialled(() => undefined)
    lose()
    await settle()
    expect(told.at(-2)).toEqual({ event: 'lost' })
    expect(told.at(-1)).toMatchObject({ event: 'not-connected', retryMs: 500 })
    expect(dials.length).toBe(before + 1)
  })

  it('best waits two seconds for a direct connection, then resolves to the relayed one', async () => {
    const { clock, keeper, call, whenDialled, open } = scripted()
    const held: Connection[] = []
    whenDialled(() => void held.push(open('relayed')))
    await clock.advance(500)
    let best: Connection | undefined
    void keeper.best(call).then((found) => (best = found))
    await clock.advance(1999)
    expect(best).toBeUndefined()
    await clock.advance(1)
    expect(best).toBe(held[0])
  })

  it('best resolves to the direct connection as soon as it is open', async () => {
    const { clock, told, keeper, call, whenDialled, open, upgraded } = scripted()
    whenDialled(() => void open('relayed'))
    await clock.advance(500)
    const best = keeper.best(call)
    const direct = upgraded()
    expect(await best).toBe(direct)
    expect(told.at(-1)).toEqual({ event: 'upgraded', address: '/ip4/11.0.0.2/tcp/1' })
  })

  it('best resolves to the relayed connection at once if the upgrade failed, and the reason is reported', async () => {
    const { clock, told, keeper, call, whenDialled, open, notUpgraded } = scripted()
    const held: Connection[] = []
    whenDialled(() => void held.push(open('relayed')))
    await clock.advance(500)
    const best = keeper.best(call)
    notUpgraded()
    expect(await best).toBe(held[0])
    expect(told.at(-1)).toEqual({ event: 'not-direct', code: 'SYMMETRIC_NAT', message: 'they cannot meet' })
  })
})
