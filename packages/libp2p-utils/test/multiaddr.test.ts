import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { hostOf, ipOf, peerIdOf, routeOf } from '../src/index.js'

const peer = '12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'

describe('routeOf', () => {
  it.each([
    ['/ip4/11.0.0.1/tcp/4001', { host: '11.0.0.1', family: 4, port: 4001, transport: 'tcp', peerId: undefined }],
    [`/ip4/11.0.0.1/udp/4001/quic-v1/p2p/${peer}`, { transport: 'udp/quic-v1', peerId: peer }],
    ['/ip4/11.0.0.1/tcp/443/wss', { transport: 'tcp/ws' }],
    ['/ip4/11.0.0.1/tcp/443/tls/sni/example.com/ws', { transport: 'tcp/ws' }],
    ['/ip6/2A00:1:0::1/tcp/4001', { host: '2a00:1::1', family: 6 }],
    ['/ip6/::ffff:11.0.0.1/tcp/4001', { host: '11.0.0.1', family: 4 }],
    ['/ip6zone/eth0/ip6/fe80::1/tcp/4001', { host: 'fe80::1', family: 6 }]
  ])('routeOf reads %s', (text, route) => {
    expect(routeOf(text)).toMatchObject(route)
    expect(routeOf(multiaddr(text).bytes)).toMatchObject(route)
  })

  it.each([
    `/ip4/11.0.0.1/tcp/4001/p2p/${peer}/p2p-circuit`,
    `/p2p/${peer}`,
    '/dns4/example.com/tcp/4001',
    `/ip4/11.0.0.1/tcp/4001${'/ws'.repeat(400)}`,
    '/ip4/11.0.0.1',
    '/ip4/11.0.0.1/udp',
    '/memory/1',
    '',
    'nonsense'
  ])('routeOf returns undefined for %s', (text) => {
    expect(routeOf(text)).toBeUndefined()
  })

  it('routeOf returns undefined for bytes that are not a multiaddr', () => {
    expect(routeOf(Uint8Array.of(255, 255, 255))).toBeUndefined()
    expect(routeOf(new Uint8Array())).toBeUndefined()
  })
})

describe('the host of a multiaddr', () => {
  it.each([
    ['/ip4/11.0.0.1/tcp/4001', '11.0.0.1', '11.0.0.1'],
    ['/ip6/::ffff:11.0.0.1/tcp/4001', '::ffff:b00:1', '11.0.0.1'],
    ['/ip6zone/eth0/ip6/fe80::1/tcp/4001', 'fe80::1', 'fe80::1'],
    ['/dns4/example.com/tcp/443', 'example.com', undefined],
    [`/ip4/21.0.0.1/tcp/4001/p2p/${peer}/p2p-circuit`, '21.0.0.1', '21.0.0.1'],
    ['/p2p-circuit', undefined, undefined]
  ])('hostOf and ipOf read %s', (text, host, ip) => {
    expect([hostOf(multiaddr(text)), ipOf(multiaddr(text))]).toEqual([host, ip])
  })
})

it('peerIdOf reads both text forms of the id at the end, and returns an empty text without one', () => {
  const cid = 'bafzaajaiaejcbx36h43kzulflnv2rglwqy2h3mcddo5mrnn2t2aqw7qm4vwkvzsw'
  expect(peerIdOf(`/ip4/11.0.0.1/tcp/1/p2p/${peer}`)).toBe(peer)
  expect(peerIdOf(`/ip4/11.0.0.1/tcp/1/p2p/${cid}`)).toMatch(/^12D3KooW/)
  expect(peerIdOf('/ip4/11.0.0.1/tcp/1')).toBe('')
})
