import { once } from 'node:events'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { systemClock, virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { proposes } from '../../src/dial/libp2p-upgrade.js'
import { type Connect, connectFrom, dialAgain, systemConnect } from '../../src/dial/tcp-dial.js'

const call = (): AbortController => new AbortController()
const plenty = { take: () => true }

async function listen(port = 0): Promise<Server> {
  const server = net.createServer((socket) => void socket.on('error', () => undefined))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return server
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

/** Resolves with a port without a listener. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}

const pairTo = async (port: number) => ({
  localPort: await freePort(),
  target: { host: '127.0.0.1', port, family: 4 as const }
})

const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'nothing',
    (error: { code?: unknown }) => error.code
  )

describe('a socket', () => {
  it('a socket connects from the given local port', async () => {
    const server = await listen()
    const pair = await pairTo(portOf(server))
    const [[inbound], socket] = await Promise.all([
      once(server, 'connection') as Promise<[Socket]>,
      connectFrom(systemConnect, pair, call())
    ])
    expect(inbound.remotePort).toBe(pair.localPort)
    socket.destroy()
  })

  it('a socket is closed when the call is aborted', async () => {
    const sockets: Socket[] = []
    const hanging: Connect = () => {
      const socket = new net.Socket()
      sockets.push(socket)
      return socket
    }
    const cut = call()
    const dialling = connectFrom(hanging, await pairTo(1), cut)
    const reason = new Error('enough')
    cut.abort(reason)
    await expect(dialling).rejects.toBe(reason)
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true])
  })

  it('a socket that fails later does not end the process', async () => {
    const server = await listen()
    const socket = await connectFrom(systemConnect, await pairTo(portOf(server)), call())
    const closed = new Promise((resolve) => void socket.once('close', resolve))
    socket.destroy(new Error('late'))
    expect(await closed).toBe(true)
  })
})

describe('dialAgain', () => {
  it('dialAgain connects from the same port once the other side listens', async () => {
    const port = await freePort()
    const pair = await pairTo(port)
    let dials = 0
    const counting: Connect = (options) => {
      dials++
      // The first two dials are really refused; at the third, a server listens.
      if (dials === 3)
        net
          .createServer((socket) => void socket.on('error', () => undefined))
          .listen(port, '127.0.0.1')
          .unref()
      return systemConnect(options)
    }
    const socket = await dialAgain(counting, pair, 200, systemClock, plenty, call())
    expect(dials).toBeGreaterThanOrEqual(3)
    expect(socket.localPort).toBe(pair.localPort)
    socket.destroy()
  })

  it('dialAgain rejects after exactly the maximum number of refusals', async () => {
    let dials = 0
    const counting: Connect = (options) => {
      dials++
      return systemConnect(options)
    }
    const dialling = dialAgain(counting, await pairTo(await freePort()), 20, systemClock, plenty, call())
    expect(await codeOf(dialling)).toBe('REFUSED')
    expect(dials).toBe(20)
  })

  it('dialAgain pauses after a hundred refusals', async () => {
    const clock = virtualClock()
    let dials = 0
    const counting: Connect = (options) => {
      dials++
      return systemConnect(options)
    }
    const cut = call()
    const dialling = codeOf(dialAgain(counting, await pairTo(await freePort()), 200, clock, plenty, cut))
    await expect.poll(() => clock.pending, { timeout: 5000 }).toBe(1)
    expect(dials).toBe(100)
    cut.abort(new Error('enough'))
    await dialling
  })

  it('dialAgain stops when the budget is spent', async () => {
    let left = 3
    const dialling = dialAgain(
      systemConnect,
      await pairTo(await freePort()),
      200,
      systemClock,
      { take: () => left-- > 0 },
      call()
    )
    expect(await codeOf(dialling)).toBe('QUOTA_EXCEEDED')
    expect(left).toBe(-1)
  })

  it('dialAgain rejects immediately if the system cannot dial the target', async () => {
    const failing: Connect = () => {
      const socket = new net.Socket()
      queueMicrotask(() => socket.destroy(Object.assign(new Error('no'), { code: 'EAFNOSUPPORT' })))
      return socket
    }
    expect(await codeOf(dialAgain(failing, await pairTo(1), 200, systemClock, plenty, call()))).toBe('UNREACHABLE')
  })
})

const greeting = '\u0013/multistream/1.0.0\n'
const proposal = `${greeting}\u0007/noise\n`

describe('proposes', () => {
  async function connected(): Promise<readonly [ours: Socket, theirs: Socket]> {
    const server = await listen()
    const [[theirs], ours] = await Promise.all([
      once(server, 'connection') as Promise<[Socket]>,
      connectFrom(systemConnect, await pairTo(portOf(server)), call())
    ])
    onTestFinished(() => void [ours, theirs].map((each) => each.destroy()))
    return [ours, theirs]
  }

  it('proposes detects a proposal and consumes no bytes', async () => {
    const [ours, theirs] = await connected()
    theirs.write(proposal)
    expect(await proposes(ours, 60_000, systemClock, call())).toBe(true)
    const [said] = (await once(ours.resume(), 'data')) as [Buffer]
    expect(said.toString()).toBe(proposal)
  })

  it('proposes treats a peer that sends only the multistream greeting as a server', async () => {
    const [ours, theirs] = await connected()
    const clock = virtualClock()
    const listening = proposes(ours, 1000, clock, call())
    theirs.write(greeting)
    await expect.poll(() => ours.readableLength).toBe(greeting.length)
    await clock.advance(1000)
    expect(await listening).toBe(false)
  })

  it('proposes detects a proposal after the greeting', async () => {
    const [ours, theirs] = await connected()
    const listening = proposes(ours, 60_000, virtualClock(), call())
    theirs.write(greeting)
    await expect.poll(() => ours.readableLength).toBe(greeting.length)
    theirs.write(proposal.slice(greeting.length))
    expect(await listening).toBe(true)
  })

  it('proposes resolves with false after the time limit', async () => {
    const [ours] = await connected()
    const clock = virtualClock()
    const listening = proposes(ours, 200, clock, call())
    await clock.advance(200)
    expect(await listening).toBe(false)
  })

  it('proposes does not wait for a closed socket', async () => {
    const [ours, theirs] = await connected()
    const listening = proposes(ours, 60_000, virtualClock(), call())
    theirs.destroy()
    ours.resume()
    expect(await listening).toBe(false)
  })
})
