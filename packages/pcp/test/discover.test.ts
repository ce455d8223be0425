import { expect, test } from 'vitest'
import { pcp } from '../src/index.js'
import { globalAddress, hex, home, never, request, text } from './helpers.js'

const announce4 = '02000000 00000000 00000000 00000000 0000ffff c0a8010a'
const minutes = 60_000

test.each([
  ['a gateway that is a name', { gateway: 'router.lan' }],
  ['a gateway in octal', { gateway: '192.168.1.010' }],
  ['port 0', { port: 0 }],
  ['a port that is no integer', { announcementPort: 1.5 }]
])('pcp throws a TypeError for %s', (_, options) => {
  expect(() => pcp(options)).toThrow(TypeError)
})

test('pcp has its name, its kind and the configured gateway', () => {
  expect(home().discovery).toMatchObject({ name: 'pcp', kind: 'mapper' })
  expect(home().discovery).not.toHaveProperty('gateway')
  expect(home({ options: { gateway: '192.168.1.1' } }).discovery.gateway).toBe('192.168.1.1')
})

test('pcp finds a server with one ANNOUNCE, which changes nothing', async () => {
  const { mapper, sent, gateway, stop, link, clock } = home()
  expect(await mapper()).toMatchObject({ kind: 'mapper', family: 4, protocols: ['tcp', 'udp'] })
  expect(sent.map(text)).toEqual([text(hex(announce4))])
  expect(gateway.mappings).toEqual([])
  expect(gateway.violations).toEqual([])
  await stop()
  expect([link.openSockets, clock.pending]).toEqual([0, 0])
})

test('pcp finds the IPv6 side of a router and asks it from the global address', async () => {
  const { mapper, sent } = home({ at: 'fe80::1%eth0' })
  expect(await mapper()).toMatchObject({ family: 6, gateway: { address: 'fe80::1%eth0', localAddress: globalAddress } })
  expect(sent.map(text)).toEqual([text(hex('02000000 00000000 2a000001 00000000 00000000 00000010'))])
})

test('pcp does not ask an IPv6 router if this host has no global address', async () => {
  const route = { address: 'fe80::1%eth0', interface: 'eth0', localAddress: 'fd00::10' }
  const { sent, findings, discovered } = home({ network: { gateways: [route] } })
  await discovered
  expect([sent, findings]).toEqual([[], []])
})

test('pcp asks only the configured gateway', async () => {
  const gateways = ['192.168.1.1', '192.168.1.2'].map((address) => ({
    address,
    interface: 'eth0',
    localAddress: '192.168.1.10'
  }))
  const { mapper, sent } = home({ options: { gateway: '192.168.1.1' }, network: { gateways } })
  expect(await mapper()).toMatchObject({ gateway: { address: '192.168.1.1' } })
  expect(sent).toHaveLength(1)
})

test('pcp uses the configured ports', async () => {
  const opened: unknown[] = []
  const openUdp = async (udp: unknown): Promise<never> => {
    opened.push(udp)
    throw new Error('seen')
  }
  const { discovered } = home({ options: { port: 6351, announcementPort: 6350, openUdp } })
  await expect(discovered).rejects.toThrow('seen')
  expect(opened).toMatchObject([{ local: { port: 6350 } }, { remote: { port: 6351 } }])
})

test('pcp finds a server that answers ANNOUNCE with an error', async () => {
  for (const code of [4, 7, 8]) {
    const { gateway, mapper } = home()
    gateway.inject({ kind: 'result', code, on: 'pcp' })
    expect(await mapper()).toMatchObject({ kind: 'mapper' })
  }
})

test('pcp reports absence after 750 ms of silence and goes on for two minutes', async () => {
  const { gateway, notices, mappers, clock, sent } = home()
  const stop = gateway.inject({ kind: 'silent', on: 'pcp' })
  await clock.advance(749)
  expect(notices()).toEqual([])
  await clock.advance(1)
  expect(notices()).toEqual(['absent NO_REPLY'])
  await clock.advance(10_000)
  expect(sent).toHaveLength(6)
  stop()
  await clock.advance(32_000)
  expect(mappers()).toHaveLength(1)
})

test('pcp gives up after nine transmissions', async () => {
  const { gateway, notices, clock, sent } = home()
  gateway.inject({ kind: 'silent', on: 'pcp' })
  await clock.advance(60 * minutes)
  expect(sent).toHaveLength(9)
  expect(notices()).toEqual(['absent NO_REPLY', 'absent NO_REPLY'])
})

test('pcp reports a closed port at once', async () => {
  const { gateway, notices, clock, sent } = home()
  gateway.inject({ kind: 'refuse', on: 'pcp' })
  gateway.inject({ kind: 'refuse', on: 'nat-pmp' })
  await clock.advance(0)
  expect(notices()).toEqual(['absent REFUSED'])
  await clock.advance(60 * minutes)
  expect(sent).toHaveLength(1)
})

test('pcp does not ask a router that speaks only NAT-PMP again until it announces itself', async () => {
  const { gateway, notices, clock, sent, mappers } = home()
  const stop = gateway.inject({ kind: 'downgrade', on: 'pcp' })
  await clock.advance(60 * minutes)
  expect(notices()).toEqual(['absent UNSUPPORTED_VERSION'])
  expect(sent).toHaveLength(1)
  stop()
  gateway.announce()
  await clock.advance(0)
  expect(mappers()).toHaveLength(1)
})

test('pcp reports a NAT between the host and the server, and never asks again', async () => {
  const { gateway, notices, clock, sent } = home()
  gateway.inject({ kind: 'result', code: 12, on: 'pcp' })
  await clock.advance(0)
  gateway.announce()
  await clock.advance(60 * minutes)
  expect(notices()).toEqual(['absent ADDRESS_MISMATCH'])
  expect(sent).toHaveLength(1)
})

test.each(['empty', 'one-byte', 'oversized', 'random'] as const)('pcp ignores %s answers', async (bytes) => {
  const { gateway, notices, clock, mappers } = home()
  const stop = gateway.inject({ kind: 'bytes', bytes, on: 'pcp' })
  await clock.advance(750)
  expect(notices()).toEqual(['absent MALFORMED_REPLY'])
  stop()
  await clock.advance(1000)
  expect(mappers()).toHaveLength(1)
})

test.each(['address', 'port'] as const)('pcp ignores answers from another %s', async (what) => {
  const { gateway, notices, clock } = home()
  gateway.inject({ kind: 'wrong-source', what, on: 'pcp' })
  await clock.advance(750)
  expect(notices()).toEqual(['absent NO_REPLY'])
})

test('pcp finds a server that announces itself during a long wait', async () => {
  const { attach, clock, notices, mappers, gateway } = home({ at: null })
  await clock.advance(20_000)
  expect(notices()).toEqual(['absent NO_REPLY'])
  attach()
  gateway.announce()
  await clock.advance(0)
  expect(mappers()).toHaveLength(1)
})

test('pcp asks at most once a second, however many announcements come', async () => {
  const { mapper, clock, gateway, sent } = home()
  await mapper()
  for (let count = 0; count < 100; count += 1) {
    gateway.announce()
    await clock.advance(50)
  }
  expect(sent.length).toBeLessThanOrEqual(7)
  expect(gateway.violations).toEqual([])
})

test('pcp reports a restart after an announcement once', async () => {
  const { mapper, clock, gateway, notices, about, sent } = home()
  const found = await mapper()
  await clock.advance(100_000)
  gateway.reboot()
  gateway.announce()
  await clock.advance(5000)
  expect(notices()).toEqual(['restarted'])
  expect(about()).toEqual([found])
  expect(sent).toHaveLength(2)
})

test('pcp reports nothing for an announcement that the gateway does not confirm', async () => {
  const { mapper, clock, gateway, notices, sent } = home()
  await mapper()
  await clock.advance(100_000)
  gateway.announce()
  await clock.advance(5000)
  expect(notices()).toEqual([])
  expect(sent).toHaveLength(2)
})

test('pcp reports an announcement after a grant, for any epoch', async () => {
  const { mapper, clock, gateway, notices, run } = home()
  await run((await mapper()).map(request(), never))
  await clock.advance(100_000)
  gateway.announce()
  await clock.advance(5000)
  expect(notices()).toEqual(['announced'])
})

test('pcp reports a restart that the answer to a renewal shows', async () => {
  const { mapper, clock, gateway, notices, run } = home()
  const lease = await run((await mapper()).map(request(), never))
  await clock.advance(3_600_000)
  gateway.reboot()
  await run(lease.renew(never))
  expect(notices()).toEqual(['restarted'])
})

test('pcp reports a restart that the answer to a refused request shows', async () => {
  const { mapper, clock, gateway, notices, fails } = home()
  const found = await mapper()
  await clock.advance(100_000)
  gateway.reboot()
  gateway.inject({ kind: 'result', code: 8, on: 'pcp' })
  await fails(found.map(request(), never))
  expect(notices()).toEqual(['restarted'])
})

test('pcp reports the mapper as gone when the router answers in NAT-PMP, and finds it again', async () => {
  const { mapper, clock, gateway, notices, about, fails, mappers } = home()
  const found = await mapper()
  const stop = gateway.inject({ kind: 'downgrade', on: 'pcp' })
  expect(await fails(found.map(request(), never))).toMatchObject({ code: 'UNSUPPORTED_VERSION' })
  expect(notices()).toEqual(['gone', 'absent UNSUPPORTED_VERSION'])
  expect(about()).toEqual([found])
  stop()
  gateway.announce()
  await clock.advance(0)
  expect(mappers()).toHaveLength(2)
})

test('pcp works without the announcement port, and reports restarts that answers show', async () => {
  const { mapper, stop, link, run, gateway, clock, notices, discovered } = home({ refuseMulticast: true })
  const lease = await run((await mapper()).map(request(), never))
  let ended = false
  discovered.then(
    () => (ended = true),
    () => (ended = true)
  )
  await clock.advance(100_000)
  expect([ended, link.openSockets]).toEqual([false, 0])
  gateway.reboot()
  await run(lease.renew(never))
  expect(notices()).toEqual(['unheard', 'restarted'])
  await stop()
})

test('pcp reports the mapper as gone when the router refuses version 2', async () => {
  const { mapper, gateway, notices, fails } = home()
  const found = await mapper()
  gateway.inject({ kind: 'result', code: 1, on: 'pcp' })
  expect(await fails(found.map(request(), never))).toMatchObject({ code: 'UNSUPPORTED_VERSION' })
  expect(notices()).toEqual(['gone', 'absent UNSUPPORTED_VERSION'])
})

test('pcp resolves if nothing was found and no announcement can be received', async () => {
  const { gateway, clock, discovered, notices } = home({ refuseMulticast: true })
  gateway.inject({ kind: 'refuse', on: 'pcp' })
  await clock.advance(0)
  await discovered
  expect(notices()).toEqual(['unheard', 'absent REFUSED'])
})

test('pcp holds no socket and no timer after it was stopped in any state', async () => {
  for (const ms of [0, 100, 750, 5000, 200_000]) {
    for (const kind of ['silent', 'refuse', 'downgrade', 'late'] as const) {
      const { gateway, clock, link, stop } = home()
      gateway.inject(kind === 'late' ? { kind, ms: 300, on: 'pcp' } : { kind, on: 'pcp' })
      await clock.advance(ms)
      gateway.announce()
      await clock.advance(0)
      await stop()
      await clock.advance(300)
      expect([link.openSockets, clock.pending]).toEqual([0, 0])
    }
  }
})
