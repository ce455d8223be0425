import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { isNatError, parseMultiaddr, systemClock } from '@postern/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import { call, clockWithout, dial, echoed, scene, until } from './scene.js'
import { createWorld } from './world.js'

const portOf = (address: string | undefined): number | undefined => parseMultiaddr(address ?? '/')?.port

describe('forward', () => {
  it('connects to nothing before it is called, and shares one session between endpoints', async () => {
    const { world, forwarder, forward } = await scene({ allowOtherPort: true })
    expect(forwarder).toMatchObject({
      party: { id: `127.0.0.1:${world.options.port}`, network: '127.0.0.0/16' },
      protocols: ['tcp'],
      isEncrypted: true,
      tellsClients: true
    })
    expect(world.requests?.()).toBe(0)
    const second = createServer((socket) => void socket.end('second')).listen(0, '127.0.0.1')
    onTestFinished(() => void second.close())
    await once(second, 'listening')
    const { port } = second.address() as { port: number }
    const endpoint = { ...world.endpoint, port }
    const leases = await Promise.all([forward(), forwarder.forward({ endpoint, suggestedExternalPort: port }, call())])
    expect(world.logins()).toBe(1)

    const [one, other] = [await dial(leases[0]), await dial(leases[1])]
    expect(await echoed(one, 'first')).toBe('first')
    expect(String(((await once(other, 'data')) as [Buffer])[0])).toBe('second')

    await Promise.all(leases.map((lease) => lease.release(call())))
    expect(world.sockets.size).toBe(1)
    one.destroy()
    other.destroy()
    await until(() => world.sockets.size === 0)
    expect(leases.map(({ ended }) => ended.aborted)).toEqual([false, false])
  })

  it('tells the address and port of the client, and hands on the end of each side', async () => {
    const { forward, carried, world } = await scene()
    const socket = await dial(await forward())
    expect(await echoed(socket, 'hello')).toBe('hello')
    const { localAddress: address, localPort: port } = socket
    expect(carried).toEqual([
      {
        localAddress: '127.0.0.1',
        localPort: world.accepted[0]?.remotePort,
        client: { address, port },
        party: { id: `127.0.0.1:${world.options.port}`, network: '127.0.0.0/16' }
      }
    ])
    socket.end()
    await once(socket, 'end')
  })

  it('rejects with UNSUPPORTED for an endpoint of UDP, without a connection', async () => {
    const { forwarder, world } = await scene()
    const endpoint = { ...world.endpoint, protocol: 'udp' as const }
    await expect(forwarder.forward({ endpoint, suggestedExternalPort: 1 }, call())).rejects.toMatchObject({
      code: 'UNSUPPORTED'
    })
    expect(world.requests?.()).toBe(0)
  })

  it('rejects with GRANT_INVALID and the line for sshd_config if the server says yes and opens nothing', async () => {
    const { forward, world } = await scene()
    world.behaviour.opensNothing = true
    await expect(forward()).rejects.toMatchObject({
      code: 'GRANT_INVALID',
      message: expect.stringContaining('GatewayPorts clientspecified')
    })
    await until(() => world.sockets.size === 0)
  })

  it('asks for a taken port again within one session, and then rejects with CONFLICT and what helps', async () => {
    const { forward, world } = await scene({ clock: clockWithout(500), allowOtherPort: false })
    world.behaviour.taken.add(world.options.externalPort ?? 0)
    await expect(forward()).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/ClientAliveInterval 15/)
    })
    expect({ logins: world.logins(), asked: world.changes?.() }).toEqual({ logins: 1, asked: 7 })
  })

  it('keeps the session after a conflict, since callers come back, and closes it at the end of the discovery', async () => {
    const { forward, world, stop } = await scene({ clock: clockWithout(500), allowOtherPort: false })
    world.behaviour.taken.add(world.options.externalPort ?? 0)
    await expect(forward()).rejects.toMatchObject({ code: 'CONFLICT' })
    world.behaviour.taken.clear()
    const lease = await forward()
    expect(world.logins()).toBe(1)
    await lease.release(call())
    stop()
    await until(() => world.sockets.size === 0)
  })

  it('takes the port as soon as the earlier session has let it go', async () => {
    const { world, ...rest } = await scene({ allowOtherPort: false })
    const { externalPort = 0 } = world.options
    world.behaviour.taken.add(externalPort)
    const pending = rest.forward()
    await until(() => (world.changes?.() ?? 0) > 0)
    world.behaviour.taken.clear()
    expect(portOf((await pending).addresses[0])).toBe(externalPort)
  })

  it('takes another port where that is allowed, for a minute, and the renewal goes back to the wanted one', async () => {
    const { forward, world } = await scene({ clock: clockWithout(500), allowOtherPort: true })
    const { externalPort = 0 } = world.options
    world.behaviour.taken.add(externalPort)
    const substitute = await forward()
    expect(substitute.lifetimeMs).toBe(60_000)
    expect(portOf(substitute.addresses[0])).not.toBe(externalPort)

    const same = await substitute.renew(call())
    expect(same.addresses).toEqual(substitute.addresses)
    world.behaviour.taken.clear()
    const back = await same.renew(call())
    expect(back).toMatchObject({ addresses: [`/ip4/127.0.0.1/tcp/${externalPort}`], lifetimeMs: 600_000 })
    expect(await echoed(await dial(back), 'hello')).toBe('hello')
    await until(() => world.changes?.() === 11)
    await expect(dial(substitute)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('asks for the port that it had, also after the caller has suggested another one', async () => {
    const { world, forwarder } = await scene({ externalPort: undefined as never, clock: clockWithout(500) })
    const { externalPort = 0 } = world.options
    const ask = async (suggestedExternalPort: number): Promise<number | undefined> => {
      const lease = await forwarder.forward({ endpoint: world.endpoint, suggestedExternalPort }, call())
      await lease.release(call())
      return portOf(lease.addresses[0])
    }
    expect([await ask(externalPort), await ask(externalPort + 1)]).toEqual([externalPort, externalPort])
  })
})

describe('discover', () => {
  it('reports NAME_NOT_RESOLVED, and finds the forwarder when the name resolves', async () => {
    let tries = 0
    const lookup = async (): Promise<readonly string[]> => {
      tries += 1
      if (tries === 1) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
      return ['127.0.0.1']
    }
    const { forwarder, notices } = await scene({ host: 'vps.example.org', lookup, clock: clockWithout(5000) })
    expect(notices).toMatchObject([{ what: 'absent', reason: { code: 'NAME_NOT_RESOLVED' } }])
    expect(forwarder.party.id).toMatch(/^vps\.example\.org:\d+$/)
    expect(forwarder.party.network).toBe('127.0.0.0/16')
  })

  it('a host with another address by now is found again after a failure', async () => {
    let tries = 0
    const lookup = async (): Promise<readonly string[]> => {
      tries += 1
      return [tries === 1 ? '127.0.0.2' : '127.0.0.1']
    }
    const { forward } = await scene({ host: 'vps.example.org', lookup })
    await expect(forward()).rejects.toMatchObject({ code: expect.stringMatching(/REFUSED|UNREACHABLE|NO_REPLY/) })
    expect((await forward()).addresses).toHaveLength(1)
  })
})

describe('a lease', () => {
  it('ends when the session ends, and the application sees a cut and not an end', async () => {
    const { forward, world } = await scene()
    const lease = await forward()
    const socket = await dial(lease)
    await echoed(socket, 'half a request')
    const cut = new Promise((resolve) => world.accepted[0]?.once('error', resolve))
    for (const each of world.sockets) each.destroy()
    expect(await cut).toMatchObject({ code: 'ECONNRESET' })
    expect(lease.ended.reason).toMatchObject({ code: 'UNREACHABLE' })
    await expect(lease.renew(call())).rejects.toBe(lease.ended.reason)
    await lease.release(call())

    const again = await forward()
    expect(again.addresses).toEqual(lease.addresses)
    expect(world.logins()).toBe(2)
  })

  it('ends when the server is silent, although its connection stays open', async () => {
    const { forward, world } = await scene({ keepAliveMs: 100 })
    const lease = await forward()
    await world.faults?.silence?.()
    await once(lease.ended, 'abort')
    expect(lease.ended.reason).toMatchObject({ code: 'NO_REPLY' })
  })

  it('that was lost in silence is reset at the server as soon as the next session is open, so that its port is free', async () => {
    const { forward, world } = await scene({ keepAliveMs: 100 })
    const lease = await forward()
    const [old] = world.sockets
    await world.faults?.silence?.()
    await once(lease.ended, 'abort')
    world.behaviour.isSilent = false
    const cut = new Promise((resolve) => old?.once('error', resolve))
    old?.resume()
    expect(world.sockets.size).toBe(1)
    await forward()
    expect(await cut).toMatchObject({ code: 'ECONNRESET' })
  })

  it('whose port is held by a dead session there gets it back, since a connection to it makes the server notice', async () => {
    const { forward, world } = await scene({ allowOtherPort: false, clock: clockWithout(500) })
    const { externalPort = 0 } = world.options
    const lease = await forward()
    for (const each of world.sockets) each.destroy()
    await once(lease.ended, 'abort')
    await until(() => world.clients.size === 0)

    world.behaviour.taken.add(externalPort)
    const dead = createServer((socket) => {
      socket.destroy()
      dead.close(() => world.behaviour.taken.delete(externalPort))
    })
    dead.listen(externalPort, '127.0.0.1')
    await once(dead, 'listening')
    expect((await forward()).addresses).toEqual(lease.addresses)
  })

  it('that ended in silence leaves no connection after the end of the discovery', async () => {
    const { forward, world, stop } = await scene({ keepAliveMs: 100 })
    const lease = await forward()
    await world.faults?.silence?.()
    await once(lease.ended, 'abort')
    stop()
    for (const socket of world.sockets) socket.resume()
    await until(() => world.sockets.size === 0)
  })

  it('does not end while the server answers the keep-alive requests', async () => {
    let sleeps = 0
    const clock = {
      ...systemClock,
      sleep(ms: number, options: { readonly signal: AbortSignal }) {
        if (ms === 100) sleeps += 1
        return systemClock.sleep(ms === 100 ? 10 : ms, options)
      }
    }
    const { forward } = await scene({ keepAliveMs: 100, clock })
    const lease = await forward()
    const before = sleeps
    await until(() => sleeps > before + 20)
    expect(lease.ended.aborted).toBe(false)
  })

  it('renew rejects with MAPPING_LOST if the port no longer leads here', async () => {
    const { forward, world } = await scene()
    const lease = await forward()
    for (const client of world.clients)
      client.emit(
        'request',
        () => undefined,
        () => undefined,
        'cancel-tcpip-forward',
        {
          bindAddr: '',
          bindPort: world.options.externalPort
        }
      )
    await expect(lease.renew(call())).rejects.toMatchObject({ code: 'MAPPING_LOST' })
    expect(lease.ended.aborted).toBe(false)
  })

  it('release lets connections end by themselves, and refuses new ones', async () => {
    const { forward, world } = await scene()
    const lease = await forward()
    const socket = await dial(lease)
    await echoed(socket, 'before')
    await lease.release(call())
    await lease.release(call())
    expect(await echoed(socket, 'after')).toBe('after')
    await expect(dial(lease)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    socket.end()
    await until(() => world.sockets.size === 0)
  })

  it('release cuts connections that do not end within 30 s', async () => {
    const { forward, world } = await scene({ clock: clockWithout(250) })
    const lease = await forward()
    const socket = await dial(lease)
    await echoed(socket, 'before')
    await lease.release(call())
    await Promise.all([once(socket, 'end'), until(() => world.sockets.size === 0)])
  })

  it('has at most maxConnections connections', async () => {
    const { forward, world } = await scene({ maxConnections: 2 })
    const lease = await forward()
    const sockets: Socket[] = [await dial(lease), await dial(lease)]
    await Promise.all(sockets.map((socket) => echoed(socket, 'x')))
    const third = await dial(lease)
    await new Promise((resolve) => third.once('end', resolve).once('close', resolve).resume())
    expect(world.accepted).toHaveLength(2)
  })
})

describe('a hostile server', () => {
  it('reaches nothing but the endpoint', async () => {
    const { forward, world } = await scene()
    const lease = await forward()
    const [client] = world.clients
    const { externalPort = 0 } = world.options
    const refused = async (open: (answered: (error: Error | undefined) => void) => void): Promise<string> =>
      new Promise((resolve) => open((error) => resolve(error === undefined ? 'opened' : error.message)))
    const opened = await Promise.all([
      refused((answered) => client?.forwardOut('', externalPort + 1, '203.0.113.1', 1, answered)),
      refused((answered) => client?.forwardOut('127.0.0.1', externalPort, '203.0.113.1', 1, answered)),
      refused((answered) => client?.forwardOut('', world.endpoint.port, '203.0.113.1', 1, answered)),
      refused((answered) => client?.forwardOut('192.168.1.1', 80, '203.0.113.1', 1, answered)),
      refused((answered) => client?.x11('203.0.113.1', 1, answered)),
      refused((answered) => client?.openssh_forwardOutStreamLocal('/run/docker.sock', answered))
    ])
    expect(opened).toEqual(opened.map(() => expect.stringMatching(/open failure/)))
    expect(world.accepted).toEqual([])
    expect(lease.ended.aborted).toBe(false)
  })

  it.each([70_000, 0xffffffff])('that grants port %i fails, since there is no such port', async (port) => {
    const { forwarder, world } = await scene({ allowOtherPort: true, clock: clockWithout(500) })
    const work = forwarder.forward({ endpoint: world.endpoint, suggestedExternalPort: 1 }, call())
    work.catch(() => undefined)
    await until(() => world.clients.size === 1)
    const [client] = world.clients
    client?.removeAllListeners('request')
    // The types of ssh2 do not have the port that is granted.
    client?.on('request', (accept: ((granted?: number) => void) | undefined, reject, name, info) => {
      if (name === 'tcpip-forward' && info.bindPort === 0) accept?.(port)
      else reject?.()
    })
    await expect(work).rejects.toMatchObject({ code: 'MALFORMED_REPLY' })
  })

  it('that grants the port of another endpoint does not get its connections', async () => {
    const { forwarder, world, forward } = await scene({ allowOtherPort: true, clock: clockWithout(500) })
    const lease = await forward()
    const { externalPort = 0 } = world.options
    const [client] = world.clients
    client?.removeAllListeners('request')
    client?.on('request', (accept: ((granted?: number) => void) | undefined, reject, name, info) => {
      if (name === 'tcpip-forward' && info.bindPort === 0) accept?.(externalPort)
      else reject?.()
    })
    const other = { ...world.endpoint, port: 9 }
    const work = forwarder.forward({ endpoint: other, suggestedExternalPort: 9 }, call())
    await expect(work).rejects.toMatchObject({ code: 'GRANT_INVALID' })
    expect(await echoed(await dial(lease), 'still here')).toBe('still here')
  })

  it('that ends each session after the login counts as one that fails, so that it is not asked every two seconds', async () => {
    const { forward, world } = await scene()
    const work = forward()
    work.catch(() => undefined)
    await until(() => world.clients.size === 1)
    const [client] = world.clients
    client?.removeAllListeners('request')
    client?.on('request', () => client.end())
    await expect(work).rejects.toMatchObject({ code: 'GATEWAY_FAULT' })
  })

  it('that confirms the end of no channel cannot open them without limit', async () => {
    const { forward, world } = await scene({ maxConnections: 1 })
    await forward()
    const [client] = world.clients
    // @ts-expect-error: the part of ssh2 that writes messages is private
    client._protocol.channelClose = () => undefined
    let [opened, refused] = [0, 0]
    for (let made = 0; made < 1100; made += 1)
      client?.forwardOut('', world.options.externalPort ?? 0, '203.0.113.1', 1, (error) => {
        if (error === undefined) opened += 1
        else refused += 1
      })
    await until(() => opened + refused === 1100)
    expect(opened).toBeLessThanOrEqual(1025)
  })

  it('loses the session if it ignores the window of a channel', async () => {
    const { forward, world } = await scene()
    const lease = await forward()
    const [client] = world.clients
    client?.forwardOut('', world.options.externalPort ?? 0, '203.0.113.1', 1, (error, stream) => {
      if (error !== undefined) throw error
      // The application echoes, and nothing reads its answers.
      stream.pause()
      // Packets that do not divide the window, since ssh2 drops what comes when nothing is left of it.
      Object.assign(Reflect.get(stream, 'outgoing') as object, { window: 1e12, packetSize: 30_001 })
      const write = (): void => {
        if (!lease.ended.aborted) stream.write(Buffer.alloc(1_000_003), () => setImmediate(write))
      }
      write()
    })
    await once(lease.ended, 'abort')
    expect(lease.ended.reason).toMatchObject({
      code: 'UNREACHABLE',
      cause: { message: expect.stringMatching('window') }
    })
  })

  it('tells nothing of a client whose address is none', async () => {
    const { forward, world, carried } = await scene()
    await forward()
    const [client] = world.clients
    client?.forwardOut('', world.options.externalPort ?? 0, 'not an address', 1, () => undefined)
    await until(() => world.accepted.length === 1)
    expect(carried).toMatchObject([{ client: null }])
  })

  it.each([
    ['speaks HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'NO_REPLY'],
    ['speaks another version', 'SSH-1.5-old\r\n', 'MALFORMED_REPLY'],
    ['speaks nonsense after the greeting', `SSH-2.0-x\r\n${'\u0007'.repeat(64)}`, 'MALFORMED_REPLY'],
    ['hangs up', '', 'NO_REPLY']
  ])('rejects if the server %s', async (_what, greeting, code) => {
    const { forward, world } = await scene()
    world.behaviour.greeting = greeting
    const error: unknown = await forward().then(
      () => undefined,
      (reason: unknown) => reason
    )
    expect(isNatError(error) ? error.code : error).toBe(code)
    await until(() => world.sockets.size === 0)
  })

  it('rejects with NO_REPLY if the server says nothing, and with REFUSED if there is none', async () => {
    const { forward, world } = await scene({ clock: clockWithout(25_000) })
    world.behaviour.isSilent = true
    await expect(forward()).rejects.toMatchObject({ code: 'NO_REPLY' })
    await until(() => world.sockets.size === 0)
    const { forward: another } = await scene({ port: 1 })
    await expect(another()).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it('the next call does not fail with a login that was aborted', async () => {
    const { forwarder, world } = await scene()
    const controller = new AbortController()
    const pending = forwarder.forward({ endpoint: world.endpoint, suggestedExternalPort: 1 }, controller)
    await until(() => world.sockets.size === 1)
    controller.abort(new Error('enough'))
    await expect(pending).rejects.toThrow('enough')
    const lease = await forwarder.forward({ endpoint: world.endpoint, suggestedExternalPort: 1 }, call())
    expect(lease.addresses).toHaveLength(1)
  })

  it('a login that is aborted leaves no connection', async () => {
    const world = await createWorld()
    onTestFinished(() => world.close())
    world.behaviour.isSilent = true
    const { forwarder } = await scene({ world })
    const controller = new AbortController()
    const pending = forwarder.forward({ endpoint: world.endpoint, suggestedExternalPort: 1 }, controller)
    await until(() => world.sockets.size === 1)
    controller.abort(new Error('enough'))
    await expect(pending).rejects.toThrow('enough')
    await until(() => world.sockets.size === 0)
  })
})
