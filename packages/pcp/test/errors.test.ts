import { expect, test } from 'vitest'
import { hex, home, never, request, request6 } from './helpers.js'

const long = 30 * 60_000
const short = 30_000

test.each([
  [1, 'UNSUPPORTED_VERSION', long],
  [2, 'NOT_AUTHORIZED', long],
  [3, 'MALFORMED_REQUEST', long],
  [4, 'UNSUPPORTED', long],
  [5, 'UNSUPPORTED', long],
  [6, 'MALFORMED_REQUEST', long],
  [7, 'NETWORK_FAILURE', short],
  [8, 'OUT_OF_RESOURCES', short],
  [9, 'UNSUPPORTED', long],
  [10, 'QUOTA_EXCEEDED', short],
  [11, 'CONFLICT', short],
  [12, 'ADDRESS_MISMATCH', long],
  [13, 'OUT_OF_RESOURCES', long],
  [200, 'GATEWAY_FAULT', short]
])('pcp converts result %i to %s (RFC 6887 §7.4)', async (code, expected, retryAfterMs) => {
  const { mapper, gateway, fails } = home()
  const found = await mapper()
  // miniupnpd sends a lifetime of 0 with every long error.
  gateway.inject({ kind: 'result', code, lifetimeSeconds: 0, on: 'pcp' })
  expect(await fails(found.map(request(), never))).toMatchObject({ code: expected, retryAfterMs })
  // After some refusals the strategy requests another port or a shorter lifetime.
  const requests = [2, 8, 11, 13, 200].includes(code) ? 4 : 2
  expect(gateway.counters.pcp.requests).toBe(requests)
})

test.each([2, 8, 11, 200])('pcp requests any port after the suggested one was refused with %i', async (code) => {
  const { mapper, gateway, run } = home()
  const found = await mapper()
  gateway.inject({ kind: 'refuses', on: 'pcp', code, port: 9000 })
  const lease = await run(found.map(request(), never))
  expect(lease.lifetimeMs).toBe(7_200_000)
  await run(lease.release(never))
  expect(gateway.mappings).toEqual([])
})

test.each([2, 8, 11, 200])(
  'pcp requests an hour after a longer lifetime was refused with %i, and renews for an hour',
  async (code) => {
    const { mapper, gateway, run } = home()
    const found = await mapper()
    gateway.inject({ kind: 'refuses', on: 'pcp', code, aboveSeconds: 3600 })
    const lease = await run(found.map(request(), never))
    expect(lease.lifetimeMs).toBe(3_600_000)
    expect((await run(lease.renew(never))).lifetimeMs).toBe(3_600_000)
  }
)

test('pcp rejects an IPv6 external address for an IPv4 port, and reads an IPv4 address without the IPv4-mapped prefix', async () => {
  const { mapper, gateway, run } = home()
  const found = await mapper()
  const naming =
    (text: string) =>
    (reply: Uint8Array, asked: { readonly request: Uint8Array }): readonly Uint8Array[] => {
      if (asked.request[1] === 1) reply.set(hex(text), 44)
      return [reply]
    }
  const undo = gateway.inject({ kind: 'mangle', on: 'pcp', mangle: naming('2001 0470 0000 0000 0000 0000 0000 0001') })
  const lease = await run(found.map(request(), never))
  expect(lease).toMatchObject({ addresses: ['/ip4/0.0.0.0/tcp/9000'], caveat: { code: 'EXTERNAL_ADDRESS_UNKNOWN' } })
  undo()
  gateway.inject({ kind: 'mangle', on: 'pcp', mangle: naming('0000 0000 0000 0000 0000 0000 0b00 0002') })
  const next = await run(lease.renew(never))
  expect(next.addresses).toEqual(['/ip4/11.0.0.2/tcp/9000'])
  expect(next.caveat).toBeUndefined()
})

test.each([
  [1, 1000],
  [600, 600_000],
  [2 ** 32 - 1, 86_400_000]
])('pcp honours an error lifetime of %i s, up to a day', async (lifetimeSeconds, retryAfterMs) => {
  const { mapper, gateway, fails } = home()
  const found = await mapper()
  gateway.inject({ kind: 'result', code: 2, lifetimeSeconds, on: 'pcp' })
  expect(await fails(found.map(request(), never))).toMatchObject({ code: 'NOT_AUTHORIZED', retryAfterMs })
})

test.each([
  ['100.64.0.2', 'CARRIER_NAT'],
  ['10.0.0.2', 'DOUBLE_NAT'],
  ['192.168.0.2', 'DOUBLE_NAT'],
  ['198.51.100.7', 'EXTERNAL_ADDRESS_RESERVED'],
  ['198.18.0.1', 'EXTERNAL_ADDRESS_RESERVED'],
  ['169.254.0.1', 'EXTERNAL_ADDRESS_RESERVED'],
  ['0.0.0.0', 'OUT_OF_RESOURCES'],
  ['1.2.3.4', 'OUT_OF_RESOURCES']
])('pcp maps the external address %s in a refusal to %s', async (externalAddress, code) => {
  const { mapper, gateway, fails } = home({ gateway: { externalAddress } })
  const found = await mapper()
  gateway.inject({ kind: 'reserved-external-address', on: 'pcp' })
  expect(await fails(found.map(request(), never))).toMatchObject({ code, retryAfterMs: 30_000 })
})

test('pcp does not treat its own suggestion in a refusal as the address of the router', async () => {
  const { mapper, gateway, fails, run } = home({ gateway: { externalAddress: '10.0.0.2' } })
  const lease = await run((await mapper()).map(request(), never))
  expect(lease.addresses).toEqual(['/ip4/10.0.0.2/tcp/9000'])
  gateway.inject({ kind: 'result', code: 8, on: 'pcp' })
  expect(await fails(lease.renew(never))).toMatchObject({ code: 'OUT_OF_RESOURCES' })
})

test('pcp requests the internal port if a router does not choose one', async () => {
  const { mapper, gateway, run, fails } = home()
  const found = await mapper()
  gateway.inject({ kind: 'no-any-port', on: 'pcp' })
  const lease = await run(found.map(request({ suggestedExternalPort: 0 }), never))
  expect(lease.addresses).toEqual(['/ip4/1.2.3.4/tcp/8080'])
  gateway.inject({ kind: 'result', code: 11, on: 'pcp' })
  const other = request({ suggestedExternalPort: 0, endpoint: { ...request().endpoint, port: 8081 } })
  expect(await fails(found.map(other, never))).toMatchObject({ code: 'CONFLICT' })
  expect(gateway.counters.pcp.requests).toBe(6)
})

test.each([
  ['no port', { externalPort: 0 }],
  ['no time', { lifetimeSeconds: 0 }],
  ['no address', { externalAddress: '0.0.0.0' }],
  ['the address of the host itself', { externalAddress: '127.0.0.1' }],
  ['a group of hosts', { externalAddress: '239.1.1.1' }]
])('pcp rejects a grant of %s and deletes it', async (_, grant) => {
  const { mapper, gateway, fails } = home()
  const found = await mapper()
  gateway.inject({ kind: 'grant', on: 'pcp', times: 1, ...grant })
  expect(await fails(found.map(request(), never))).toMatchObject({ code: 'GRANT_INVALID' })
  expect(gateway.mappings).toEqual([])
})

test.each(['nonce', 'internal-port', 'protocol', 'opcode', 'response-bit', 'version'] as const)(
  'waits on after an answer with a wrong %s',
  async (field) => {
    const { mapper, gateway, run } = home()
    const found = await mapper()
    gateway.inject({ kind: 'wrong-field', field, times: 1, on: 'pcp' })
    expect(await run(found.map(request(), never), 250)).toMatchObject({ addresses: ['/ip4/1.2.3.4/tcp/9000'] })
  }
)

test('pcp ignores an answer that is cut off anywhere', async () => {
  for (let length = 0; length < 60; length += 1) {
    const { mapper, gateway, run } = home()
    const found = await mapper()
    gateway.inject({ kind: 'truncate', length, times: 1, on: 'pcp' })
    expect(await run(found.map(request(), never), 250)).toMatchObject({ lifetimeMs: 7_200_000 })
  }
})

test('pcp deletes a mapping without a usable answer', async () => {
  const { mapper, gateway, fails } = home()
  const found = await mapper()
  gateway.inject({ kind: 'silent', carriedOut: true, times: 9, on: 'pcp' })
  expect(await fails(found.map(request(), never), 130_000)).toMatchObject({ code: 'NO_REPLY' })
  expect(gateway.mappings).toEqual([])
})

test('pcp ignores duplicate answers', async () => {
  const { mapper, gateway, run } = home()
  gateway.inject({ kind: 'duplicate', copies: 3, on: 'pcp' })
  const lease = await run((await mapper()).map(request(), never))
  await run(lease.release(never))
  expect(gateway.counters.pcp).toMatchObject({ maps: 1, deletes: 1 })
})

test('pcp treats NO_RESOURCES for a deletion as success, as miniupnpd means it', async () => {
  const { mapper, gateway, run } = home()
  const lease = await run((await mapper()).map(request(), never))
  gateway.inject({ kind: 'result', code: 8, on: 'pcp' })
  await run(lease.release(never))
  await run(lease.release(never))
  expect(gateway.counters.pcp.requests).toBe(3)
})

test('pcp rejects with other refusals to delete, and retries at the next release', async () => {
  const { mapper, gateway, run, fails } = home()
  const lease = await run((await mapper()).map(request(), never))
  gateway.inject({ kind: 'result', code: 12, on: 'pcp', times: 1 })
  expect(await fails(lease.release(never))).toMatchObject({ code: 'ADDRESS_MISMATCH' })
  await run(lease.release(never))
  expect(gateway.mappings).toEqual([])
})

test('pcp shortens a pinhole that the router renews but does not delete, as miniupnpd 2.3.1', async () => {
  const { mapper, gateway, run, fails, clock } = home({ at: 'fe80::1%eth0' })
  const lease = await run((await mapper()).map(request6(), never))
  await clock.advance(5000)
  gateway.inject({ kind: 'result', code: 2, on: 'pcp', times: 1 })
  expect(await fails(lease.release(never))).toMatchObject({
    code: 'NOT_AUTHORIZED',
    message: 'the router does not delete the mapping; it expires in 120 s'
  })
  expect(gateway.mappings).toMatchObject([{ expiresAt: 125_000 }])
})

test('pcp does not map again if another owner holds the port and the deletion is refused', async () => {
  const { mapper, gateway, run, fails, clock } = home()
  const lease = await run((await mapper()).map(request(), never))
  await clock.advance(5000)
  gateway.forget()
  gateway.inject({ kind: 'result', code: 2, on: 'pcp', times: 1 })
  expect(await fails(lease.release(never))).toMatchObject({ code: 'NOT_AUTHORIZED' })
  expect(gateway.mappings).toEqual([])
})

test('pcp rejects with the refusal if the mapping belongs to another owner', async () => {
  const { mapper, gateway, run, fails } = home()
  const lease = await run((await mapper()).map(request(), never))
  gateway.inject({ kind: 'result', code: 2, on: 'pcp' })
  expect(await fails(lease.release(never))).toMatchObject({
    code: 'NOT_AUTHORIZED',
    message: 'the router does not allow this mapping to this host'
  })
})
