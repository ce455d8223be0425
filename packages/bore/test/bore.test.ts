import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type ForwardLease, parseMultiaddr } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { exchange, startApplication } from './support/application.js'
import { call, scene, until } from './support/scene.js'

const externalOf = ({ addresses }: ForwardLease): { readonly address: string; readonly port: number } => {
  const { address, port } = parseMultiaddr(addresses[0] ?? '') ?? { address: '', port: 0 }
  return { address, port }
}

/** A port that no program uses. */
const unused = await startApplication().then(({ server, endpoint }) => (server.close(), endpoint.port))

/** Takes a port of the server, as another program does. */
async function occupy(port: number): Promise<() => Promise<unknown>> {
  const other = createServer((socket) => socket.destroy())
  other.listen(port, '127.0.0.1')
  await once(other, 'listening')
  const free = (): Promise<unknown> => {
    other.close()
    return once(other, 'close')
  }
  onTestFinished(() => void other.close())
  return free
}

describe('the port', () => {
  it('is the one that was suggested, and its lease does not expire', async () => {
    const { forwarder, request } = await scene()
    const lease = await forwarder.forward(request, call)
    expect(lease).toMatchObject({
      addresses: [`/ip4/127.0.0.1/tcp/${request.suggestedExternalPort}`],
      lifetimeMs: Number.POSITIVE_INFINITY
    })
    expect(await lease.renew(call)).toBe(lease)
    await lease.release(call)
    await expect(lease.renew(call)).rejects.toMatchObject({ code: 'MAPPING_LOST' })
  })

  it('is another one until the own port of the endpoint is free', async () => {
    const { forwarder, request, lines } = await scene()
    const free = await occupy(request.suggestedExternalPort)
    const lease = await forwarder.forward(request, call)
    expect(externalOf(lease).port).not.toBe(request.suggestedExternalPort)
    expect(lease.lifetimeMs).toBe(60_000)
    expect(lines).toEqual([expect.stringContaining(`instead of ${request.suggestedExternalPort}`)])

    const same = await lease.renew(call)
    expect(same.addresses).toEqual(lease.addresses)
    await free()
    const better = await same.renew(call)
    expect(better).toMatchObject({
      addresses: [`/ip4/127.0.0.1/tcp/${request.suggestedExternalPort}`],
      lifetimeMs: Number.POSITIVE_INFINITY
    })
    expect(await exchange(externalOf(better), 'hello')).toBe(`${request.endpoint.port} hello`)
    expect(same.ended.aborted).toBe(false)
  })

  it('is not another one if the user named it, or if it was granted before', async () => {
    const named = await scene()
    const suggested = { ...named.request, suggestedExternalPort: named.server.controlPort }
    await expect(named.forwarder.forward(suggested, call)).rejects.toMatchObject({ code: 'CONFLICT' })

    const { forwarder, request, server } = await scene()
    await (await forwarder.forward(request, call)).release(call)
    await until(() => server.open() === 0)
    await occupy(request.suggestedExternalPort)
    await expect(forwarder.forward(request, call)).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('is the one of the options, or another one where they allow it', async () => {
    const { forwarder, request } = await scene({ externalPort: unused, allowOtherPort: true })
    await occupy(unused)
    const lease = await forwarder.forward(request, call)
    expect(lease.lifetimeMs).toBe(60_000)
    await lease.release(call)
  })

  it('that is still in use by an earlier connection is asked for again', async () => {
    const clock = virtualClock()
    const { forwarder, request } = await scene({ clock, externalPort: unused })
    const free = await occupy(unused)
    const forward = forwarder.forward(request, call)
    await until(() => clock.pending === 1)
    await free()
    await clock.advance(500)
    expect(externalOf(await forward).port).toBe(unused)
  })

  it.each([
    ['port already in use', 'CONFLICT'],
    ['client port number not in allowed range', 'UNSUPPORTED'],
    ['permission denied', 'UNSUPPORTED'],
    ['failed to find an available port', 'OUT_OF_RESOURCES'],
    ['failed to bind to port', 'GATEWAY_FAULT'],
    ['\u001b[2J something new', 'GATEWAY_FAULT']
  ])('that the server refuses with %j rejects with %s', async (text, code) => {
    const { forwarder, request, server } = await scene({ externalPort: unused })
    server.refusal = text
    await expect(forwarder.forward(request, call)).rejects.toMatchObject({ code })
    await until(() => server.open() === 0)
  })
})

describe('the secret', () => {
  it.each([
    ['the right secret', 'secret', 'secret', undefined],
    ['a wrong secret', 'other', 'secret', 'has another secret'],
    ['no secret although the server has one', undefined, 'secret', 'requires a secret']
  ] as const)('%s', async (_, secret, serverSecret, text) => {
    const { forwarder, request } = await scene({ ...(secret === undefined ? {} : { secret }), serverSecret })
    const forward = forwarder.forward(request, call)
    if (text === undefined) expect(await exchange(externalOf(await forward), 'hello')).toMatch('hello')
    else {
      await expect(forward).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
      await expect(forward).rejects.toThrow(text)
    }
  })

  it('is not sent to a server that does not ask for it, and the error says so', async () => {
    const clock = virtualClock()
    const { forwarder, request, server } = await scene({ clock, secret: 'secret' })
    // The real server closes the connection after 3 s of silence.
    let sent = 0
    const waiting = new Promise<Socket>((resolve) => {
      server.script = (socket) => resolve(socket.on('data', ({ length }) => (sent += length)))
    })
    const forward = forwarder.forward(request, call)
    forward.catch(() => undefined)
    const socket = await waiting
    await clock.advance(3000)
    socket.end()
    await expect(forward).rejects.toThrow('does not ask for a secret, so it has none')
    expect(sent).toBe(0)
  })

  it('is not blamed if the server ends the connection at once, as one that is starting may do', async () => {
    const { forwarder, request, server } = await scene({ secret: 'secret' })
    server.script = (socket) => void socket.resume().end()
    await expect(forwarder.forward(request, call)).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })

  it('hands on bytes that come with the challenge of a connection', async () => {
    const { forwarder, request, server } = await scene({ secret: 'secret', serverSecret: 'secret' })
    const lease = await forwarder.forward(request, call)
    const id = '00010203-0405-4607-8809-0a0b0c0d0e0f'
    let answer = ''
    server.script = (socket) => {
      socket.on('data', (bytes) => (answer += String(bytes)))
      socket.end(`{"Challenge":"${id}"}\0early`)
    }
    server.say({ Connection: id })
    await until(() => answer.endsWith('early'))
    expect(answer).toMatch(
      new RegExp(`^{"Authenticate":"[0-9a-f]{64}"}\0{"Accept":"${id}"}\0${request.endpoint.port} early$`)
    )
    await lease.release(call)
  })
})

describe('connections', () => {
  it('are told to the host without an address of the client', async () => {
    const { forwarder, request, carried } = await scene()
    const lease = await forwarder.forward(request, call)
    await Promise.all(['a', 'b', 'c'].map((text) => exchange(externalOf(lease), text)))
    expect(carried).toHaveLength(3)
    expect(carried[0]).toEqual({
      localAddress: '::1',
      localPort: expect.any(Number),
      client: null,
      party: forwarder.party
    })
  })

  it('go on after the release to their end', async () => {
    const clock = virtualClock()
    const { forwarder, request, server, carried } = await scene({ clock })
    const lease = await forwarder.forward(request, call)
    const socket = connect({ ...externalOf(lease), host: '127.0.0.1', allowHalfOpen: true })
    socket.write('before, ')
    await until(() => carried.length === 1)
    await lease.release(call)
    await until(() => server.open() === 1)
    socket.end('after')
    expect(String((await once(socket, 'data'))[0])).toBe(`${request.endpoint.port} before, after`)
    await once(socket, 'close')
    await clock.advance(500)
    expect(clock.pending).toBe(0)
  })

  it('end 30 s after the release', async () => {
    const clock = virtualClock()
    const { forwarder, request, carried } = await scene({ clock })
    const lease = await forwarder.forward(request, call)
    const socket = connect({ ...externalOf(lease), host: '127.0.0.1' }).on('error', () => undefined)
    await until(() => carried.length === 1)
    await lease.release(call)
    await clock.advance(29_000)
    expect(socket.closed).toBe(false)
    await clock.advance(1500)
    await until(() => socket.closed)
    expect(clock.pending).toBe(0)
  })

  it('are at most maxConnections and some for trials, however many the server announces', async () => {
    const { forwarder, request, server } = await scene({ maxConnections: 3 })
    const lease = await forwarder.forward(request, call)
    await until(() => server.open() === 1)
    // Connections on which the server says nothing more.
    server.script = () => undefined
    const before = server.requests()
    for (let index = 0; index < 500; index += 1)
      server.say({ Connection: `00010203-0405-4607-8809-${String(index).padStart(12, '0')}` })
    await until(() => server.requests() - before === 3 + 16 && server.open() === 1 + 3)
    for (let turns = 0; turns < 200; turns += 1) await new Promise(setImmediate)
    expect(server.requests() - before).toBe(3 + 16)
    await lease.release(call)
  })
})

describe('the server', () => {
  it.each<readonly [string, string, string]>([
    ['a frame without end', 'x'.repeat(257), 'REPLY_TOO_LARGE'],
    ['no JSON', '{"Hello":\0', 'MALFORMED_REPLY'],
    ['another type', '{"Hello":"7001"}\0', 'MALFORMED_REPLY'],
    ['an unknown message', '"Goodbye"\0', 'MALFORMED_REPLY'],
    ['another port', '{"Hello":7001}\0', 'GRANT_INVALID'],
    ['a client before a port', '{"Connection":"00010203-0405-4607-8809-0a0b0c0d0e0f"}\0', 'MALFORMED_REPLY'],
    ['a challenge', '{"Challenge":"00010203-0405-4607-8809-0a0b0c0d0e0f"}\0', 'NOT_AUTHORIZED'],
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n\0', 'MALFORMED_REPLY']
  ])('that answers with %s is left alone', async (_, answer, code) => {
    const { forwarder, request, server } = await scene({ externalPort: unused })
    server.script = (socket) => void socket.write(answer)
    await expect(forwarder.forward(request, call)).rejects.toMatchObject({ code })
    await until(() => server.open() === 0)
  })

  it.each<readonly [string, string]>([
    ['challenges twice', '{"Challenge":"00010203-0405-4607-8809-0a0b0c0d0e0f"}\0'.repeat(2)],
    ['lends a port before it challenges', '{"Hello":65003}\0']
  ])('that %s is left alone', async (_, answer) => {
    const { forwarder, request, server } = await scene({ externalPort: unused, secret: 'secret' })
    server.script = (socket) => void socket.write(answer)
    await expect(forwarder.forward(request, call)).rejects.toMatchObject({ code: 'MALFORMED_REPLY' })
    await until(() => server.open() === 0)
  })

  it('that closes the connection at once rejects with UNREACHABLE', async () => {
    const { forwarder, request, server } = await scene()
    server.script = (socket) => socket.destroy()
    await expect(forwarder.forward(request, call)).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })

  it('that says nothing for 5 s rejects with NO_REPLY', async () => {
    const clock = virtualClock()
    const { forwarder, request, server } = await scene({ clock })
    server.mood = 'silent'
    const forward = forwarder.forward(request, call)
    forward.catch(() => undefined)
    await until(() => server.open() === 1)
    await until(() => clock.pending === 1)
    await clock.advance(5000)
    await expect(forward).rejects.toMatchObject({ code: 'NO_REPLY' })
  })

  it('that is not there rejects with REFUSED', async () => {
    const { forwarder, request, server } = await scene()
    server.close()
    await expect(forwarder.forward(request, call)).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it('whose ports lead elsewhere rejects with GRANT_INVALID', async () => {
    const { forwarder, request, server } = await scene()
    server.mood = 'misdirecting'
    await expect(forwarder.forward(request, call)).rejects.toMatchObject({ code: 'GRANT_INVALID' })
    await until(() => server.open() === 0)
  })

  it('is lost after 3 s without a heartbeat', async () => {
    const clock = virtualClock()
    const { forwarder, request, server } = await scene({ clock })
    const { ended } = await forwarder.forward(request, call)
    server.mood = 'silent'
    await clock.advance(3000)
    expect(ended.aborted).toBe(false)
    await clock.advance(200)
    expect(ended.reason).toMatchObject({ code: 'NO_REPLY' })
    expect(clock.pending).toBe(0)
  })

  it('is not lost if its heartbeats were not read because this process was busy', async () => {
    const clock = virtualClock()
    const { forwarder, request, server } = await scene({ clock })
    const { ended, release } = await forwarder.forward(request, call)
    await clock.advance(3000)
    server.say('Heartbeat')
    for (let turns = 0; turns < 20; turns += 1) await new Promise(setImmediate)
    await clock.advance(2500)
    expect(ended.aborted).toBe(false)
    await release(call)
  })

  it.each<readonly [string, string, string]>([
    ['says that it failed', '{"Error":"something"}\0', 'GATEWAY_FAULT'],
    ['sends a frame without end', 'x'.repeat(300), 'REPLY_TOO_LARGE'],
    ['lends a second port', '{"Hello":7001}\0', 'MALFORMED_REPLY']
  ])('that %s later is lost with %s', async (_, text, code) => {
    const { forwarder, request, server } = await scene()
    let control: Socket | undefined
    server.script = (socket) => {
      control = socket
      server.script = undefined
      socket.write(`{"Hello":${request.suggestedExternalPort}}\0`)
    }
    // The trial needs a port that leads here.
    const id = '00010203-0405-4607-8809-0a0b0c0d0e0f'
    const outside = createServer((client) => {
      server.script = (accepted) => void accepted.once('data', () => client.pipe(accepted).pipe(client))
      control?.write(`{"Connection":"${id}"}\0`)
    })
    outside.listen(request.suggestedExternalPort, '127.0.0.1')
    await once(outside, 'listening')
    onTestFinished(() => void outside.close())
    const { ended } = await forwarder.forward(request, call)
    control?.write(text)
    await until(() => ended.aborted)
    expect(ended.reason).toMatchObject({ code })
  })

  it('is found again at another address of its name', async () => {
    let addresses = ['127.0.0.9']
    const { forwarder, request } = await scene({ host: 'bore.example.org', lookup: async () => addresses })
    expect(forwarder.party).toMatchObject({
      id: expect.stringMatching(/^bore\.example\.org:\d+$/),
      network: '127.0.0.0/16'
    })
    addresses = ['::ffff:127.0.0.1', '127.0.0.1']
    const lease = await forwarder.forward(request, call)
    expect(externalOf(lease).address).toContain('127.0.0.1')
  })
})
