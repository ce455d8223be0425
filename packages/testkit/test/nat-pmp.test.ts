import { expect, test } from 'vitest'
import { hex, home, text } from './helpers.js'

test('the gateway reports its external address and its epoch (RFC 6886 §3.2)', async () => {
  const { clock, client } = home()
  await clock.advance(65_000)
  const { ask } = await client('192.168.1.10')
  expect(text(await ask(hex('0000')))).toBe(text(hex('00 80 0000 00000041 cb007109')))
})

test('the gateway maps, repeats its answer, and deletes by internal port (RFC 6886 §3.3, §3.4)', async () => {
  const { gateway, client } = home()
  const { ask } = await client('192.168.1.10')
  const request = hex('00 02 0000 1f90 2328 00001c20')
  expect(text(await ask(request))).toBe(text(hex('00 82 0000 00000000 1f90 2328 00001c20')))
  expect(gateway.mappings).toMatchObject([
    {
      protocol: 'tcp',
      internalAddress: '192.168.1.10',
      internalPort: 8080,
      externalPort: 9000,
      expiresAt: 7_200_000,
      via: 'nat-pmp',
      nonce: null
    }
  ])
  // Another suggested port does not move the mapping.
  expect(text(await ask(hex('00 02 0000 1f90 2329 00001c20')))).toBe(
    text(hex('00 82 0000 00000000 1f90 2328 00001c20'))
  )
  expect(text(await ask(hex('00 02 0000 1f90 0000 00000000')))).toBe(
    text(hex('00 82 0000 00000000 1f90 0000 00000000'))
  )
  expect(gateway.mappings).toEqual([])
  // The deletion of a missing mapping gets the same answer.
  expect(text(await ask(hex('00 02 0000 1f90 0000 00000000')))).toBe(
    text(hex('00 82 0000 00000000 1f90 0000 00000000'))
  )
  expect(gateway.violations).toEqual([])
  expect(gateway.counters['nat-pmp']).toEqual({
    requests: 4,
    replies: 4,
    errors: 0,
    maps: 1,
    renewals: 1,
    deletes: 1,
    unknown: 0,
    operations: { 'map tcp': 4 }
  })
})

test('the gateway answers other versions with opcode 0 and result 1 (RFC 6886 §3.5)', async () => {
  const { client, clock } = home({ protocols: ['nat-pmp'] })
  await clock.advance(5000)
  const { ask } = await client('192.168.1.10')
  expect(text(await ask(hex(`02 01 0000 ${'00'.repeat(56)}`)))).toBe(text(hex('00 00 0001 00000005')))
})

test('the gateway returns an unknown request with result 5, and ignores responses (RFC 6886 §3.5)', async () => {
  const { client } = home()
  const { ask } = await client('192.168.1.10')
  expect(text(await ask(hex('00 03 0000 12345678')))).toBe(text(hex('00 83 0005 12345678')))
  expect(await ask(hex('00 80 0000 00000000 01020304'))).toBeUndefined()
})

test('a second host gets another port, and the companion port stays reserved (RFC 6886 §3.3)', async () => {
  const { client } = home()
  const first = await client('192.168.1.10')
  const second = await client('192.168.1.11')
  await first.ask(hex('00 02 0000 1f90 1f90 00001c20'))
  expect(text(await second.ask(hex('00 02 0000 1f90 1f90 00001c20')))).toBe(
    text(hex('00 82 0000 00000000 1f90 1f91 00001c20'))
  )
  expect(text(await second.ask(hex('00 01 0000 1f90 1f90 00001c20')))).toBe(
    text(hex('00 81 0000 00000000 1f90 1f91 00001c20'))
  )
  expect(text(await first.ask(hex('00 01 0000 1f90 1f90 00001c20')))).toBe(
    text(hex('00 81 0000 00000000 1f90 1f90 00001c20'))
  )
})

test('a mapping expires, and is granted at most the longest lifetime', async () => {
  const { clock, gateway, client } = home({ maxLifetimeSeconds: 3600 })
  const { ask } = await client('192.168.1.10')
  expect(text(await ask(hex('00 01 0000 1f90 1f90 00001c20')))).toContain('00000e10')
  await clock.advance(3_599_999)
  expect(gateway.mappings).toHaveLength(1)
  await clock.advance(1)
  expect(gateway.mappings).toEqual([])
})

test('the gateway records violations of RFC 6886', async () => {
  const { gateway, client } = home()
  const { ask } = await client('192.168.1.10')
  await ask(hex('00 01 0000 1f90 1f90 006ddd00'))
  await ask(hex('00 01 0000 1f90 1f90 00000000'))
  await ask(hex('00 01 0000 1f90'))
  expect(gateway.violations).toEqual([
    'nat-pmp: a lifetime of 7200000 s looks like milliseconds',
    'nat-pmp: delete with external port 8080; RFC 6886 §3.4 requires 0',
    'nat-pmp: mapping request of 6 bytes, not 12'
  ])
})

test('the gateway announces to all hosts on the link', async () => {
  const { network, gateway, clock } = home({ protocols: ['nat-pmp'] })
  const heard: string[] = []
  await network.host('192.168.1.10').openUdp(
    {
      family: 4,
      local: { port: 5350 },
      multicast: { group: '224.0.0.1', interface: '192.168.1.10' },
      onMessage: (bytes, from) => heard.push(`${from.address}:${from.port} ${text(bytes)}`),
      onError: () => undefined
    },
    { signal: new AbortController().signal }
  )
  await clock.advance(10_000)
  gateway.reboot()
  gateway.announce()
  await clock.advance(0)
  expect(heard).toEqual([`192.168.1.1:5351 ${text(hex('00 80 0000 00000000 cb007109'))}`])
})
