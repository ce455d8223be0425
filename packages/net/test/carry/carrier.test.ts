import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { type CarriedConnection, type Endpoint, type Host, natError, systemClock } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { type Arrived, type Carrier, createCarrier } from '../../src/index.js'

const party = { id: 'far:22', network: '203.0.0.0/16' }
const client = { address: '198.51.100.7', port: 4711 }
const call = { signal: new AbortController().signal }
const open: (() => void)[] = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

interface Setup {
  readonly application?: (socket: Socket) => void
  readonly clock?: Host['clock']
  readonly maxConnections?: number
  readonly listenOn?: string
  readonly endpoint?: Partial<Endpoint>
}

/** An application that listens, the port of another host, and the carrier between them. */
interface Scene {
  readonly carrier: Carrier
  readonly told: CarriedConnection[]
  readonly lines: string[]
  /** The sockets that the application got. */
  readonly accepted: Socket[]
  readonly far: { readonly address: string; readonly port: number }
  /** Called with each connection that arrives at the other host, in place of the carrier. */
  divert: ((socket: Socket) => void) | undefined
  /** Connects as a client to the port of the other host. */
  dial(): Promise<Socket>
}

async function portOf(server: Server, address = '127.0.0.1'): Promise<number> {
  server.listen(0, address)
  open.push(() => server.close())
  await once(server, 'listening')
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}

async function scene(setup: Setup = {}): Promise<Scene> {
  const { application = () => undefined, clock = systemClock, maxConnections, listenOn, endpoint: wish } = setup
  const accepted: Socket[] = []
  const told: CarriedConnection[] = []
  const lines: string[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket)
    socket.on('error', () => undefined)
    open.push(() => socket.destroy())
    application(socket)
  })
  const port = await portOf(server, listenOn)
  const endpoint: Endpoint = { protocol: 'tcp', family: 4, address: '127.0.0.1', port, ...wish }
  const carrier = createCarrier({
    host: {
      clock,
      log: { debug: () => undefined, info: (line) => lines.push(line) },
      carried: (each) => told.push(each)
    },
    party,
    endpoint,
    ...(maxConnections === undefined ? {} : { maxConnections })
  })
  open.push(() => carrier.close())
  const other = createServer({ allowHalfOpen: true }, (stream) => {
    if (each.divert === undefined) carrier.carry({ stream, client })
    else each.divert(stream)
  })
  const far = { address: '127.0.0.1', port: await portOf(other) }
  const each: Scene = {
    carrier,
    told,
    lines,
    accepted,
    far,
    divert: undefined,
    async dial() {
      const socket = connect({ host: far.address, port: far.port, allowHalfOpen: true })
      open.push(() => socket.destroy())
      socket.on('error', () => undefined)
      await once(socket, 'connect')
      return socket
    }
  }
  return each
}

const closed = (stream: Duplex): Promise<void> => new Promise((resolve) => stream.once('close', () => resolve()))

/** Dials, and resolves when the connection has been closed, which may be before it is known to be established. */
async function refused(dial: Scene['dial']): Promise<void> {
  await dial().then(closed, (error: NodeJS.ErrnoException) => expect(error.code).toBe('ECONNRESET'))
}

async function allOf(socket: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks)
}

describe('carry', () => {
  it('copies both ways and hands on the end of each', async () => {
    const { dial } = await scene({
      application: (socket) => void allOf(socket).then((bytes) => socket.end(`got ${bytes.length}`))
    })
    const socket = await dial()
    socket.end(Buffer.alloc(3_000_000, 7))
    expect((await allOf(socket)).toString()).toBe('got 3000000')
  })

  it.each([
    { listenOn: '127.0.0.1', address: '127.0.0.1', family: 4 },
    { listenOn: '::', address: '127.0.0.1', family: 4 },
    { listenOn: '::1', address: '::1', family: 6 }
  ] as const)(
    'tells of the connection before a listener on $listenOn accepts it',
    async ({ listenOn, ...endpoint }) => {
      const known: boolean[] = []
      const { dial, told, accepted } = await scene({
        listenOn,
        endpoint,
        application: ({ remotePort }) => known.push(told.some(({ localPort }) => localPort === remotePort))
      })
      const sockets = await Promise.all(Array.from({ length: 20 }, dial))
      while (accepted.length < sockets.length) await new Promise(setImmediate)
      expect(known).toEqual(sockets.map(() => true))
      expect(told[0]).toEqual({ localAddress: endpoint.address, localPort: expect.any(Number), client, party })
    }
  )

  it('closes the connection if nothing listens at the endpoint', async () => {
    const { dial, carrier } = await scene({ endpoint: { port: 1 } })
    await refused(dial)
    expect(carrier.count()).toBe(0)
  })

  it('resets the client if the application cuts the connection', async () => {
    const { dial } = await scene({ application: (socket) => void socket.resetAndDestroy() })
    const error = await dial().then(
      (socket) => new Promise((resolve) => socket.once('error', resolve)),
      (failure: unknown) => failure
    )
    expect(error).toMatchObject({ code: 'ECONNRESET' })
  })

  it('resets the application if the stream is cut before its end', async () => {
    const { carrier, accepted } = await scene()
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
    carrier.carry({ stream, client: null })
    stream.push('half of a request')
    while (accepted.length === 0) await new Promise(setImmediate)
    const cut = once(accepted[0] as Socket, 'error')
    stream.destroy()
    expect(((await cut) as [NodeJS.ErrnoException])[0].code).toBe('ECONNRESET')
  })

  it('reads no more than buffers hold while the application does not read', async () => {
    const { carrier, accepted } = await scene({ application: (socket) => socket.pause() })
    let read = 0
    const chunk = Buffer.alloc(65_536)
    const stream = new Duplex({
      read() {
        read += chunk.length
        this.push(chunk)
      },
      write: (_chunk, _encoding, done) => done()
    })
    carrier.carry({ stream, client: null })
    while (accepted.length === 0) await new Promise(setImmediate)
    let before = -1
    while (before !== read) {
      before = read
      for (let turns = 0; turns < 50; turns += 1) await new Promise(setImmediate)
    }
    expect(read).toBeLessThan(20_000_000)
  })

  it('closes connections beyond the limit, says so once, and takes new ones later', async () => {
    const { dial, carrier, lines } = await scene({ maxConnections: 2 })
    const first = [await dial(), await dial()]
    while (carrier.count() < 2) await new Promise(setImmediate)
    for (let further = 0; further < 3; further += 1) await refused(dial)
    expect(lines).toEqual(['far:22: 2 connections at a time are the limit, more are closed'])
    for (const socket of first) socket.resetAndDestroy()
    while (carrier.count() > 0) await new Promise(setImmediate)
    await dial()
    while (carrier.count() < 1) await new Promise(setImmediate)
  })

  it('refuses a limit that is not a positive integer', () => {
    const log = { debug: () => undefined, info: () => undefined }
    const endpoint: Endpoint = { protocol: 'tcp', family: 4, address: '127.0.0.1', port: 1 }
    expect(() => createCarrier({ host: { clock: systemClock, log }, party, endpoint, maxConnections: 0 })).toThrow(
      TypeError
    )
  })

  it('resets everything when it is closed, and takes nothing more', async () => {
    const { dial, carrier, accepted } = await scene()
    const socket = await dial()
    while (accepted.length === 0) await new Promise(setImmediate)
    const cut = once(accepted[0] as Socket, 'error')
    const ended = closed(socket)
    carrier.close()
    await Promise.all([cut, ended])
    await refused(dial)
    expect(carrier.count()).toBe(0)
    expect(accepted).toHaveLength(1)
    await expect(carrier.tryOut({ address: '127.0.0.1', port: 1 }, call)).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })
})

describe('tryOut', () => {
  it('resolves when its own connection has arrived, which the application does not get', async () => {
    const { carrier, far, accepted, told } = await scene()
    await carrier.tryOut(far, call)
    await carrier.tryOut(far, call)
    expect({ accepted, told }).toEqual({ accepted: [], told: [] })
  })

  it('carries the connections of others meanwhile, with their first bytes', async () => {
    const clock = virtualClock()
    const each = await scene({ clock, application: (socket) => void allOf(socket).then((bytes) => socket.end(bytes)) })
    const diverted: Socket[] = []
    each.divert = (socket) => diverted.push(socket)
    const trial = each.carrier.tryOut(each.far, call)
    while (diverted.length === 0) await new Promise(setImmediate)

    each.divert = undefined
    const [speaking, ending, silent] = await Promise.all([each.dial(), each.dial(), each.dial()])
    speaking.write('hello')
    ending.end()
    while (each.accepted.length < 2) await new Promise(setImmediate)
    for (let turns = 0; turns < 50; turns += 1) await new Promise(setImmediate)
    expect(each.accepted).toHaveLength(2)

    each.carrier.carry({ stream: diverted[0] as Socket, client })
    await trial
    silent.end('late')
    speaking.end(', world')
    expect((await Promise.all([speaking, ending, silent].map(allOf))).map(String)).toEqual(['hello, world', '', 'late'])
    expect(each.accepted).toHaveLength(3)
  })

  it('arrives although all places are taken, and although many connections wait silently', async () => {
    const { carrier, far, dial, accepted } = await scene({ maxConnections: 1 })
    await dial()
    while (carrier.count() < 1) await new Promise(setImmediate)
    await carrier.tryOut(far, call)
    const trial = carrier.tryOut(far, call)
    for (let silent = 0; silent < 40; silent += 1) void dial().catch(() => undefined)
    await trial
    expect(accepted).toHaveLength(1)
  })

  it('rejects with REFUSED if nothing listens there', async () => {
    const { carrier } = await scene()
    await expect(carrier.tryOut({ address: '127.0.0.1', port: 1 }, call)).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it.each([
    { what: 'greets', behave: (socket: Socket) => void socket.write('220 hello\r\n') },
    { what: 'closes', behave: (socket: Socket) => void socket.end() },
    { what: 'resets', behave: (socket: Socket) => void socket.resetAndDestroy() }
  ])('rejects with GRANT_INVALID if another program $what there', async ({ behave }) => {
    const each = await scene()
    each.divert = (socket) => {
      socket.on('error', () => undefined)
      behave(socket)
    }
    await expect(each.carrier.tryOut(each.far, call)).rejects.toMatchObject({ code: 'GRANT_INVALID' })
  })

  it('rejects with GRANT_INVALID if it is accepted and does not arrive in time, and the application does not get it later either', async () => {
    const clock = virtualClock()
    const each = await scene({ clock })
    const late = new Promise<Arrived>((resolve) => {
      each.divert = (stream) => resolve({ stream, client })
    })
    const trial = each.carrier.tryOut(each.far, call)
    const arrived = await late
    trial.catch(() => undefined)
    await clock.advance(4000)
    await expect(trial).rejects.toMatchObject({ code: 'GRANT_INVALID' })
    const ended = closed(arrived.stream)
    each.carrier.carry(arrived)
    await ended
    expect(each.accepted).toEqual([])
    await clock.advance(2000)
    expect(clock.pending).toBe(0)
  })

  it("rejects with the signal's reason", async () => {
    const each = await scene()
    each.divert = () => undefined
    const controller = new AbortController()
    const reason = natError('NO_REPLY', 'enough')
    const trial = each.carrier.tryOut(each.far, controller)
    controller.abort(reason)
    await expect(trial).rejects.toBe(reason)
    await expect(each.carrier.tryOut(each.far, controller)).rejects.toBe(reason)
  })
})
