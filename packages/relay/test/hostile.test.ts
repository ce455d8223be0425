import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { natError, type Relay } from '@postern/interface'
import { withOverrides } from '@postern/libp2p-utils'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type Answer, grant, inAnHour, refusal, startHop } from './support/hop.js'
import { call, type Node, pair, type Search, search, startNode, startRelay, streamsOf, until } from './support/nodes.js'

interface Scene {
  readonly node: Node
  readonly hop: Node & { asked: () => number }
  readonly looking: Search
  readonly ability: Relay
  readonly clock: ReturnType<typeof virtualClock>
}

/** @param isOverheard - whether the package can read what the relay answers to the transport */
async function scene(answer: Answer, isOverheard = true): Promise<Scene> {
  const clock = virtualClock({ wallMs: Date.now() })
  const [hop, node] = await Promise.all([startHop(answer), startNode()])
  const connection = await node.libp2p.dial(multiaddr(hop.address))
  if (!isOverheard) hideAnswers(connection)
  const looking = search(node.components, {}, clock)
  return { node, hop, looking, ability: await looking.relay(hop), clock }
}

/** Hides the receiving method of the streams, as a later version of libp2p may. */
function hideAnswers(connection: Connection): void {
  const newStream = connection.newStream.bind(connection)
  connection.newStream = async (...args) =>
    withOverrides<object>(await newStream(...args), { onData: undefined }) as Stream
}

/** Expects no announced address, no open stream, and no reservation in the transport. */
async function expectNothing({ node, hop }: Scene): Promise<void> {
  expect(node.circuits()).toEqual([])
  await until(() => streamsOf(node) === 0)
  const { tags } = await node.components.peerStore.get(hop.libp2p.peerId)
  expect([...tags.keys()].filter((tag) => tag.includes('relay'))).toEqual([])
}

const answers: readonly (readonly [string, string, Answer])[] = [
  ['closes', 'NO_REPLY', async ({ stream }) => stream.close()],
  ['resets', 'NO_REPLY', ({ stream }) => stream.abort(new Error('no'))],
  [
    'sends garbage',
    'MALFORMED_REPLY',
    async ({ say, stream }) => (await say(new Uint8Array(100).fill(0xff)), stream.close())
  ],
  [
    'sends an empty message',
    'MALFORMED_REPLY',
    async ({ say, stream }) => (await say(new Uint8Array(0)), stream.close())
  ],
  [
    'answers with a RESERVE',
    'MALFORMED_REPLY',
    async ({ say, stream }) => (await say(Uint8Array.of(8, 0)), stream.close())
  ],
  [
    'sends half a message and closes',
    'NO_REPLY',
    async ({ raw, stream }) => (raw(Uint8Array.of(9, 8)), stream.close())
  ],
  ['is full', 'OUT_OF_RESOURCES', async ({ say, stream }) => (await say(refusal(200)), stream.close())],
  ['has reached a limit', 'OUT_OF_RESOURCES', async ({ say, stream }) => (await say(refusal(201)), stream.close())],
  ['denies permission', 'NOT_AUTHORIZED', async ({ say, stream }) => (await say(refusal(202)), stream.close())],
  [
    'reports a malformed message',
    'MALFORMED_REQUEST',
    async ({ say, stream }) => (await say(refusal(400)), stream.close())
  ],
  [
    'reports an unexpected message',
    'MALFORMED_REQUEST',
    async ({ say, stream }) => (await say(refusal(401)), stream.close())
  ],
  [
    'sends a status of another protocol',
    'GATEWAY_FAULT',
    async ({ say, stream }) => (await say(refusal(204)), stream.close())
  ],
  ['sends an unknown status', 'GATEWAY_FAULT', async ({ say, stream }) => (await say(refusal(0)), stream.close())],
  ['is full and does not close its stream', 'OUT_OF_RESOURCES', async ({ say }) => say(refusal(200))],
  ['announces 10 MB', 'REPLY_TOO_LARGE', ({ raw }) => raw(Uint8Array.of(0x80, 0xad, 0xe2, 0x04, 1, 2, 3))],
  ['sends 10 MB', 'REPLY_TOO_LARGE', ({ raw }) => raw(new Uint8Array(10_000_000).fill(0xff))],
  ['sends a length prefix without an end', 'REPLY_TOO_LARGE', ({ raw }) => raw(new Uint8Array(100).fill(0x80))],
  ['grants without an end', 'GRANT_INVALID', async ({ say, stream }) => (await say(refusal(100)), stream.close())]
]

/** The time limit for the transport, and what is then left of the ten seconds that a relay has to answer. */
const transportMs = 6000
const restMs = 4000

/** Reserves while the relay keeps the transport waiting. Resolves when the relay has been asked for the reason. */
async function reserveStalled({ ability, hop, clock }: Scene): Promise<{ readonly reserved: Promise<unknown> }> {
  const reserved = ability.reserve(call())
  reserved.catch(() => undefined)
  await until(() => hop.asked() === 1)
  await clock.advance(transportMs)
  await until(() => hop.asked() === 2)
  return { reserved }
}

describe('a hostile relay', () => {
  it.each(answers)('a relay that %s is reported as %s', async (_, code, answer) => {
    const all = await scene(answer)
    await expect(all.ability.reserve(call())).rejects.toMatchObject({ code })
    // Where there is no answer to overhear, the relay is asked once more.
    expect(all.hop.asked()).toBe(code === 'NO_REPLY' ? 2 : 1)
    await expectNothing(all)
  })

  it.each(answers.filter(([what]) => !what.includes('MB') && !what.includes('prefix')))(
    'a relay that %s is asked once more if its answer was not overheard, and reported as %s',
    async (_, code, answer) => {
      const all = await scene(answer, false)
      await expect(all.ability.reserve(call())).rejects.toMatchObject({ code })
      expect(all.hop.asked()).toBe(2)
      await expectNothing(all)
    }
  )

  it.each([
    ['1970', 0n],
    ['the minute before', inAnHour() - 3660n]
  ])('a reservation that ended at %s is never announced', async (_, expire) => {
    const all = await scene(async ({ say, stream }) => (await say(grant(expire)), stream.close()))
    let announced = 0
    all.node.components.events.addEventListener('transport:listening', () => {
      announced += all.node.circuits().length
    })
    await expect(all.ability.reserve(call())).rejects.toMatchObject({ code: 'GRANT_INVALID' })
    await expectNothing(all)
    expect(announced).toBe(0)
  })

  it('a silent relay is given up after ten seconds', async () => {
    const all = await scene(() => undefined)
    const { reserved } = await reserveStalled(all)
    await all.clock.advance(restMs)
    await expect(reserved).rejects.toMatchObject({ code: 'NO_REPLY' })
    await expectNothing(all)
  })

  it('a relay that sends single bytes slowly is given up after ten seconds', async () => {
    const all = await scene(async ({ raw, stream }) => {
      raw(Uint8Array.of(200, 1))
      while (stream.status === 'open') {
        raw(Uint8Array.of(8))
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })
    const { reserved } = await reserveStalled(all)
    await all.clock.advance(restMs)
    await expect(reserved).rejects.toMatchObject({ code: 'NO_REPLY' })
    await expectNothing(all)
  })

  it.each([
    ['the end of time', 2n ** 64n - 1n],
    ['next year', inAnHour() + 365n * 86_400n]
  ])('a grant until %s counts as two hours, or is rejected', async (_, expire) => {
    const all = await scene(async ({ say, stream }) => {
      await say(grant(expire))
      await stream.close()
    })
    const lease = await all.ability.reserve(call()).catch((error: unknown) => error)
    if (lease instanceof Error) {
      expect(lease).toMatchObject({ code: 'NO_REPLY' })
      await expectNothing(all)
    } else expect(lease).toMatchObject({ lifetimeMs: 7_200_000 })
  })

  it('a relay that reports no address is used with the address at which it was dialled', async () => {
    const all = await scene(async ({ say, stream }) => {
      await say(grant(inAnHour()))
      await stream.close()
    })
    const lease = await all.ability.reserve(call())
    expect(lease.addresses).toEqual([`${all.hop.address}/p2p-circuit`])
    await lease.release(call())
    await expectNothing(all)
  })

  it('a relay that does not close its end of the stream has granted a reservation', async () => {
    const all = await scene(async ({ say }) => say(grant(inAnHour())))
    const reserved = all.ability.reserve(call())
    await until(() => all.hop.asked() === 1)
    let isOver = false
    void reserved.finally(() => {
      isOver = true
    })
    while (!isOver) {
      await all.clock.advance(50)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect((await reserved).addresses).toHaveLength(1)
  })

  it.each([
    ['third-party addresses', Array.from({ length: 40 }, (_, index) => `/ip4/8.8.${index}.8/tcp/443`)],
    ['private addresses', ['/ip4/192.168.1.1/tcp/80', '/ip4/10.0.0.1/tcp/80', '/ip6/fe80::1/tcp/80']],
    ['loopback addresses at which it was not reached', ['/ip4/127.0.0.9/tcp/4001', '/ip6/::1/tcp/1']],
    ['names', ['/dns4/example.org/tcp/443/wss', '/dnsaddr/example.org', '/dns6/localhost/tcp/1']],
    ['its own address with another SNI name', ['/ip4/127.0.0.1/tcp/1/tls/sni/example.org/ws']],
    ['its own address with a path', ['/ip4/127.0.0.1/tcp/1/tls/http/http-path/x']],
    ['a socket file', ['/unix/%2Ftmp%2Fx']],
    ['terminal escapes', ['/dns4/x%1b]0;owned%07/tcp/1']],
    ['an address without a port', ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/udp/1']]
  ])('a relay cannot have %s announced', async (_, told) => {
    const all = await scene(async ({ say, stream }) => {
      await say(grant(inAnHour(), told))
      await stream.close()
    })
    const lease = await all.ability.reserve(call())
    const own = [`${all.hop.address}/p2p-circuit`]
    expect(lease.addresses).toEqual(own)
    expect(all.node.circuits()).toHaveLength(1)
    expect(all.node.libp2p.getMultiaddrs().filter((each) => each.toString().includes('8.8.'))).toEqual([])
    const renewed = await lease.renew(call())
    expect(renewed.addresses).toEqual(own)
  })

  it('reported addresses of other hosts are dropped, and those of its own host are kept', async () => {
    const stranger = await startNode({ listen: ['/ip4/127.0.0.1/tcp/0'] })
    const all = await scene(async ({ say, stream }) => {
      await say(grant(inAnHour(), [stranger.address, '/ip4/127.0.0.1/tcp/4002/ws', '/ip4/127.0.0.9/tcp/4001']))
      await stream.close()
    })
    const lease = await all.ability.reserve(call())
    expect(lease.addresses).toEqual([
      `${all.hop.address}/p2p-circuit`,
      `/ip4/127.0.0.1/tcp/4002/ws/p2p/${all.hop.id}/p2p-circuit`
    ])
  })

  it('sixteen of a thousand reported addresses are announced', async () => {
    const all = await scene(async ({ say, stream }) => {
      const many = Array.from({ length: 1000 }, (_, index) => `/ip4/127.0.0.1/tcp/${index + 1}`)
      await say(grant(inAnHour(), many))
      await stream.close()
    })
    expect((await all.ability.reserve(call())).addresses).toHaveLength(16)
  })

  it('reported addresses of other hosts are not announced by a transport that listens by itself', async () => {
    const hop = await startHop(async ({ say, stream }) => {
      await say(grant(inAnHour(), ['/ip4/8.8.8.8/tcp/443']))
      await stream.close()
    })
    const node = await startNode()
    search(node.components)
    await node.libp2p.dial(multiaddr(hop.address))
    await node.components.transportManager.listen([multiaddr(`${hop.address}/p2p-circuit`)])
    await until(() => node.circuits(hop).length > 0)
    expect(node.circuits()).toEqual([expect.stringContaining(`${hop.address}/p2p-circuit`)])
  })

  it('a relay that reports only invalid addresses to the transport is not used', async () => {
    const all = await scene(async ({ say, stream, count }) => {
      const bytes = grant(inAnHour(), ['/ip4/127.0.0.9/tcp/4001'])
      if (count === 1) bytes[bytes.indexOf(0x04, 10)] = 0xff
      await say(bytes)
      await stream.close()
    })
    await expect(all.ability.reserve(call())).rejects.toMatchObject({
      code: expect.stringMatching(/NO_REPLY|GRANT_INVALID/)
    })
    await expectNothing(all)
  })

  it('a relay that refuses the transport, and grants afterwards, is not used', async () => {
    const all = await scene(async ({ say, stream, count }) => {
      await say(count === 1 ? refusal(200) : grant(inAnHour()))
      await stream.close()
    }, false)
    await expect(all.ability.reserve(call())).rejects.toMatchObject({ code: 'NO_REPLY' })
    await expectNothing(all)
  })

  it('a relay that has granted and does not tell its limits is used without them', async () => {
    const all = await scene(async ({ say, stream, count }) => {
      if (count === 2) return
      await say(grant(inAnHour()))
      await stream.close()
    }, false)
    const reserved = all.ability.reserve(call())
    await until(() => all.hop.asked() === 2)
    expect(all.node.circuits()).toHaveLength(1)
    await all.clock.advance(2000)
    const lease = await reserved
    expect(lease.limits).toBeUndefined()
    expect(lease.lifetimeMs).toBeGreaterThan(3_500_000)
    await until(() => streamsOf(all.node) === 0)
    await lease.release(call())
    await expectNothing(all)
  })

  it('a relay that has granted and then refuses is used without limits', async () => {
    const all = await scene(async ({ say, stream, count }) => {
      await say(count === 1 ? grant(inAnHour()) : refusal(201))
      await stream.close()
    }, false)
    expect((await all.ability.reserve(call())).limits).toBeUndefined()
    expect(all.node.circuits()).toHaveLength(1)
  })

  it('a refusal that arrives byte by byte is overheard', async () => {
    const all = await scene(async ({ raw, stream }) => {
      const bytes = refusal(202)
      for (const byte of [bytes.length, ...bytes]) {
        raw(Uint8Array.of(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await stream.close()
    })
    await expect(all.ability.reserve(call())).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
    expect(all.hop.asked()).toBe(1)
    await expectNothing(all)
  })

  it('a cancelled request to a silent relay keeps no other relay waiting, and a renewal never waits', async () => {
    const all = await scene(() => undefined)
    const other = await startRelay({ host: '127.1.0.1' })
    await all.node.libp2p.dial(multiaddr(other.address))
    const ability = await all.looking.relay(other)
    const lease = await ability.reserve(call())
    const cut = new AbortController()
    const reserved = all.ability.reserve(cut)
    reserved.catch(() => undefined)
    await until(() => all.hop.asked() === 1)
    // The clock stands still, and the transport's own limit is five seconds.
    const renewed = await lease.renew(call())
    await renewed.release(call())
    cut.abort(new Error('enough'))
    expect((await ability.reserve(call())).addresses).toEqual([`${other.address}/p2p-circuit`])
    await expect(reserved).rejects.toThrow('enough')
  })

  it('a relay that talks before it is asked is reported as MALFORMED_REPLY', async () => {
    const all = await scene(async ({ say, stream }) => (await say(grant(inAnHour())), stream.close()))
    const [connection] = all.hop.libp2p.getConnections()
    const [own] = all.node.libp2p.getConnections()
    const newStream = own?.newStream.bind(own)
    if (connection === undefined || own === undefined || newStream === undefined) throw new Error('not connected')
    own.newStream = async (...args) => {
      const stream = await newStream(...args)
      connection.streams.at(-1)?.send(Uint8Array.of(1))
      await until(() => stream.readBufferLength > 0)
      return stream
    }
    await expect(all.ability.reserve(call())).rejects.toMatchObject({ code: 'MALFORMED_REPLY' })
    await expectNothing(all)
  })

  it('a relayed connection to another peer is not taken for a reservation', async () => {
    const { relay, node, ability } = await pair()
    const [own] = node.libp2p.getConnections()
    const third = await startNode()
    await third.libp2p.dial(multiaddr(relay.address))
    const theirs = await (await search(third.components).relay(relay)).reserve(call())
    const [address = ''] = theirs.addresses
    const [lease, connection] = await Promise.all([
      ability.reserve(call()),
      node.libp2p.dial(multiaddr(`${address}/p2p/${third.id}`))
    ])
    expect(lease.limits).toEqual({ durationMs: 120_000, bytes: 131_072 })
    expect(connection.status).toBe('open')
    expect(own?.status).toBe('open')
  })

  it('a lease that the relay does not renew can be released', async () => {
    const all = await scene(async ({ say, stream, count }) => {
      await say(count < 2 ? grant(inAnHour()) : refusal(200))
      await stream.close()
    })
    const lease = await all.ability.reserve(call())
    await expect(lease.renew(call())).rejects.toMatchObject({ code: 'OUT_OF_RESOURCES' })
    await lease.release(call())
    await expectNothing(all)
  })
})

describe('a relay of js-libp2p', () => {
  it('a full js-libp2p relay refuses, and the existing reservation stays', async () => {
    const { relay, node, ability } = await pair({ server: { reservations: { maxReservations: 1 } } })
    await ability.reserve(call())
    const other = await startNode()
    await other.libp2p.dial(multiaddr(relay.address))
    const refused = (await search(other.components).relay(relay)).reserve(call())
    await expect(refused).rejects.toMatchObject({ code: 'OUT_OF_RESOURCES' })
    expect(relay.reserved()).toEqual([node.id])
    expect(other.circuits()).toEqual([])
  })

  it('a js-libp2p relay refuses if its connection gater denies the reservation', async () => {
    const { ability } = await pair({ connectionGater: { denyInboundRelayReservation: () => true } })
    await expect(ability.reserve(call())).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
  })

  it('a js-libp2p relay that stopped serving is reported as UNSUPPORTED, and used when it serves again', async () => {
    const { relay, ability, looking } = await pair()
    const hop = '/libp2p/circuit/relay/0.2.0/hop'
    const { handler, options } = relay.components.registrar.getHandler(hop)
    await relay.components.registrar.unhandle(hop)
    await expect(ability.reserve(call())).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    // The transport alone would never ask it again.
    await relay.components.registrar.handle(hop, handler, options)
    expect((await ability.reserve(call())).addresses).toEqual([`${relay.address}/p2p-circuit`])
    await looking.stop()
  })
})

describe('an aborted call', () => {
  const reason = natError('ATTEMPT_TIMEOUT', 'too long')
  const abortedWithin = async (work: Promise<unknown>): Promise<void> => {
    const startMs = performance.now()
    await expect(work).rejects.toBe(reason)
    expect(performance.now() - startMs).toBeLessThan(500)
  }

  it('reserve sends nothing with an aborted signal', async () => {
    const all = await scene(() => undefined)
    await expect(all.ability.reserve({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(all.hop.asked()).toBe(0)
  })

  it('an abort before the answer of the relay leaves nothing behind', async () => {
    const all = await scene(() => undefined)
    const cut = new AbortController()
    const reserved = all.ability.reserve(cut)
    await until(() => all.hop.asked() === 1)
    cut.abort(reason)
    await abortedWithin(reserved)
    await all.looking.stop()
    expect(all.clock.pending).toBe(0)
    await expectNothing(all)
  })

  it('an abort before a grant arrives leaves nothing behind', async () => {
    let answer: (() => Promise<void>) | undefined
    const all = await scene(async ({ say, stream, count }) => {
      const speak = async (): Promise<void> => {
        await say(grant(inAnHour()))
        await stream.close()
      }
      if (count === 1) answer = speak
      else await speak()
    })
    const cut = new AbortController()
    const reserved = all.ability.reserve(cut)
    await until(() => answer !== undefined)
    cut.abort(reason)
    await abortedWithin(reserved)
    await answer?.()
    await until(() => streamsOf(all.node) === 0)
    await expectNothing(all)
    // The relay can be asked again.
    const next = await all.ability.reserve(call())
    expect(next.addresses).toHaveLength(1)
    expect(all.node.circuits()).toHaveLength(1)
  })

  it('an abort of renew leaves a lease that can be released', async () => {
    const all = await scene(async ({ say, stream, count }) => {
      if (count > 1) return
      await say(grant(inAnHour()))
      await stream.close()
    })
    const lease = await all.ability.reserve(call())
    const cut = new AbortController()
    const renewed = lease.renew(cut)
    await until(() => all.hop.asked() === 2)
    cut.abort(reason)
    await abortedWithin(renewed)
    await lease.release(call())
    await expectNothing(all)
  })

  it('an aborted release has released the lease', async () => {
    const { node, ability } = await pair()
    const lease = await ability.reserve(call())
    await lease.release({ signal: AbortSignal.abort(reason) })
    expect(node.circuits()).toEqual([])
  })

  it('the end of the search leaves no listener', async () => {
    const [relay, node] = await Promise.all([startRelay(), startNode()])
    // The listener that filters reported addresses stays as long as the transport, since reservations outlive a search.
    await search(node.components).stop()
    const counted = countListeners(node)
    const before = counted()
    const looking = search(node.components, { relays: [relay.address] })
    await looking.relay(relay)
    expect(counted()).toBeGreaterThan(before)
    await looking.stop()
    expect(counted()).toBe(before)
  })
})

/** Counts the listeners of the node's events and of the reservation store that were added and not removed. */
function countListeners(node: Node): () => number {
  const { events, transportManager } = node.components
  const transport = transportManager.getTransports().find((each) => 'reservationStore' in each)
  const book = (transport as unknown as { reservationStore: EventTarget }).reservationStore
  let count = 0
  for (const target of [events as EventTarget, book]) {
    const { addEventListener, removeEventListener } = target
    target.addEventListener = (...args: Parameters<typeof addEventListener>) => (
      count++, addEventListener.apply(target, args)
    )
    target.removeEventListener = (...args: Parameters<typeof removeEventListener>) => (
      count--, removeEventListener.apply(target, args)
    )
  }
  return () => count
}
