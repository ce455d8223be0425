import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import type { Finding, ServerHost, Witness } from '@postern/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type WitnessOptions, witness } from '../src/index.js'
import { parseServerUrl } from '../src/server-url.js'
import { scene, serverUrl, tcpAddress } from './world.js'

describe('parseServerUrl', () => {
  it.each([
    ['203.0.113.9:4003', 'http://203.0.113.9:4003', '203.0.113.9', 4003],
    ['203.0.113.9', 'http://203.0.113.9:4003', '203.0.113.9', 4003],
    ['2001:db8::9', 'http://[2001:db8::9]:4003', '2001:db8::9', 4003],
    ['[2001:db8::9]:99', 'http://[2001:db8::9]:99', '2001:db8::9', 99],
    ['witness.example.org', 'http://witness.example.org:4003', 'witness.example.org', 4003],
    ['http://203.0.113.9', 'http://203.0.113.9', '203.0.113.9', 80],
    ['https://witness.example.org/under/', 'https://witness.example.org/under', 'witness.example.org', 443]
  ])('parseServerUrl reads %s', (text, base, host, port) => {
    expect(parseServerUrl(text)).toEqual({ base, host, port })
  })

  it.each([
    '',
    'ftp://203.0.113.9',
    'http://',
    'http://user@203.0.113.9',
    'http://a/?b',
    'http://a/#b',
    'a b',
    'a:99999',
    'http://a:0'
  ])('parseServerUrl throws a TypeError for "%s"', (text) => {
    expect(() => parseServerUrl(text)).toThrow(TypeError)
  })
})

describe('witness', () => {
  it.each<[string, unknown]>([
    ['no servers', {}],
    ['an empty list', { servers: [] }],
    ['a text', { servers: serverUrl }],
    ['17 servers', { servers: Array.from({ length: 17 }, () => serverUrl) }],
    ['a number', { servers: [4003] }],
    ['a private server', { servers: ['192.168.1.1:4003'] }],
    ['an unknown option', { servers: [serverUrl], server: serverUrl }],
    ['a time limit of 0', { servers: [serverUrl], timeoutMs: 0 }],
    ['a hold of two seconds', { servers: [serverUrl], holdMs: 2000 }]
  ])('witness throws a TypeError for %s', (_, options) => {
    expect(() => witness(options as WitnessOptions)).toThrow(TypeError)
  })

  it('witness throws a TypeError for a host that lends no arrivals', () => {
    const { arrivals: _, ...host } = scene().host
    expect(() => witness({ servers: [serverUrl] })(host as ServerHost)).toThrow(/expose/)
  })

  it('witness finds one witness for each family of a name, and tells why a name has none', async () => {
    const found: Finding[] = []
    const names: Readonly<Record<string, readonly string[]>> = {
      'both.example.org': ['9.9.9.9', '9.9.9.8', '2a00:9::9'],
      'local.example.org': ['192.168.1.9']
    }
    const lookup = async (name: string): Promise<readonly string[]> => names[name] ?? []
    const servers = ['both.example.org', 'local.example.org']
    const each = scene()
    const discovery = witness({ servers, lookup, exchangeHttp: each.exchangeHttp })(each.host)
    const network = { gateways: [], addresses: [] }
    await discovery.discover(network, (finding) => found.push(finding), { signal: new AbortController().signal })
    expect(found).toMatchObject([
      { kind: 'witness', family: 4, party: { id: '9.9.9.9:4003', network: '9.9.0.0/16' } },
      { kind: 'witness', family: 6, party: { id: '[2a00:9::9]:4003', network: '2a00:9::/32' } },
      { kind: 'notice', what: 'absent', reason: { code: 'NAME_NOT_RESOLVED' } },
      {
        kind: 'notice',
        what: 'observed',
        party: { id: '9.9.9.9:4003' },
        address: '/ip4/8.8.4.4/tcp/1',
        isListener: false
      },
      { kind: 'notice', what: 'observed', party: { id: '[2a00:9::9]:4003' } }
    ])
  })

  it('a server that refuses a question is asked again at which address it sees this host', async () => {
    const each = scene()
    const found: Finding[] = []
    const end = new AbortController()
    const lookup = async (): Promise<readonly string[]> => ['9.9.9.9']
    const discovery = witness({ servers: [serverUrl], lookup, exchangeHttp: each.exchangeHttp })(each.host)
    const ended = discovery.discover({ gateways: [], addresses: [] }, (finding) => found.push(finding), end)
    await expect.poll(() => found.length).toBe(2)
    each.seesAt = '8.8.4.5'
    each.behave = () => ({ status: 403, body: { error: 'address-differs', message: 'another', observed: '8.8.4.5' } })
    const asked = found.find((finding) => finding.kind === 'witness')
    const verdict = asked?.verify(tcpAddress, end)
    await each.clock.advance(20)
    expect(await verdict).toMatchObject({ outcome: 'inconclusive', reason: { code: 'WITNESS_REFUSED' } })
    await expect.poll(() => found.length).toBe(3)
    expect(found.at(-1)).toMatchObject({ what: 'observed', address: '/ip4/8.8.4.5/tcp/1' })
    end.abort()
    await ended
  })

  it('discover connects to a server ahead, the first question uses the connection, and discover closes it', async () => {
    const accepted: Socket[] = []
    const requests: unknown[] = []
    const looked = new Set<Socket>()
    const early = (): readonly Socket[] => accepted.filter((socket) => !looked.has(socket))
    const server = createServer((request, response) => {
      // The request for the address has a connection of its own.
      if (request.method === 'GET') looked.add(request.socket)
      else requests.push(request.socket.remotePort)
      response.writeHead(429).end('{}')
    })
    server.on('connection', (socket: Socket) => accepted.push(socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const bound = server.address()
    const url = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`
    const anywhere = (): boolean => true
    const { clock, host } = scene()
    const discovery = witness({ servers: [url], mayAsk: anywhere, mayVerify: anywhere })(host)
    const end = new AbortController()
    const found = Promise.withResolvers<Witness>()
    const take = (finding: Finding): void => {
      if (finding.kind === 'witness') found.resolve(finding)
    }
    const ended = discovery.discover({ gateways: [], addresses: [] }, take, end)
    await once(server, 'connection')
    const one = await found.promise
    await one.verify(tcpAddress, end)
    await expect.poll(() => looked.size).toBe(1)
    expect([early().length, requests]).toEqual([1, [early()[0]?.remotePort]])
    // The second question makes a connection of its own.
    await one.verify(tcpAddress, end)
    expect([early().length, requests.length]).toEqual([2, 2])
    await clock.advance(4000)
    await ended

    const again = discovery.discover({ gateways: [], addresses: [] }, take, end)
    const [unused] = (await once(server, 'connection')) as [Socket]
    end.abort()
    await again
    if (!unused.closed) await once(unused.resume(), 'close')
  })

  it('a question makes a connection of its own if the server closes the one that was opened ahead', async () => {
    const server = createServer((_request, response) => response.writeHead(429).end('{"error":"busy"}'))
    server.once('connection', (socket: Socket) => socket.destroy())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const bound = server.address()
    const url = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`
    const anywhere = (): boolean => true
    const end = new AbortController()
    onTestFinished(() => {
      end.abort()
      server.close()
    })
    const found = Promise.withResolvers<Witness>()
    const take = (finding: Finding): void => {
      if (finding.kind === 'witness') found.resolve(finding)
    }
    const discovery = witness({ servers: [url], mayAsk: anywhere, mayVerify: anywhere })(scene().host)
    discovery.discover({ gateways: [], addresses: [] }, take, end).catch(found.reject)
    const { outcome, reason } = await (await found.promise).verify(tcpAddress, end)
    expect([outcome, reason?.code]).toEqual(['inconclusive', 'WITNESS_REFUSED'])
  })
})
