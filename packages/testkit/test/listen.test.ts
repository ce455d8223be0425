import { exchangeHttp, openUdp, type SocketAddress } from '@postern/net'
import { expect, onTestFinished, test } from 'vitest'
import { createGateway, type FakeGateway, type ListenOptions, listen, systemClock } from '../src/index.js'
import { hex, never, text } from './helpers.js'

async function listening(gateway: FakeGateway, options?: ListenOptions) {
  const running = await listen(gateway, options)
  onTestFinished(() => running.close())
  return running
}

/** Sends one datagram and resolves with the answer. */
async function ask(
  remote: SocketAddress,
  bytes: Uint8Array,
  { count = 1, connected = true, localAddress = '' } = {}
): Promise<{ bytes: Uint8Array; from: SocketAddress }[]> {
  const replies: { bytes: Uint8Array; from: SocketAddress }[] = []
  const heard = Promise.withResolvers<void>()
  const socket = await openUdp(
    {
      family: 4,
      ...(connected ? { remote } : {}),
      ...(localAddress === '' ? {} : { local: { address: localAddress } }),
      onMessage(reply, from) {
        replies.push({ bytes: reply, from })
        if (replies.length === count) heard.resolve()
      },
      onError: heard.reject
    },
    { signal: never }
  )
  socket.send(bytes, connected ? undefined : remote)
  try {
    await heard.promise
  } finally {
    socket.close()
  }
  return replies
}

const natPmp = hex('0000')
const search = (st: string): Uint8Array =>
  Buffer.from(`M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ${st}\r\n\r\n`)
const get = (url: string, options: { timeoutMs?: number } = {}) =>
  exchangeHttp(
    { url: new URL(url), maxBytes: 65_536, timeoutMs: options.timeoutMs ?? 5000, clock: systemClock },
    { signal: never }
  )

test('the gateway answers on the standard ports of its own address', async () => {
  const gateway = createGateway()
  const { address, ports } = await listening(gateway)
  expect(ports).toMatchObject({ portMapping: 5351, ssdp: 1900 })
  const [reply] = await ask({ address, port: 5351 }, natPmp)
  expect(text(reply?.bytes)).toBe('008000000000000001020304')
  const [found] = await ask({ address, port: 1900 }, search('upnp:rootdevice'))
  expect(Buffer.from(found?.bytes ?? []).toString()).toContain(`LOCATION: http://${address}:${ports.http}/rootDesc.xml`)
  const description = await get(`http://${address}:${ports.http}/rootDesc.xml`)
  expect(description.status).toBe(200)
  expect(Buffer.from(description.body).toString()).toContain('InternetGatewayDevice:2')
})

test('the gateway answers on 127.0.0.1 with free ports', async () => {
  const { ports } = await listening(createGateway(), {
    address: '127.0.0.1',
    ports: { portMapping: 0, ssdp: 0, http: 0 },
    multicast: false
  })
  expect(await ask({ address: '127.0.0.1', port: ports.portMapping }, natPmp)).toHaveLength(1)
  expect(await ask({ address: '127.0.0.1', port: ports.ssdp }, search('upnp:rootdevice'))).toHaveLength(1)
})

test('the gateway opens pinholes on ::1', async ({ skip }) => {
  const gateway = createGateway({ protocols: ['pcp'] })
  const running = await listen(gateway, { address: '::1', ports: { portMapping: 0 } }).catch(() => undefined)
  if (running === undefined) return skip('this machine has no ::1')
  onTestFinished(() => running.close())
  const heard = Promise.withResolvers<Uint8Array>()
  const socket = await openUdp(
    {
      family: 6,
      remote: { address: '::1', port: running.ports.portMapping },
      onMessage: heard.resolve,
      onError: heard.reject
    },
    { signal: never }
  )
  onTestFinished(() => socket.close())
  const own = `${'00'.repeat(15)}01`
  socket.send(hex(`02 01 0000 00000e10 ${own} ${'0b'.repeat(12)} 11 000000 1f90 1f90 ${'00'.repeat(16)}`))
  const reply = await heard.promise
  expect(text(reply.subarray(40))).toBe(text(hex(`1f90 1f90 ${own}`)))
  expect(gateway.mappings).toMatchObject([{ family: 6, protocol: 'udp', externalAddress: '::1' }])
})

test('the gateway closes a port during the fault and opens the same port again', async () => {
  const gateway = createGateway()
  const running = await listening(gateway)
  const remote = { address: running.address, port: 5351 }
  const undo = gateway.inject({ kind: 'refuse', on: ['pcp', 'nat-pmp'] })
  await expect(ask(remote, natPmp)).rejects.toMatchObject({ code: 'REFUSED' })
  undo()
  await running.settled()
  expect(await ask(remote, natPmp)).toHaveLength(1)
})

test('the gateway answers from another port or address of the machine', async () => {
  const gateway = createGateway()
  const { address } = await listening(gateway)
  const remote = { address, port: 5351 }
  gateway.inject({ kind: 'wrong-source', what: 'port', times: 1 })
  gateway.inject({ kind: 'wrong-source', what: 'address', times: 1 })
  const [fromPort] = await ask(remote, natPmp, { connected: false })
  expect(fromPort?.from.address).toBe(address)
  expect(fromPort?.from.port).not.toBe(5351)
  const [fromAddress] = await ask(remote, natPmp, { connected: false })
  expect(fromAddress?.from.address).not.toBe(address)
})

test('a reboot moves the description to another port', async () => {
  const gateway = createGateway()
  const running = await listening(gateway)
  const old = running.ports.http
  gateway.reboot({ upnpPort: 0 })
  await running.settled()
  expect(running.ports.http).not.toBe(old)
  await expect(get(`http://${running.address}:${old}/rootDesc.xml`)).rejects.toMatchObject({ code: 'REFUSED' })
  expect((await get(`http://${running.address}:${running.ports.http}/rootDesc.xml`)).status).toBe(200)
})

test.runIf(process.platform === 'linux')(
  'the gateway receives searches and sends announcements by multicast on loopback',
  async () => {
    const gateway = createGateway()
    const { address } = await listening(gateway)
    const localAddress = address.replace(/\d+$/, '10')
    const [found] = await ask({ address: '239.255.255.250', port: 1900 }, search('upnp:rootdevice'), {
      connected: false,
      localAddress
    })
    expect(found?.from).toEqual({ address, port: 1900 })

    const heard = Promise.withResolvers<SocketAddress>()
    const socket = await openUdp(
      {
        family: 4,
        local: { port: 5350 },
        multicast: { group: '224.0.0.1', interface: localAddress },
        onMessage: (_, from) => {
          if (from.address === address) heard.resolve(from)
        },
        onError: heard.reject
      },
      { signal: never }
    )
    onTestFinished(() => socket.close())
    gateway.announce()
    expect(await heard.promise).toEqual({ address, port: 5351 })
  }
)

test.each([
  ['endless', 'REPLY_TOO_LARGE'],
  ['slow-headers', 'NO_REPLY'],
  ['drip', 'NO_REPLY'],
  ['hang', 'NO_REPLY'],
  ['reset', 'MALFORMED_REPLY'],
  ['not-http', 'MALFORMED_REPLY']
] as const)('an HTTP exchange fails with the fault %s', async (what, code) => {
  const gateway = createGateway()
  const { address, ports } = await listening(gateway)
  gateway.inject({ kind: 'http', what })
  await expect(get(`http://${address}:${ports.http}/rootDesc.xml`, { timeoutMs: 300 })).rejects.toMatchObject({ code })
})

test.each(['lower-case-headers', 'no-content-length'] as const)('the gateway serves HTTP with %s', async (what) => {
  const gateway = createGateway()
  const { address, ports } = await listening(gateway)
  gateway.inject({ kind: 'http', what })
  const { body } = await get(`http://${address}:${ports.http}/rootDesc.xml`)
  expect(Buffer.from(body).toString()).toMatch(/<\/root>\s*$/)
})
