import { describe, expect, it } from 'vitest'
import { redact } from '../../src/model/redact.js'
import { situations } from '../support/situations.mjs'

const peer = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'

describe('redact', () => {
  it.each([
    ['the router 192.168.1.1 says 100.64.0.2', 'the router [private IPv4 1] says [carrier-grade IPv4 1]'],
    [
      '11.0.0.2, 192.168.1.1, 12.0.0.3, 11.0.0.2.',
      '[public IPv4 1], [private IPv4 1], [public IPv4 2], [public IPv4 1].'
    ],
    [`/ip4/11.0.0.2/tcp/4001/p2p/${peer}/p2p-circuit`, '/ip4/[public IPv4 1]/tcp/4001/p2p/[peer 1]/p2p-circuit'],
    ['/ip6/2a00:1450::1/udp/1', '/ip6/[public IPv6 1]/udp/1'],
    ['[2a00:1450::1]:80, fe80::1%eth0', '[[public IPv6 1]]:80, [link-local IPv6 1]'],
    ['/dns4/home.example.org/tcp/1', '/dns4/[host 1]/tcp/1'],
    ['https://home.example.org:4003/x', 'https://[host 1]:4003/x'],
    ['http://11.0.0.2:4003', 'http://[public IPv4 1]:4003'],
    ['ssh:me@vps.example.org:22', 'ssh:[host 1]:22'],
    ['00:1a:2b:3c:4d:5e', '[hardware address 1]'],
    [
      'at 2026-11-28T10:00:00.000Z, 127.0.0.1, ::1, 0.0.0.0, 10:20:30',
      'at 2026-11-28T10:00:00.000Z, 127.0.0.1, ::1, 0.0.0.0, 10:20:30'
    ],
    ['version 1.2.3, 300.1.2.3', 'version 1.2.3, 300.1.2.3']
  ])('%s', (text, expected) => expect(redact(text)).toBe(expected))

  it('the name of a router and the descriptions of mappings are replaced, and the make of the router stays', () => {
    const device = { manufacturer: 'AVM Berlin', model: 'FRITZ!Box 7590', name: "Ada's box" }
    const held = { description: "Ben's console", internal: { address: '192.168.1.9', port: 80 } }
    const report = {
      advice: ["Ben's console holds it on Ada's box."],
      gateway: { device },
      neighbourhood: { router: device, mappings: { heldByOthers: [held] } }
    }
    const named = { manufacturer: 'AVM Berlin', model: 'FRITZ!Box 7590', name: '[router name 1]' }
    expect(redact(report)).toEqual({
      advice: ['[program 1] holds it on [router name 1].'],
      gateway: { device: named },
      neighbourhood: {
        router: named,
        mappings: {
          heldByOthers: [{ description: '[program 1]', internal: { address: '[private IPv4 1]', port: 80 } }]
        }
      }
    })
    const plain = { device: { manufacturer: 'AVM', model: 'FRITZ!Box 7590', name: 'FRITZ!Box 7590' } }
    expect(redact(plain)).toEqual(plain)
  })

  it('a whole report keeps its shape, and names no address, peer or host', () => {
    for (const { report, events } of Object.values(situations)) {
      const text = JSON.stringify(redact({ report, events }))
      expect(text).not.toMatch(/192\.168|11\.0\.0|[234]1\.0\.0|100\.64|12D3Koo/)
      const clean = redact({ report, events })
      expect(clean.report.strategies.map(({ name, state }) => [name, state])).toEqual(
        report.strategies.map(({ name, state }) => [name, state])
      )
      expect(clean.events.map(({ at, seq }) => [at, seq])).toEqual(events.map(({ at, seq }) => [at, seq]))
    }
  })

  it('the same text has the same placeholder everywhere', () => {
    const { report } = redact({ report: situations.relayed.report })
    const [first, second] = report.candidates
    expect(second?.address).toBe(report.externalAddresses[0])
    expect(first?.evidence.map(({ party }) => party)).toEqual(
      [...(report.peers ?? [])].map(({ peer: id }) => id).toReversed()
    )
  })

  it('a party that is no peer is replaced in other texts too, where it is a word of its own', () => {
    const clean = redact({ party: 'vps', text: 'vps refuses, vpses do not' })
    expect(clean).toEqual({ party: '[party 1]', text: '[party 1] refuses, vpses do not' })
  })
})
