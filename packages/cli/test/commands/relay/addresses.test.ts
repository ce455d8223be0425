import { describe, expect, it } from 'vitest'
import { announceOf } from '../../../src/commands/relay/addresses.js'

describe('the addresses that a relay announces', () => {
  const own = ['127.0.0.1', '::1', '192.168.1.2', '8.8.4.4', '2606:4700::1', 'fe80::1']

  it.each([
    ['/ip4/0.0.0.0/tcp/4001', ['/ip4/8.8.4.4/tcp/4001']],
    ['/ip4/0.0.0.0/tcp/4002/ws', ['/ip4/8.8.4.4/tcp/4002/ws']],
    ['/ip6/::/tcp/4001', ['/ip6/2606:4700::1/tcp/4001']],
    ['/ip4/8.8.4.4/tcp/4001', ['/ip4/8.8.4.4/tcp/4001']],
    ['/ip4/192.168.1.2/tcp/4001', []],
    ['/ip4/0.0.0.0/tcp/0', []]
  ])('announceOf returns public addresses of this machine: %s gives %j', (listen, announced) => {
    expect(announceOf([listen], own)).toEqual(announced)
  })

  it('announceOf returns none without a public address', () => {
    expect(announceOf(['/ip4/0.0.0.0/tcp/4001'], ['127.0.0.1', '10.0.0.2'])).toEqual([])
  })
})
