import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { createRequesters } from '../../src/server/requester.js'

const requesters = createRequesters({
  header: 'X-Forwarded-For',
  proxies: ['10.0.0.1', '172.16.0.0/12', '2001:db8::/64']
})

function addressOf(remoteAddress: string, told?: string): string | undefined {
  const headers = told === undefined ? {} : { 'x-forwarded-for': told }
  return requesters.addressOf({ headers, socket: { remoteAddress } as IncomingMessage['socket'] })
}

describe('the address of a client', () => {
  it.each([
    ['203.0.113.7', undefined, '203.0.113.7'],
    ['::ffff:203.0.113.7', undefined, '203.0.113.7'],
    // A client forges the header.
    ['203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['::ffff:10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['2001:db8::5', '2001:db8:1::7', '2001:db8:1::7'],
    // What stands before the address that the proxy has appended is of the client.
    ['10.0.0.1', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    // Two proxies, one behind the other.
    ['10.0.0.1', '198.51.100.1, 203.0.113.7, 172.20.1.1', '203.0.113.7'],
    ['10.0.0.1', '203.0.113.7:4711', '203.0.113.7'],
    ['10.0.0.1', '[2001:db8:1::7]:4711', '2001:db8:1::7'],
    // The proxy tells no address.
    ['10.0.0.1', undefined, undefined],
    ['10.0.0.1', '', undefined],
    ['10.0.0.1', 'unknown', undefined],
    ['10.0.0.1', '203.0.113.7, unknown', undefined],
    ['10.0.0.1', '172.16.0.9', undefined],
    ['10.0.0.1', `${'203.0.113.7, '.repeat(200)}203.0.113.7`, undefined]
  ])('a request from %s with the header %j is one of %s', (remote, told, address) => {
    expect(addressOf(remote, told)).toBe(address)
  })

  it('without trusted proxies, the address of the connection counts', () => {
    const none = createRequesters(undefined)
    const request = { headers: { 'x-forwarded-for': '203.0.113.7' }, socket: { remoteAddress: '10.0.0.1' } }
    expect(none.addressOf(request as unknown as IncomingMessage)).toBe('10.0.0.1')
    expect(none.isProxy('10.0.0.1')).toBe(false)
  })
})
