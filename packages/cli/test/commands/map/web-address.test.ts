import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { type CandidateReport, createTraversal, type Report } from '@postern/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { schemeOf, webAddress } from '../../../src/commands/map/web-address.js'

const nothing = createTraversal({ strategies: [] }).report()

const candidate = (address: string, rest: Partial<CandidateReport>): CandidateReport => ({
  address,
  type: 'mapped',
  strategy: 'pcp',
  endpoint: null,
  state: 'consistent',
  expiresAt: null,
  evidence: [],
  ...rest
})

const reported = (...candidates: readonly CandidateReport[]): Report => ({ ...nothing, candidates })

async function bound(server: Server, host: string): Promise<number> {
  server.listen(0, host)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const place = server.address()
  return typeof place === 'object' && place !== null ? place.port : 0
}

describe('the address to paste into a browser', () => {
  it('is one that witnesses have reached, else a direct one, else a relayed one', () => {
    const relayed = candidate('/ip4/21.0.0.1/tcp/8080', { type: 'relayed' })
    const direct = candidate('/ip4/11.0.0.2/tcp/8080', {})
    const verified = candidate('/ip6/2001:db8::7/tcp/8080', { state: 'verified' })
    const claimed = candidate('/ip4/11.0.0.9/tcp/8080', { state: 'claimed' })
    expect(webAddress(reported(claimed), 'http')).toBeUndefined()
    expect(webAddress(reported(relayed, claimed), 'http')).toBe('http://21.0.0.1:8080/')
    expect(webAddress(reported(relayed, direct), 'http')).toBe('http://11.0.0.2:8080/')
    expect(webAddress(reported(relayed, direct, verified), 'https')).toBe('https://[2001:db8::7]:8080/')
  })

  it('has no port that browsers take by themselves', () => {
    expect(webAddress(reported(candidate('/ip4/11.0.0.2/tcp/80', {})), 'http')).toBe('http://11.0.0.2/')
    expect(webAddress(reported(candidate('/ip4/11.0.0.2/tcp/443', {})), 'https')).toBe('https://11.0.0.2/')
    expect(webAddress(reported(candidate('/ip4/11.0.0.2/tcp/443', {})), 'http')).toBe('http://11.0.0.2:443/')
  })

  it('is of a service that answers HTTP, on either family', async () => {
    const serve = (): Server => createHttpServer((_request, response) => response.writeHead(404).end())
    expect(await schemeOf(await bound(serve(), '127.0.0.1'))).toBe('http')
    expect(await schemeOf(await bound(serve(), '::1'))).toBe('http')
  })

  it('is of no other service', async () => {
    const speaks = createServer((socket: Socket) => socket.on('error', () => undefined).end('220 mail.example.org\r\n'))
    expect(await schemeOf(await bound(speaks, '127.0.0.1'))).toBe('none')
    const shut = createServer()
    const port = await bound(shut, '127.0.0.1')
    shut.close()
    await once(shut, 'close')
    expect(await schemeOf(port)).toBeUndefined()
  })
})
