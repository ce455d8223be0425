import type { Connection } from '@libp2p/interface'
import { natError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Kept, keepConnected } from '../src/tunnel/keep.js'
import type { TunnelNode } from '../src/tunnel/make-node.js'
import { readPeerId } from '../src/tunnel/peer.js'

const peer = readPeerId('12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5')

/** A node whose dials and upgrades are decided by the test: how long they take is what matters here. */
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
    return { status: 'open', direct: via === 'direct', limits, remoteAddr: { toString: () => address } } as Connection
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
  const keeper = keepConnected(node as unknown as TunnelNode, peer, [], (news) => void told.push(news), {
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

/** Promises that follow each other, without any time. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve()
}

describe('a peer that is kept connected', () => {
  it('is dialled again after half a second, then twice as long each time, 30 s at most', async () => {
    const { clock, dials, told, whenDialled } = scripted()
    whenDialled(() => {
      throw natError('UNREACHABLE', 'nobody is there')
    })
    await clock.advance(200_000)
    const waits = dials.slice(1).map((at, index) => at - (dials[index] ?? 0))
    expect(waits.slice(0, 9)).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    expect(told[1]).toEqual({ event: 'not-connected', message: 'nobody is there', retryMs: 1000 })
  })

  it('is dialled at once when it was lost, and the waits begin anew', async () => {
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

  it('gives a tunnel two seconds for a direct connection, then the relayed one', async () => {
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

  it('gives a tunnel the direct connection as soon as it is there', async () => {
    const { clock, told, keeper, call, whenDialled, open, upgraded } = scripted()
    whenDialled(() => void open('relayed'))
    await clock.advance(500)
    const best = keeper.best(call)
    const direct = upgraded()
    expect(await best).toBe(direct)
    expect(told.at(-1)).toEqual({ event: 'upgraded', address: '/ip4/11.0.0.2/tcp/1' })
  })

  it('gives a tunnel the relayed connection at once where there will be no direct one, and tells why', async () => {
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
