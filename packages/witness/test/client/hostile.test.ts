import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { type Evidence, type Finding, systemClock, type Witness } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { witness } from '../../src/index.js'

const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'

/** Resolves with the evidence of a server that answers with bytes of its own, and with how many of its sockets are open. */
async function evidenceOf(
  answer: (socket: Socket, request: string) => void,
  { advanceMs = 0, scheme = 'http' }: { advanceMs?: number; scheme?: string } = {}
): Promise<Evidence & { readonly open: number; readonly listeners: number }> {
  const sockets = new Set<Socket>()
  const clock = advanceMs > 0 ? virtualClock() : undefined
  const asked = Promise.withResolvers<void>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    socket.once('data', (bytes) => {
      answer(socket, bytes.toString())
      asked.resolve()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  const end = new AbortController()
  onTestFinished(() => end.abort())
  const found = Promise.withResolvers<Witness>()
  let listeners = 0
  const host = {
    clock: clock ?? systemClock,
    random: Math.random,
    log: { debug: () => undefined, info: () => undefined },
    arrivals(_at: unknown, _each: unknown, call: { readonly signal: AbortSignal }) {
      listeners += 1
      call.signal.addEventListener('abort', () => (listeners -= 1), { once: true })
    }
  }
  const anywhere = (): boolean => true
  const strategy = witness({ servers: [`${scheme}://127.0.0.1:${port}`], mayAsk: anywhere, mayVerify: anywhere })
  const take = (finding: Finding): void => {
    if (finding.kind === 'witness') found.resolve(finding)
  }
  strategy(host).discover({ gateways: [], addresses: [] }, take, end).catch(found.reject)
  const pending = (await found.promise).verify('/ip4/203.0.113.7/tcp/4001', end)
  if (clock !== undefined) {
    await asked.promise
    await clock.advance(advanceMs)
  }
  const evidence = await pending
  await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
  return { ...evidence, open: sockets.size, listeners }
}

const reply = (body: string, more = ''): string => `${head}${more}content-length: ${body.length}\r\n\r\n${body}`
const about = { address: '203.0.113.7', port: 4001 }

describe('a hostile server', () => {
  it.each<[string, (socket: Socket) => void, string]>([
    ['closes at once', (socket) => socket.destroy(), 'MALFORMED_REPLY'],
    ['does not speak HTTP', (socket) => socket.end('SSH-2.0-OpenSSH\r\n'), 'MALFORMED_REPLY'],
    ['sends 10 MB', (socket) => socket.write(`${head}\r\n${'x'.repeat(10_000_000)}`), 'REPLY_TOO_LARGE'],
    [
      'announces 10 MB',
      (socket) => socket.write(`${head}content-length: 10000000\r\n\r\n${'x'.repeat(5000)}`),
      'REPLY_TOO_LARGE'
    ],
    ['sends 10 MB of headers', (socket) => socket.write(`${head}x: ${'x'.repeat(10_000_000)}`), 'MALFORMED_REPLY'],
    [
      'sends one interim answer after the other',
      (socket) => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(1000)),
      'MALFORMED_REPLY'
    ],
    [
      'redirects to a router',
      (socket) => socket.end('HTTP/1.1 307 Go\r\nlocation: http://192.168.1.1/reboot\r\ncontent-length: 0\r\n\r\n'),
      'UNTRUSTED_REPLY'
    ],
    ['sends deep JSON', (socket) => socket.end(reply('['.repeat(4000))), 'MALFORMED_REPLY'],
    [
      'sends JSON with prototypes',
      (socket) => socket.end(reply('{"__proto__":{"outcome":"connected"}}')),
      'MALFORMED_REPLY'
    ],
    [
      'says yes without a connection',
      (socket) =>
        socket.end(reply(JSON.stringify({ ...about, outcome: 'connected', from: { address: '127.0.0.1', port: 1 } }))),
      'WITNESS_UNPROVEN'
    ],
    [
      'says yes about another address',
      (socket) => socket.end(reply(JSON.stringify({ ...about, address: '203.0.113.8', outcome: 'timeout' }))),
      'UNTRUSTED_REPLY'
    ]
  ])('verify is inconclusive, and leaves nothing open, if the server %s', async (_, answer, code) => {
    const { outcome, reason, open, listeners } = await evidenceOf(answer)
    expect([outcome, reason?.code, open, listeners]).toEqual(['inconclusive', code, 0, 0])
  })

  it.each<[string, (socket: Socket) => void]>([
    ['stalls', () => undefined],
    ['stalls after the headers', (socket) => void socket.write(`${head}content-length: 100\r\n\r\n{`)],
    ['drips', (socket) => void socket.write(`${head}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n`)]
  ])('verify gives a server that %s up after its time limit', async (_, answer) => {
    const { outcome, reason, open, listeners } = await evidenceOf(answer, { advanceMs: 10_000 })
    expect([outcome, reason?.code, open, listeners]).toEqual(['inconclusive', 'NO_REPLY', 0, 0])
  })

  it('verify does not trust a server of https without a certificate', async () => {
    const { outcome, reason } = await evidenceOf((socket) => socket.end(reply('{}')), { scheme: 'https' })
    expect(outcome).toBe('inconclusive')
    expect(reason?.code).toMatch(/^(MALFORMED_REPLY|UNREACHABLE|UNTRUSTED_REPLY)$/)
  })
})
