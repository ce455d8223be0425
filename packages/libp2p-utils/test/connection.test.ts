import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { directRoute, isDialledDirectly, isDirect, isRelayed, relayOf } from '../src/index.js'

const relay = '12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'
const connection = (address: string, more: object = {}): Connection =>
  ({ status: 'open', direction: 'outbound', remoteAddr: multiaddr(address), ...more }) as unknown as Connection

const direct = '/ip4/11.0.0.1/tcp/4001'
const relayed = `${direct}/p2p/${relay}/p2p-circuit`
const webrtc = `${relayed}/webrtc`

describe('the way of a connection', () => {
  it.each([
    ['a direct one', connection(direct), { relayed: false, direct: true, dialled: true }],
    ['an inbound one', connection(direct, { direction: 'inbound' }), { relayed: false, direct: true, dialled: false }],
    ['a limited one', connection(relayed, { limits: {} }), { relayed: true, direct: false, dialled: false }],
    ['one through a relay without limits', connection(relayed), { relayed: true, direct: false, dialled: false }],
    ['one by WebRTC', connection(webrtc), { relayed: false, direct: true, dialled: true }],
    ['a closing one', connection(direct, { status: 'closing' }), { relayed: false, direct: false, dialled: false }],
    [
      'a closed one of a relay',
      connection(relayed, { limits: {}, status: 'closed' }),
      { relayed: false, direct: false, dialled: false }
    ]
  ])('isRelayed, isDirect and isDialledDirectly agree about %s', (_, each, expected) => {
    expect({ relayed: isRelayed(each), direct: isDirect(each), dialled: isDialledDirectly(each) }).toEqual(expected)
  })
})

it('directRoute returns the route of a direct connection only', () => {
  expect(directRoute(connection(direct))).toMatchObject({ host: '11.0.0.1', port: 4001, transport: 'tcp' })
  expect([relayed, webrtc].map((each) => directRoute(connection(each)))).toEqual([undefined, undefined])
  expect(directRoute(connection(direct, { limits: {} }))).toBeUndefined()
  expect(directRoute(connection(direct, { status: 'closed' }))).toBeUndefined()
})

it('relayOf returns the relay of a relayed address, and nothing for a direct one', () => {
  const target = '12D3KooWHeenJjh6gDiFhPgzURVYLqFHcoAMEAfKktLyhahhMcMM'
  expect(relayOf(connection(`${relayed}/p2p/${target}`))).toBe(relay)
  expect(relayOf(connection('/p2p-circuit'))).toBeUndefined()
  expect(relayOf(connection(`${direct}/p2p/${target}`))).toBeUndefined()
})
