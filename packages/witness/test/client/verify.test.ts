import { type Evidence, type MultiaddrText, natError, type Witness } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { witness } from '../../src/index.js'
import {
  type Behave,
  external,
  from,
  indication,
  type Scene,
  scene,
  serverAddress,
  serverUrl,
  tcpAddress,
  udpAddress
} from '../world.js'

const network = { gateways: [], addresses: ['192.168.1.2', '2a00:1::2'] }

async function witnessOf({ host, exchangeHttp }: Scene): Promise<Witness> {
  const found: Witness[] = []
  const signal = new AbortController().signal
  const discovery = witness({ servers: [serverUrl], exchangeHttp })(host)
  await discovery.discover(network, (finding) => finding.kind === 'witness' && found.push(finding), { signal })
  return found[0] ?? expect.fail('no witness was found')
}

/** Resolves with the evidence of a witness that behaves like this. */
async function evidenceOf(behave: Behave, address: MultiaddrText = tcpAddress): Promise<Evidence & { each: Scene }> {
  const each = scene()
  each.behave = behave
  const one = await witnessOf(each)
  const pending = one.verify(address, { signal: new AbortController().signal })
  await each.clock.advance(20_000)
  const evidence = await pending
  expect(each.listeners()).toBe(0)
  expect(each.clock.pending).toBe(0)
  return { ...evidence, each }
}

const yes: Behave = ({ address, port }) => ({ body: { outcome: 'connected', address, port, from } })
const sent: Behave = ({ address, port }) => ({ body: { outcome: 'sent', address, port, from } })
/** A connection from another place than the witness names. */
const yesFrom =
  (remoteAddress: string, remotePort = from.port): Behave =>
  (asked, each) => {
    each.arrive({ remoteAddress, remotePort })
    return yes(asked, each)
  }

describe('evidence over TCP', () => {
  it('an address is reachable if the connection that the witness names arrived', async () => {
    const { outcome, reason, each } = await evidenceOf(scene().behave)
    expect([outcome, reason]).toEqual(['reachable', undefined])
    expect(each.recognized).toContain(`${serverAddress} ${from.port}`)
    expect(each.exchanges[0]).toMatchObject({ method: 'POST', connectTo: serverAddress })
    expect(each.exchanges[0]?.url.href).toBe(`${serverUrl}/v1/verify`)
  })

  it('an address is reachable if the connection is accepted shortly after the reply', async () => {
    const { outcome } = await evidenceOf((asked, each) => {
      void each.clock.sleep(300, new AbortController()).then(() => each.arrive({}))
      return yes(asked, each)
    })
    expect(outcome).toBe('reachable')
  })

  it('an address is reachable although thousands of other connections arrived before that of the witness', async () => {
    const { outcome } = await evidenceOf((asked, each) => {
      for (let count = 0; count < 5000; count++) each.arrive({ remoteAddress: '5.5.5.5', remotePort: 1024 + count })
      each.arrive({})
      return yes(asked, each)
    })
    expect(outcome).toBe('reachable')
  })

  it.each(['refused', 'timeout', 'unreachable'])('an address is unreachable if the witness says %s', async (said) => {
    const told = await evidenceOf(({ address, port }) => ({ body: { outcome: said, address, port } }))
    expect(told.outcome).toBe('unreachable')
    expect(told.reason?.code).toMatch(/^(REFUSED|NO_REPLY|UNREACHABLE)$/)
  })

  it('a witness behind a NAT that keeps ports is recognized by the address of its URL', async () => {
    const { outcome } = await evidenceOf(({ address, port }, each) => {
      each.arrive({})
      return { body: { outcome: 'connected', address, port, from: { address: '172.31.5.9', port: from.port } } }
    })
    expect(outcome).toBe('reachable')
  })

  it('a witness that connects from another address than that of its URL counts if that connection arrived', async () => {
    const own = { address: '7.7.7.7', port: 4711 }
    const { outcome } = await evidenceOf(({ address, port }, each) => {
      each.arrive({ remoteAddress: own.address, remotePort: own.port })
      return { body: { outcome: 'connected', address, port, from: own } }
    })
    expect(outcome).toBe('reachable')
  })

  it.each<[string, Behave, RegExp]>([
    ['nothing arrived', yes, /no connection from it arrived/],
    ['a connection from another port arrived', yesFrom(serverAddress, 1), /no connection from it arrived/],
    ['the router masquerades', yesFrom('192.168.1.1'), /192\.168\.1\.1: a router on the way replaces/],
    ['a forwarder carries the connection', yesFrom('127.0.0.1', 40_000), /127\.0\.0\.1: a forwarder/],
    ['the router returns it from inside', yesFrom(external), /hairpin/],
    ['it came from a neighbour', yesFrom('2a00:1::99'), /in the network of this host/],
    [
      'the witness names the external address itself',
      ({ address, port }, each) => {
        each.arrive({ remoteAddress: external })
        return { body: { outcome: 'connected', address, port, from: { address: external, port: from.port } } }
      },
      /names a place that proves nothing/
    ],
    [
      'the witness says no, and its connection arrived',
      ({ address, port }, each) => {
        each.arrive({})
        return { body: { outcome: 'timeout', address, port } }
      },
      /could not connect, and a connection from it arrived/
    ]
  ])('nothing is proven if %s', async (_, behave, text) => {
    const { outcome, reason } = await evidenceOf(behave)
    expect(outcome).toBe('inconclusive')
    expect(reason).toMatchObject({ code: 'WITNESS_UNPROVEN', message: expect.stringMatching(text) })
  })
})

describe('evidence over UDP', () => {
  it('an address is reachable if a datagram with the nonce arrived from the place that the witness names', async () => {
    expect((await evidenceOf(scene().behave, udpAddress)).outcome).toBe('reachable')
  })

  it('an address is reachable if only the last datagram arrives', async () => {
    const { outcome } = await evidenceOf((asked, each) => {
      const arrive = (): void => each.arrive({ protocol: 'udp', bytes: indication(asked.nonce) })
      void each.clock.sleep(1100, new AbortController()).then(arrive)
      return sent(asked, each)
    }, udpAddress)
    expect(outcome).toBe('reachable')
  })

  it('an address is unreachable if no datagram with the nonce arrived', async () => {
    const { outcome, reason } = await evidenceOf((asked, each) => {
      each.arrive({ protocol: 'udp', bytes: indication(asked.nonce.map((byte) => byte ^ 1)) })
      each.arrive({ protocol: 'udp', bytes: new TextEncoder().encode('a datagram of the game') })
      return sent(asked, each)
    }, udpAddress)
    expect([outcome, reason?.code]).toEqual(['unreachable', 'NO_REPLY'])
  })

  it.each(['192.168.1.1', external, '7.7.7.7'])('nothing is proven by a datagram from %s', async (remoteAddress) => {
    const { outcome, reason } = await evidenceOf((asked, each) => {
      each.arrive({ protocol: 'udp', remoteAddress, bytes: indication(asked.nonce) })
      return sent(asked, each)
    }, udpAddress)
    expect([outcome, reason?.code]).toEqual(['inconclusive', 'WITNESS_UNPROVEN'])
  })
})

describe('a witness that gives no evidence', () => {
  it.each<[string, Behave, string]>([
    ['redirects', () => ({ status: 302, headers: { location: 'http://192.168.1.1/' }, body: {} }), 'UNTRUSTED_REPLY'],
    ['is a web server', () => ({ status: 404, body: new TextEncoder().encode('<html>') }), 'UNSUPPORTED'],
    ['is busy', () => ({ status: 429, headers: { 'retry-after': '60' }, body: { error: 'busy' } }), 'WITNESS_REFUSED'],
    ['sends no JSON', () => ({ body: new TextEncoder().encode('yes') }), 'MALFORMED_REPLY'],
    ['sends JSON of another kind', () => ({ body: { outcome: 'reachable' } }), 'MALFORMED_REPLY'],
    [
      'answers about another address',
      ({ port }) => ({ body: { outcome: 'connected', address: '8.8.8.8', port, from } }),
      'UNTRUSTED_REPLY'
    ],
    [
      'answers about another port',
      ({ address }) => ({ body: { outcome: 'timeout', address, port: 1 } }),
      'UNTRUSTED_REPLY'
    ],
    ['answers about another protocol', sent, 'MALFORMED_REPLY']
  ])('verify is inconclusive with a code if the witness %s', async (_, behave, code) => {
    const { outcome, reason } = await evidenceOf(behave)
    expect([outcome, reason?.code]).toEqual(['inconclusive', code])
  })

  it('verify tells where the witness sees this host, and how long it wants to be left alone', async () => {
    const { reason } = await evidenceOf(() => ({
      status: 403,
      headers: { 'retry-after': '99999' },
      body: { error: 'address-differs', message: 'only the address', observed: '8.8.8.8' }
    }))
    expect(reason).toMatchObject({ code: 'WITNESS_REFUSED', retryAfterMs: 3_600_000 })
    expect(reason?.message).toContain('It sees this host at 8.8.8.8.')
  })

  it('verify asks nothing if the host cannot see arrivals, and tells why', async () => {
    const each = scene()
    const blind = {
      ...each,
      host: {
        ...each.host,
        arrivals: (): void => {
          throw natError('UNSUPPORTED', 'another program has the port')
        }
      }
    }
    const { outcome, reason } = await (await witnessOf(blind)).verify(tcpAddress, {
      signal: new AbortController().signal
    })
    expect([outcome, reason?.code, each.exchanges.length]).toEqual(['inconclusive', 'UNSUPPORTED', 0])
  })

  it('verify asks nothing about an address of the other family', async () => {
    const { outcome, reason, each } = await evidenceOf(scene().behave, '/ip6/2a00:2::1/tcp/4001')
    expect([outcome, reason?.code, each.exchanges.length]).toEqual(['inconclusive', 'UNSUPPORTED', 0])
  })

  it.each(['/ip4/192.168.1.2/tcp/4001', '/ip4/8.8.4.4/tcp/1/p2p-circuit', '/dns4/example.org/tcp/1'] as const)(
    'verify rejects with ADDRESS_NOT_ROUTABLE for %s',
    async (address) => {
      const each = scene()
      const pending = (await witnessOf(each)).verify(address, { signal: new AbortController().signal })
      await expect(pending).rejects.toMatchObject({ code: 'ADDRESS_NOT_ROUTABLE' })
      expect(each.exchanges).toEqual([])
    }
  )
})

it('verify asks from the address in question if it is one of this host', async () => {
  const each = scene()
  const found: Witness[] = []
  const { signal } = new AbortController()
  const { exchangeHttp } = each
  const discovery = witness({ servers: ['http://[2a00:9::9]:4003'], exchangeHttp })(each.host)
  await discovery.discover(network, (finding) => finding.kind === 'witness' && found.push(finding), { signal })
  const pending = found[0]?.verify('/ip6/2a00:1::2/tcp/4001', { signal })
  await each.clock.advance(20_000)
  await pending
  expect(each.exchanges[0]).toMatchObject({ localAddress: '2a00:1::2', connectTo: '2a00:9::9' })
})
