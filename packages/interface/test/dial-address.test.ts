import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isDialable, parseDialAddress } from '../src/index.js'

const peer = '12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'
const hash = 'uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ'

/** The parts that a multiaddr may have, and some that none has. */
const part = fc.oneof(
  fc.constantFrom('tcp', 'udp', 'ws', 'wss', 'tls', 'noise', 'quic', 'quic-v1', 'webtransport', 'webrtc', 'http'),
  fc.constantFrom(
    'webrtc-direct',
    'p2p-circuit',
    'sctp',
    'dccp',
    'utp',
    'onion3',
    'garlic64',
    'unix',
    'memory',
    'ipcidr'
  ),
  fc.constantFrom(
    'sni',
    'http-path',
    'dns',
    'dns4',
    'dns6',
    'dnsaddr',
    'ip4',
    'ip6',
    'ip6zone',
    'p2p',
    'ipfs',
    'certhash'
  ),
  fc.constantFrom('127.0.0.1', '::1', '10.0.0.1', 'localhost', '80', '0', '65536', '-1', '1e3', '', '%2f', 'eth0'),
  fc.constantFrom(peer, hash, `${hash}/sni`, 'x\u001b[2J', '12D3\n')
)
const head = fc.constantFrom(
  '/ip4/11.0.0.1/tcp/4001',
  '/ip6/2a00::1/udp/4001',
  '/ip4/11.0.0.1/tcp/443/tls',
  '/dns4/a.b/tcp/1',
  ''
)

describe('parseDialAddress', () => {
  it.each([
    ['/ip4/11.0.0.1/tcp/4001', 'tcp', '/ip4/11.0.0.1/tcp/4001'],
    [`/ip4/11.0.0.1/tcp/4001/p2p/${peer}`, 'tcp', `/ip4/11.0.0.1/tcp/4001/p2p/${peer}`],
    ['/ip4/11.0.0.1/tcp/443/wss', 'tcp/tls/ws', '/ip4/11.0.0.1/tcp/443/tls/ws'],
    ['/ip4/11.0.0.1/tcp/80/ws', 'tcp/ws', '/ip4/11.0.0.1/tcp/80/ws'],
    ['/ip6/2A00:0::1/udp/4001/quic-v1', 'udp/quic-v1', '/ip6/2a00::1/udp/4001/quic-v1'],
    [`/ip4/11.0.0.1/udp/1/webrtc-direct/certhash/${hash}`, 'udp/webrtc-direct', undefined],
    [
      `/ip4/11.0.0.1/udp/1/quic-v1/webtransport/certhash/${hash}/certhash/${hash}`,
      'udp/quic-v1/webtransport',
      undefined
    ],
    ['/ip6/::ffff:11.0.0.1/tcp/4001', 'tcp', '/ip4/11.0.0.1/tcp/4001']
  ])('parseDialAddress rebuilds %s from its parts', (text, transport, built) => {
    expect(parseDialAddress(text)).toMatchObject({ transport, text: built ?? text })
  })

  it.each([
    '/ip4/11.0.0.1/tcp/443/tls/sni/127.0.0.1/ws',
    '/ip4/11.0.0.1/tcp/443/tls/sni/127.0.0.1/tls/ws',
    '/ip4/11.0.0.1/tcp/80/ws/http-path/x',
    '/ip4/11.0.0.1/tcp/80/http',
    '/ip4/11.0.0.1/tcp/80/tls',
    '/ip4/11.0.0.1/tcp/80/ws/p2p-circuit',
    `/ip4/11.0.0.1/tcp/1/p2p/${peer}/p2p-circuit/p2p/${peer}`,
    `/ip4/11.0.0.1/tcp/1/p2p/${peer}/ip4/127.0.0.1/tcp/1`,
    `/p2p/${peer}/ip4/11.0.0.1/tcp/1`,
    '/ip4/11.0.0.1/tcp/1/ip4/127.0.0.1/tcp/2',
    '/ip4/11.0.0.1/tcp/1/dns4/localhost',
    '/ip4/11.0.0.1/udp/1',
    '/ip4/11.0.0.1/udp/1/quic-v1/webrtc-direct',
    `/ip4/11.0.0.1/tcp/1/certhash/${hash}`,
    '/ip4/11.0.0.1/tcp/0',
    '/ip4/11.0.0.1/tcp/65536',
    '/ip4/11.0.0.1/tcp/01',
    '/ip4/011.0.0.1/tcp/1',
    '/ip4/11.1/tcp/1',
    '/ip6zone/eth0/ip6/fe80::1/tcp/1',
    '/ip6/fe80::1%eth0/tcp/1',
    '/dns4/example.com/tcp/1',
    '/unix/run',
    ''
  ])('parseDialAddress rejects %s', (text) => expect(parseDialAddress(text)).toBeUndefined())

  it('parseDialAddress returns a text with one IP address and port for any parts of a multiaddr', () => {
    let read = 0
    fc.assert(
      fc.property(head, fc.array(part, { maxLength: 6 }), (start, parts) => {
        const place = parseDialAddress([start, ...parts].join('/'))
        if (place === undefined) return
        read++
        const { address, family, protocol, port, transport, text } = place
        const rest = text.slice(`/ip${family}/${address}/${protocol}/${port}`.length)
        expect(text.startsWith(`/ip${family}/${address}/${protocol}/${port}`)).toBe(true)
        expect(rest).toMatch(
          /^(?:\/ws|\/tls\/ws|\/quic-v1|\/quic-v1\/webtransport|\/webrtc-direct)?(?:\/certhash\/u[\w-]+)*(?:\/p2p\/\w+)?$/
        )
        expect(['tcp', 'udp']).toContain(transport.split('/')[0])
        // Parsing is idempotent: a second check of the dialled address has the same result.
        expect(parseDialAddress(text)).toEqual(place)
        expect(isDialable(text)).toBe(true)
      }),
      { numRuns: 20_000 }
    )
    expect(read).toBeGreaterThan(100)
  })

  it('parseDialAddress returns undefined or a stable address for any text', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 2000, unit: 'binary' }), (text) => {
        const place = parseDialAddress(text)
        expect(place === undefined || parseDialAddress(place.text)?.text === place.text).toBe(true)
      })
    )
  })
})

describe('isDialable', () => {
  it.each([
    '/ip4/11.0.0.1/tcp/4001',
    `/dns4/relay.example/tcp/443/tls/ws/p2p/${peer}`,
    `/dns/localhost/tcp/1/p2p/${peer}`,
    `/dnsaddr/bootstrap.example/p2p/${peer}`,
    `/ip6zone/eth0/ip6/fe80::1/tcp/1/p2p/${peer}`,
    `/ip4/11.0.0.1/tcp/1/p2p/${peer}/p2p-circuit/p2p/${peer}`,
    `/ip4/11.0.0.1/tcp/1/p2p/${peer}/p2p-circuit/webrtc/p2p/${peer}`,
    `/p2p/${peer}/p2p-circuit`
  ])('isDialable accepts %s', (text) => expect(isDialable(text)).toBe(true))

  it.each([
    '/ip4/11.0.0.1/tcp/443/tls/sni/127.0.0.1/ws',
    '/dns4/a.example/tcp/443/tls/sni/b.example/ws',
    '/dns4/a.example/tcp/80/ws/http-path/x',
    '/dns4/a%2fb/tcp/1',
    '/dns4/a.example',
    '/unix/run%2fdocker.sock',
    `/p2p/${peer}/p2p-circuit/ip4/127.0.0.1/tcp/1`,
    `/p2p/${peer}/p2p-circuit/p2p-circuit/p2p/${peer}`,
    `/p2p/${peer}`,
    ''
  ])('isDialable rejects %s', (text) => expect(isDialable(text)).toBe(false))
})
