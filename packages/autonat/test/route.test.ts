import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { fits, type Route, routeOf } from '../src/wire/route.js'

const peer = '12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'
const getRoute = (text: string): Route => {
  const route = routeOf(text)
  if (route === undefined) throw new Error(`no route: ${text}`)
  return route
}

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

it('a connection from any port fits an address of its family and transport', () => {
  const asked = getRoute('/ip4/11.0.0.1/tcp/443/wss')
  expect(fits(asked, getRoute('/ip4/11.2.0.1/tcp/50000/ws'))).toBe(true)
  expect(fits(asked, getRoute('/ip4/11.2.0.1/tcp/50000'))).toBe(false)
  expect(fits(asked, getRoute('/ip6/2a00::1/tcp/50000/ws'))).toBe(false)
})
