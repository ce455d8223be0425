import { expect, test } from 'vitest'
import { globalAddress, hex, home, key, never, request, request6, text } from './helpers.js'

const client = '00000000000000000000ffff c0a8010a'
const nonce = '0102030405060708090a0b0c'
const any4 = '00000000000000000000ffff 00000000'
const external = '00000000000000000000ffff 01020304'
const bytes = (...parts: string[]): string => text(hex(parts.join('')))

test('pcp maps with the first 12 bytes of the key as the nonce and without suggesting an address', async () => {
  const { mapper, run, sent, gateway } = home()
  const lease = await run((await mapper()).map(request(), never))
  expect(lease).toMatchObject({ addresses: ['/ip4/1.2.3.4/tcp/9000'], lifetimeMs: 7_200_000 })
  expect(sent.slice(1).map(text)).toEqual([bytes('02010000 00001c20', client, nonce, '06000000 1f90 2328', any4)])
  expect(gateway.mappings).toMatchObject([{ externalPort: 9000, nonce: key.slice(0, 12) }])
})

test('pcp maps UDP, and at the port that the router chooses', async () => {
  const { mapper, run, gateway } = home()
  const endpoint = { ...request().endpoint, protocol: 'udp' } as const
  const lease = await run((await mapper()).map(request({ endpoint, suggestedExternalPort: 0 }), never))
  expect(lease.addresses).toEqual(['/ip4/1.2.3.4/udp/8080'])
  expect(gateway.mappings).toMatchObject([{ protocol: 'udp' }])
})

test('pcp renews with the nonce of the first request, and suggests the assigned address and port', async () => {
  const { mapper, run, sent, clock, gateway } = home()
  const lease = await run((await mapper()).map(request({ suggestedExternalPort: 0 }), never))
  await clock.advance(3_600_000)
  const renewed = await run(lease.renew(never))
  expect(renewed).toMatchObject({ addresses: ['/ip4/1.2.3.4/tcp/8080'], lifetimeMs: 7_200_000 })
  expect(text(sent.at(-1))).toBe(bytes('02010000 00001c20', client, nonce, '06000000 1f90 1f90', external))
  expect(gateway.mappings).toMatchObject([{ expiresAt: 10_800_000 }])
})

test('pcp deletes with lifetime 0, port 0 and the all-zeros address (RFC 6887 §15.1, erratum 3621), once', async () => {
  const { mapper, run, sent, gateway } = home()
  const lease = await run((await mapper()).map(request(), never))
  await run(lease.release(never))
  expect(text(sent.at(-1))).toBe(bytes('02010000 00000000', client, nonce, '06000000 1f90 0000', any4))
  expect(gateway.mappings).toEqual([])
  await run(Promise.all([lease.release(never), lease.release(never)]))
  expect(sent).toHaveLength(3)
})

test('pcp sends one delete for two releases at once', async () => {
  const { mapper, run, gateway } = home()
  const lease = await run((await mapper()).map(request(), never))
  await run(Promise.all([lease.release(never), lease.release(never)]))
  expect(gateway.counters.pcp.requests).toBe(3)
})

test('pcp opens, renews and closes a pinhole in IPv6', async () => {
  const { mapper, run, sent, gateway, clock } = home({ at: 'fe80::1%eth0' })
  const own = '2a000001 00000000 00000000 00000010'
  const lease = await run((await mapper()).map(request6(), never))
  expect(lease.addresses).toEqual([`/ip6/${globalAddress}/tcp/8080`])
  expect(text(sent.at(-1))).toBe(bytes('02010000 00001c20', own, nonce, '06000000 1f90 2328', '00'.repeat(16)))
  await clock.advance(3_600_000)
  const renewed = await run(lease.renew(never))
  expect(text(sent.at(-1))).toBe(bytes('02010000 00001c20', own, nonce, '06000000 1f90 1f90', own))
  await run(renewed.release(never))
  expect(text(sent.at(-1))).toBe(bytes('02010000 00000000', own, nonce, '06000000 1f90 0000', '00'.repeat(16)))
  expect([gateway.mappings, gateway.violations]).toEqual([[], []])
})

test('pcp gets its mapping back in a new run with the same key', async () => {
  const { mapper, run, gateway, clock } = home()
  const found = await mapper()
  await run(found.map(request(), never))
  await clock.advance(5000)
  await run(found.map(request(), never))
  expect(gateway.mappings).toHaveLength(1)
  expect(gateway.violations).toEqual([])
})

test('pcp returns the granted lease, with at most the requested lifetime', async () => {
  const { mapper, run, gateway } = home()
  const found = await mapper()
  gateway.inject({ kind: 'grant', on: 'pcp', lifetimeSeconds: 1, externalPort: 40_000, times: 1 })
  expect(await run(found.map(request(), never))).toMatchObject({
    addresses: ['/ip4/1.2.3.4/tcp/40000'],
    lifetimeMs: 1000
  })
  gateway.forget()
  gateway.inject({ kind: 'grant', on: 'pcp', lifetimeSeconds: 2 ** 32 - 1 })
  expect(await run(found.map(request(), never))).toMatchObject({ lifetimeMs: request().lifetimeMs })
})

test('pcp asks for whole seconds, at least one and at most a day', async () => {
  const { mapper, run, sent } = home()
  const found = await mapper()
  for (const lifetimeMs of [1, 1500, Number.POSITIVE_INFINITY]) await run(found.map(request({ lifetimeMs }), never))
  expect(sent.slice(1).map((each) => text(each.subarray(4, 8)))).toEqual(['00000001', '00000002', '00015180'])
})

test('pcp reports another external address once for any number of leases', async () => {
  const { mapper, run, gateway, notices, clock } = home()
  const found = await mapper()
  const first = await run(found.map(request(), never))
  const endpoint = { ...request().endpoint, port: 8081 }
  const second = await run(found.map(request({ endpoint, suggestedExternalPort: 9001 }), never))
  gateway.setExternalAddress('5.6.7.8')
  await clock.advance(5000)
  expect((await run(first.renew(never))).addresses).toEqual(['/ip4/5.6.7.8/tcp/9000'])
  await run(second.renew(never))
  expect(notices()).toEqual(['address-changed'])
})

test('pcp throws a TypeError for a request of another family', async () => {
  const { mapper, sent } = home()
  const found = await mapper()
  await expect(found.map(request6(), never)).rejects.toThrow(TypeError)
  await expect(found.map(request({ key: key.slice(0, 11) }), never)).rejects.toThrow(TypeError)
  expect(sent).toHaveLength(1)
})

test('pcp has one request under way at a time', async () => {
  const { mapper, run, gateway } = home()
  const found = await mapper()
  gateway.inject({ kind: 'one-at-a-time', busyMs: 100, on: 'pcp' })
  const leases = [1, 2, 3].map((port) => found.map(request({ endpoint: { ...request().endpoint, port } }), never))
  await run(Promise.all(leases), 2000)
  expect(gateway.mappings).toHaveLength(3)
  expect(gateway.violations).toEqual([])
})

test('pcp undoes a mapping that is aborted after its request left, 250 ms after that at the earliest', async () => {
  const { mapper, clock, gateway, fails, sent, link } = home()
  const found = await mapper()
  gateway.inject({ kind: 'silent', carriedOut: true, times: 1, on: 'pcp' })
  const stop = new AbortController()
  const outcome = fails(found.map(request(), { signal: stop.signal }))
  await clock.advance(100)
  expect(gateway.mappings).toHaveLength(1)
  stop.abort(new Error('enough'))
  // RFC 6886 §3.1: until then the request counts as outstanding.
  await clock.advance(149)
  expect(gateway.mappings).toHaveLength(1)
  await clock.advance(1)
  expect(await outcome).toMatchObject({ message: 'enough' })
  expect(gateway.mappings).toEqual([])
  expect(text(sent.at(-1)?.subarray(4, 8))).toBe('00000000')
  expect(link.openSockets).toBe(1)
})

test('pcp gives up undoing after 450 ms', async () => {
  const { mapper, clock, gateway } = home()
  const found = await mapper()
  gateway.inject({ kind: 'silent', on: 'pcp' })
  const stop = new AbortController()
  let ended = false
  found.map(request(), { signal: stop.signal }).catch(() => {
    ended = true
  })
  await clock.advance(100)
  stop.abort(new Error('enough'))
  await clock.advance(449)
  expect(ended).toBe(false)
  await clock.advance(1)
  expect(ended).toBe(true)
})

test('pcp sends nothing for a request that is aborted before its turn, and answers at once', async () => {
  const { mapper, clock, gateway, fails } = home()
  const found = await mapper()
  gateway.inject({ kind: 'silent', on: 'pcp' })
  found.map(request(), never).catch(() => undefined)
  await clock.advance(0)
  const stop = new AbortController()
  const outcome = fails(found.map(request(), { signal: stop.signal }))
  stop.abort(new Error('enough'))
  expect(await outcome).toMatchObject({ message: 'enough' })
  await expect(found.map(request(), { signal: stop.signal })).rejects.toThrow('enough')
  expect(gateway.counters.pcp.requests).toBe(2)
})

test('pcp does not delete the mapping after an aborted renewal', async () => {
  const { mapper, run, clock, gateway, fails } = home()
  const lease = await run((await mapper()).map(request(), never))
  gateway.inject({ kind: 'silent', on: 'pcp' })
  const stop = new AbortController()
  const outcome = fails(lease.renew({ signal: stop.signal }))
  await clock.advance(100)
  stop.abort(new Error('enough'))
  expect(await outcome).toMatchObject({ message: 'enough' })
  expect(gateway.mappings).toHaveLength(1)
})
