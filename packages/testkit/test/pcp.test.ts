import { expect, test } from 'vitest'
import { createGateway, memoryNetwork, virtualClock } from '../src/index.js'
import { hex, home, never, text } from './helpers.js'

const address = '0000000000000000 0000ffff c0a8010a'
const other = '0000000000000000 0000ffff c0a8010b'
const external = '0000000000000000 0000ffff cb007109'
const any4 = '0000000000000000 0000ffff 00000000'
const nonce = '0102030405060708090a0b0c'
const wrongNonce = 'ff02030405060708090a0b0c'

/** RFC 6887 §7.1 and §11.1. */
const mapRequest = (
  { lifetime = '00001c20', client = address, key = nonce, protocol = '06', ports = '1f90 2328', suggested = any4 } = {},
  options = ''
): Uint8Array => hex(`02 01 0000 ${lifetime} ${client} ${key} ${protocol} 000000 ${ports} ${suggested} ${options}`)

/** RFC 6887 §7.2 and §11.1. */
const mapReply = ({
  result = '00',
  lifetime = '00001c20',
  epoch = '00000000',
  key = nonce,
  protocol = '06',
  ports = '1f90 2328',
  assigned = external
} = {}): string | undefined =>
  text(
    hex(
      `02 81 00 ${result} ${lifetime} ${epoch} 000000000000000000000000 ${key} ${protocol} 000000 ${ports} ${assigned}`
    )
  )

const resultOf = (reply: Uint8Array | undefined): number | undefined => reply?.[3]
const lifetimeOf = (reply: Uint8Array | undefined): string | undefined => text(reply?.subarray(4, 8))

test('the gateway answers ANNOUNCE with its epoch (RFC 6887 §14.1)', async () => {
  const { clock, client } = home({ epochSeconds: 10 })
  await clock.advance(5000)
  const { ask } = await client('192.168.1.10')
  expect(text(await ask(hex(`02 00 0000 00000000 ${address}`)))).toBe(
    text(hex('02 80 00 00 00000000 0000000f 000000000000000000000000'))
  )
})

test('the gateway maps, extends and deletes with one nonce (RFC 6887 §11, §15)', async () => {
  const { clock, gateway, client } = home()
  const first = await client('192.168.1.10')
  expect(text(await first.ask(mapRequest()))).toBe(mapReply())
  expect(gateway.mappings).toMatchObject([{ via: 'pcp', externalPort: 9000, nonce: hex(nonce), expiresAt: 7_200_000 }])
  await clock.advance(3_600_000)
  const renewal = await client('192.168.1.10')
  expect(text(await renewal.ask(mapRequest({ ports: '1f90 270f' })))).toBe(mapReply({ epoch: '00000e10' }))
  expect(gateway.mappings).toMatchObject([{ externalPort: 9000, expiresAt: 10_800_000 }])
  expect(text(await renewal.ask(mapRequest({ lifetime: '00000000' })))).toBe(
    mapReply({ epoch: '00000e10', lifetime: '00000000', assigned: any4 })
  )
  expect(gateway.mappings).toEqual([])
  expect(resultOf(await renewal.ask(mapRequest({ lifetime: '00000000' })))).toBe(0)
  expect(gateway.violations).toEqual([])
  expect(gateway.counters.pcp).toMatchObject({ requests: 4, maps: 1, renewals: 1, deletes: 1, errors: 0 })
})

test('the gateway neither extends nor deletes a mapping for another nonce (RFC 6887 §11.3)', async () => {
  const { gateway, client } = home()
  const { ask } = await client('192.168.1.10')
  await ask(mapRequest())
  const reply = await ask(mapRequest({ key: wrongNonce }))
  expect([resultOf(reply), lifetimeOf(reply), reply?.length]).toEqual([2, '00000708', 60])
  expect(resultOf(await ask(mapRequest({ key: wrongNonce, lifetime: '00000000' })))).toBe(2)
  expect(gateway.mappings).toHaveLength(1)
  expect(gateway.violations).toEqual([
    'pcp: MAP of tcp 192.168.1.10:8080 with another nonce than its own',
    'pcp: delete of tcp 192.168.1.10:8080 with another nonce than its own'
  ])
})

test('a client behind another NAT gets ADDRESS_MISMATCH (RFC 6887 §8.1)', async () => {
  const { gateway, client } = home()
  const { ask } = await client('192.168.1.10')
  const reply = await ask(mapRequest({ client: other }))
  expect([resultOf(reply), lifetimeOf(reply)]).toEqual([12, '00000708'])
  expect(gateway.violations).toEqual(['pcp: client address 192.168.1.11 in a request from 192.168.1.10'])
})

test.each([
  ['another version', hex(`01 01 0000 00001c20 ${address}`), 1],
  ['not a multiple of 4', hex(`02 01 0000 00001c20 ${address} 00`), 3],
  ['more than 1,100 bytes', hex(`02 01 0000 00001c20 ${address} ${'00'.repeat(1080)}`), 3],
  ['a MAP without its payload', hex(`02 01 0000 00001c20 ${address} 00000000`), 3],
  ['a port without a protocol', mapRequest({ protocol: '00' }), 3],
  ['an unknown opcode', hex(`02 05 0000 00001c20 ${address}`), 4],
  ['THIRD_PARTY', mapRequest({}, `01 00 0010 ${address}`), 5],
  ['an option that must be understood', mapRequest({}, '7f 00 0000'), 5],
  ['an option longer than the packet', mapRequest({}, '02 00 0008 00000000'), 6],
  ['PREFER_FAILURE twice', mapRequest({}, '02 00 0000 02 00 0000'), 6],
  ['SCTP', mapRequest({ protocol: '84' }), 9],
  ['PREFER_FAILURE with an address of another gateway', mapRequest({ suggested: other }, '02 00 0000'), 11]
])('the gateway answers %s with result %s', async (_, request, result) => {
  const { client, gateway } = home()
  const { ask } = await client('192.168.1.10')
  const reply = await ask(request)
  expect(resultOf(reply)).toBe(result)
  expect(reply?.[1]).toBe(0x80 | (request[1] ?? 0))
  expect((reply?.length ?? 1) % 4).toBe(0)
  expect(gateway.mappings).toEqual([])
})

test('the gateway skips optional options, and repeats the options that it understood (RFC 6887 §7.3)', async () => {
  const { client } = home()
  const { ask } = await client('192.168.1.10')
  const reply = await ask(mapRequest({}, '80 00 0000 02 00 0000'))
  expect(text(reply?.subarray(60))).toBe('02000000')
})

test('PREFER_FAILURE gets an error instead of another port (RFC 6887 §13.2)', async () => {
  const { client } = home()
  await (await client('192.168.1.10')).ask(mapRequest())
  const { ask } = await client('192.168.1.11')
  expect(resultOf(await ask(mapRequest({ client: other }, '02 00 0000')))).toBe(11)
  expect(text(await ask(mapRequest({ client: other })))).toBe(mapReply({ ports: '1f90 2329' }))
})

test('the granted lifetime is within the limits', async () => {
  const { client } = home({ minLifetimeSeconds: 600, maxLifetimeSeconds: 3600 })
  const { ask } = await client('192.168.1.10')
  expect(lifetimeOf(await ask(mapRequest({ lifetime: '00000001' })))).toBe('00000258')
  expect(lifetimeOf(await ask(mapRequest({ lifetime: '00ffffff' })))).toBe('00000e10')
})

test('the gateway creates at most maxMappings mappings', async () => {
  const { client } = home({ maxMappings: 2, maxMappingsPerHost: 1 })
  const { ask } = await client('192.168.1.10')
  await ask(mapRequest())
  expect(resultOf(await ask(mapRequest({ ports: '1f91 0000' })))).toBe(10)
  await (await client('192.168.1.11')).ask(mapRequest({ client: other }))
  const third = await client('192.168.1.12')
  expect(resultOf(await third.ask(mapRequest({ client: '0000000000000000 0000ffff c0a8010c' })))).toBe(8)
})

test('an IPv6 pinhole has the address of the host (RFC 6887 §11.1)', async () => {
  const clock = virtualClock()
  const network = memoryNetwork({ clock })
  const gateway = createGateway({ clock })
  network.attach(gateway, 'fe80::1')
  const replies: Uint8Array[] = []
  const socket = await network.host('2001:db8::10').openUdp(
    {
      family: 6,
      remote: { address: 'fe80::1', port: 5351 },
      onMessage: (bytes) => replies.push(bytes),
      onError: () => undefined
    },
    { signal: never }
  )
  const own = '20010db8 00000000 00000000 00000010'
  socket.send(mapRequest({ client: own, suggested: '00'.repeat(16) }))
  await clock.advance(0)
  expect(text(replies[0])).toBe(mapReply({ ports: '1f90 1f90', assigned: own }))
  expect(gateway.mappings).toMatchObject([{ family: 6, externalAddress: '2001:db8::10', externalPort: 8080 }])
})

test('NAT-PMP can delete a mapping of PCP', async () => {
  const { gateway, client } = home()
  const { ask } = await client('192.168.1.10')
  await ask(mapRequest())
  await ask(hex('00 02 0000 1f90 1f90 00000e10'))
  expect(gateway.mappings).toMatchObject([{ via: 'pcp', externalPort: 9000, expiresAt: 3_600_000, nonce: hex(nonce) }])
  await ask(hex('00 02 0000 1f90 0000 00000000'))
  expect(gateway.mappings).toEqual([])
})

test('a PCP-only gateway answers NAT-PMP with its own version (RFC 6887 §9)', async () => {
  const { client } = home({ protocols: ['pcp'] })
  const { ask } = await client('192.168.1.10')
  expect(text((await ask(hex('0000')))?.subarray(0, 4))).toBe('02800001')
})

test('the gateway records renewals that arrive too soon without a reason', async () => {
  const { clock, gateway, client } = home()
  await (await client('192.168.1.10')).ask(mapRequest())
  await clock.advance(3000)
  gateway.announce()
  await (await client('192.168.1.10')).ask(mapRequest())
  expect(gateway.violations).toEqual([])
  await clock.advance(3000)
  await (await client('192.168.1.10')).ask(mapRequest())
  expect(gateway.violations).toEqual([
    'pcp: asked for tcp 192.168.1.10:8080 again 3000 ms after it was granted; RFC 6887 §11.2.1 requires 4 s'
  ])
})

test('a reboot begins a new epoch with an empty table', async () => {
  const { clock, gateway, client } = home()
  const { ask } = await client('192.168.1.10')
  await ask(mapRequest())
  await clock.advance(100_000)
  gateway.reboot()
  expect(gateway.mappings).toEqual([])
  expect(text((await ask(mapRequest()))?.subarray(8, 12))).toBe('00000000')
})
