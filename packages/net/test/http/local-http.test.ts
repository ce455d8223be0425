import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type LocalHttpOptions, localHttpServer } from '../../src/http/local-http.js'

async function open(options: Partial<LocalHttpOptions> = {}): Promise<number> {
  const server = localHttpServer({ answer: (_, response) => void response.end('secret'), ...options })
  onTestFinished(() => server.close())
  return server.listen(0)
}

async function socketTo(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Resolves to everything that the server sends until it closes. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = await socketTo(port)
  let text = ''
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1')
  })
  socket.end(bytes, 'latin1')
  await once(socket, 'close')
  return text
}

const get = (lines: readonly string[], version = '1.1', target = '/metrics'): string =>
  [`GET ${target} HTTP/${version}`, ...lines, 'Connection: close', '', ''].join('\r\n')
const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])

/** Replaces `PORT` by the port of the server, and `OTHER` by another one. */
const withPort = (text: string, port: number): string =>
  text.replaceAll('PORT', String(port)).replaceAll('OTHER', String(port === 65_535 ? 1 : port + 1))

describe('localHttpServer', () => {
  it.each([
    'Host: 127.0.0.1:PORT',
    'Host: localhost:PORT',
    'Host: LOCALHOST:PORT',
    'hOsT:   localhost:PORT',
    'Host: [::1]:PORT',
    'Host: [0:0:0:0:0:0:0:1]:PORT',
    'Host: 127.0.0.2:PORT'
  ])('localHttpServer answers %s', async (line) => {
    const port = await open()
    const answer = await exchange(port, get([withPort(line, port)]))
    expect(statusOf(answer)).toBe(200)
    expect(answer).toContain('secret')
    expect(answer.toLowerCase()).toContain('cross-origin-resource-policy: same-origin')
  })

  it('localHttpServer answers HTTP/1.0 with its name, as old scrapers send it', async () => {
    const port = await open()
    expect(statusOf(await exchange(port, get([`Host: localhost:${port}`], '1.0')))).toBe(200)
  })

  it.each([
    ['Host: attacker.example:PORT', 403],
    ['Host: attacker.example', 403],
    ['Host: 127.0.0.1', 403],
    ['Host: localhost', 403],
    ['Host: 127.0.0.1:OTHER', 403],
    ['Host: localhost.:PORT', 403],
    ['Host: 127.0.0.1.:PORT', 403],
    ['Host: localhost.attacker.example:PORT', 403],
    ['Host: 127.0.0.1.attacker.example:PORT', 403],
    ['Host: 127.1:PORT', 403],
    ['Host: 0177.0.0.1:PORT', 403],
    ['Host: 2130706433:PORT', 403],
    ['Host: 0.0.0.0:PORT', 403],
    ['Host: [::]:PORT', 403],
    ['Host: ::1:PORT', 403],
    ['Host: [::1%25lo]:PORT', 403],
    ['Host: 192.168.1.2:PORT', 403],
    ['Host: user@127.0.0.1:PORT', 403],
    ['Host: 127.0.0.1:PORT@attacker.example', 403],
    ['Host: 127.0.0.1:PORT/', 403],
    ['Host: 127.0.0.1:PORT, attacker.example', 403],
    ['Host: http://127.0.0.1:PORT', 403],
    ['Host: 127.0.0.1:PORT\u00a0', 403],
    ['Host:', 403]
  ])('localHttpServer refuses %s with %i and a sentence', async (line, status) => {
    const port = await open()
    const answer = await exchange(port, get([withPort(line, port)]))
    expect(statusOf(answer)).toBe(status)
    expect(answer).toMatch(/\r\n\r\nThis server [^\r\n]+\.\n$/)
    expect(answer).not.toContain('secret')
  })

  it.each([
    ['without Host', get([])],
    ['without Host in HTTP/1.0', get([], '1.0')],
    ['with two of them', get(['Host: 127.0.0.1:PORT', 'Host: attacker.example'])],
    ['with two that are the same', get(['Host: 127.0.0.1:PORT', 'Host: 127.0.0.1:PORT'])],
    ['for a whole URL', get(['Host: 127.0.0.1:PORT'], '1.1', 'http://attacker.example/metrics')],
    ['for a whole URL of its own', get(['Host: attacker.example'], '1.1', 'http://127.0.0.1:PORT/metrics')],
    ['for another authority', get(['Host: 127.0.0.1:PORT'], '1.1', '//attacker.example/metrics')],
    ['for everything', get(['Host: 127.0.0.1:PORT'], '1.1', '*')],
    ['with a folded Host', get(['Host: 127.0.0.1:PORT\r\n .attacker.example'])],
    ['with headers of 10 kB', get(['Host: 127.0.0.1:PORT', `X: ${'x'.repeat(10_000)}`])]
  ])('localHttpServer refuses a request %s', async (_, request) => {
    const port = await open()
    const answer = await exchange(port, withPort(request, port))
    expect(statusOf(answer)).toBeGreaterThanOrEqual(400)
    expect(statusOf(answer)).toBeLessThan(500)
    expect(answer).not.toContain('secret')
  })

  it.each([
    ['Origin: http://attacker.example', 403],
    ['Origin: http://attacker.example:PORT', 403],
    ['Origin: null', 403],
    ['Origin: http://127.0.0.1:OTHER', 403],
    ['Origin: http://localhost:PORT.attacker.example', 403],
    ['Origin: file://', 403],
    ['Origin: http://127.0.0.1:PORT', 200],
    ['Origin: http://LocalHost:PORT', 200],
    ['Sec-Fetch-Site: cross-site', 403],
    ['Sec-Fetch-Site: same-site', 403],
    ['Sec-Fetch-Site: same-origin', 200],
    ['Sec-Fetch-Site: none', 200]
  ])('localHttpServer answers a request with %s by %i', async (line, status) => {
    const port = await open()
    const answer = await exchange(port, get([`Host: 127.0.0.1:${port}`, withPort(line, port)]))
    expect(statusOf(answer)).toBe(status)
    expect(answer.includes('secret')).toBe(status === 200)
  })

  it('localHttpServer answers only additional names that the operator allows', async () => {
    const port = await open({ allowedHosts: ['metrics.example'] })
    const allowed = ['Host: Metrics.Example', 'Host: metrics.example:443']
    for (const line of allowed) expect(statusOf(await exchange(port, get([line])))).toBe(200)
    for (const line of ['Host: x.metrics.example', 'Host: metrics.example.'])
      expect(statusOf(await exchange(port, get([line])))).toBe(403)
    const proxied = get(['Host: metrics.example', 'Origin: https://metrics.example'])
    expect(statusOf(await exchange(port, proxied))).toBe(200)
  })

  it('localHttpServer answers while hundreds of half requests are open, and closes the oldest of them', async () => {
    const port = await open({ maxConnections: 8 })
    const halves = await Promise.all(Array.from({ length: 200 }, async () => socketTo(port)))
    for (const socket of halves) socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\nX')
    const closed = halves.slice(0, 190).map(async (socket) => socket.destroyed || once(socket, 'close'))
    await Promise.all(closed)
    expect(statusOf(await exchange(port, get([`Host: 127.0.0.1:${port}`])))).toBe(200)
  })

  it('localHttpServer closes a request that does not arrive in time', async () => {
    const port = await open({ timeoutMs: 50 })
    const half = await socketTo(port)
    half.write('GET /metrics HTTP/1.1\r\nHost: x\r\nX')
    await once(half.resume(), 'close')
  })

  it('localHttpServer does not listen on other addresses', async () => {
    const port = await open()
    const socket = connect(port, '::1')
    const [error] = await once(socket, 'error')
    expect(error).toMatchObject({ code: expect.stringMatching(/ECONNREFUSED|EADDRNOTAVAIL|EAFNOSUPPORT/) })
  })
})

it('a request with an unknown Expect is refused like every other one', async () => {
  const answer = await exchange(await open(), 'GET / HTTP/1.1\r\nHost: evil.example\r\nExpect: much\r\n\r\n')
  expect(answer).toMatch(/^HTTP\/1\.1 403 /)
})
