import { multiaddr } from '@multiformats/multiaddr'
import { expect, it } from 'vitest'
import { endpointsOf } from '../src/endpoints.js'

const of = (...addresses: readonly string[]): unknown => endpointsOf(addresses.map((each) => multiaddr(each)))
const certhash = 'certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g'

it('endpointsOf merges the addresses of a wildcard listener into one endpoint', () => {
  expect(of('/ip4/127.0.0.1/tcp/4001', '/ip4/192.168.1.2/tcp/4001')).toEqual([
    { endpoint: { protocol: 'tcp', family: 4, address: '0.0.0.0', port: 4001 }, suffix: '' }
  ])
  expect(of('/ip6/::1/udp/4001/quic-v1', '/ip6/2a00::2/udp/4001/quic-v1')).toEqual([
    { endpoint: { protocol: 'udp', family: 6, address: '::', port: 4001 }, suffix: '/quic-v1' }
  ])
})

it('endpointsOf keeps concrete addresses, families, ports and transports apart', () => {
  expect(
    of('/ip4/192.168.1.2/tcp/4001', '/ip4/10.0.0.2/tcp/4001', '/ip4/192.168.1.2/tcp/4002/ws', '/ip4/127.0.0.1/tcp/5000')
  ).toEqual([
    { endpoint: { protocol: 'tcp', family: 4, address: '192.168.1.2', port: 4001 }, suffix: '' },
    { endpoint: { protocol: 'tcp', family: 4, address: '10.0.0.2', port: 4001 }, suffix: '' },
    { endpoint: { protocol: 'tcp', family: 4, address: '192.168.1.2', port: 4002 }, suffix: '/ws' },
    { endpoint: { protocol: 'tcp', family: 4, address: '127.0.0.1', port: 5000 }, suffix: '' }
  ])
})

it('endpointsOf removes the peer id and keeps the certificate hash', () => {
  expect(
    of(`/ip4/192.168.1.2/udp/4001/webrtc-direct/${certhash}/p2p/12D3KooWHeenJjh6gDiFhPgzURVYLqFHcoAMEAfKktLyhahhMcMM`)
  ).toEqual([
    {
      endpoint: { protocol: 'udp', family: 4, address: '192.168.1.2', port: 4001 },
      suffix: `/webrtc-direct/${certhash}`
    }
  ])
})

it('endpointsOf skips circuit addresses and addresses without a port', () => {
  expect(
    of(
      '/ip4/21.0.0.1/tcp/4001/p2p/12D3KooWHeenJjh6gDiFhPgzURVYLqFHcoAMEAfKktLyhahhMcMM/p2p-circuit',
      '/memory/1',
      '/webrtc',
      '/ip4/192.168.1.2/tcp/0',
      '/dns4/example.org/tcp/443/tls/ws'
    )
  ).toEqual([])
})
