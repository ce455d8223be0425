import { expect, test } from 'vitest'
import type { Fault } from '../src/index.js'
import { hex, home, never, text } from './helpers.js'

const request = hex('00 02 0000 1f90 1f90 00001c20')
const honest = hex('00 82 0000 00000000 1f90 1f90 00001c20')
const pcpMap = hex(
  `02 01 0000 00001c20 00000000000000000000ffffc0a8010a 0102030405060708090a0b0c 06 000000 1f90 1f90 ${'00'.repeat(16)}`
)

async function withFault(fault: Fault, bytes = request) {
  const { client, ...rest } = home()
  rest.gateway.inject(fault)
  const asked = await client('192.168.1.10')
  const reply = await asked.ask(bytes)
  return { ...rest, ...asked, reply }
}

test.each([
  [{ kind: 'bytes', bytes: 'empty' }, ''],
  [{ kind: 'bytes', bytes: 'one-byte' }, '02'],
  [{ kind: 'bytes', bytes: hex('c0ffee') }, 'c0ffee'],
  [{ kind: 'truncate', length: 7 }, '00820000000000'],
  [{ kind: 'wrong-field', field: 'internal-port' }, '0082000000000000e06f1f9000001c20'],
  [{ kind: 'wrong-field', field: 'protocol' }, '00810000000000001f901f9000001c20'],
  [{ kind: 'wrong-field', field: 'response-bit' }, '00020000000000001f901f9000001c20'],
  [{ kind: 'epoch', seconds: 7 }, '00820000000000071f901f9000001c20'],
  [{ kind: 'grant', externalPort: 4711 }, '00820000000000001f90126700001c20'],
  [{ kind: 'grant', lifetimeSeconds: 2 ** 32 - 1 }, '00820000000000001f901f90ffffffff'],
  [{ kind: 'result', code: 4 }, '00820004000000001f90000000000000'],
  [{ kind: 'reserved-external-address' }, '00820003000000001f90000000000000']
] satisfies [Fault, string][])('NAT-PMP answers follow the fault %o', async (fault, expected) => {
  expect(text((await withFault(fault)).reply)).toBe(expected)
})

test.each([
  [{ kind: 'wrong-field', field: 'nonce' }, 24, 'fefdfcfbfaf9f8f7f6f5f4f3'],
  [{ kind: 'result', code: 8, lifetimeSeconds: 5 }, 3, '0800000005'],
  [{ kind: 'downgrade' }, 0, '0000000100000000'],
  [{ kind: 'reserved-external-address' }, 3, '080000001e']
] satisfies [Fault, number, string][])('PCP answers follow the fault %o', async (fault, offset, expected) => {
  const { reply } = await withFault(fault, pcpMap)
  expect(text(reply?.subarray(offset, offset + expected.length / 2))).toBe(expected)
})

test('a silent gateway may or may not carry out a request', async () => {
  expect((await withFault({ kind: 'silent' })).gateway.mappings).toHaveLength(0)
  const { reply, gateway } = await withFault({ kind: 'silent', carriedOut: true })
  expect(reply).toBeUndefined()
  expect(gateway.mappings).toHaveLength(1)
  expect(gateway.counters['nat-pmp']).toMatchObject({ requests: 1, replies: 0, maps: 1 })
})

test('a gateway may grant without a mapping, or lose a mapping later', async () => {
  const { reply, gateway } = await withFault({ kind: 'lie' })
  expect([text(reply), gateway.mappings]).toEqual([text(honest), []])
  const forgetful = await withFault({ kind: 'forgetful', afterMs: 1000 })
  expect(text(forgetful.reply)).toBe(text(honest))
  expect(forgetful.gateway.mappings).toHaveLength(1)
  await forgetful.clock.advance(1000)
  expect(forgetful.gateway.mappings).toEqual([])
})

test('a late gateway records a violation of a client that does not wait', async () => {
  const { reply, replies, clock, gateway, ask } = await withFault({ kind: 'late', ms: 200 })
  expect(reply).toBeUndefined()
  await ask(request)
  expect(gateway.violations).toEqual([])
  await ask(hex('0000'))
  expect(gateway.violations).toEqual([
    'nat-pmp: another request from 192.168.1.10 while one is unanswered; RFC 6886 §3.1 requires one at a time'
  ])
  await clock.advance(200)
  expect(replies).toHaveLength(3)
})

test('a gateway may duplicate its answers', async () => {
  expect((await withFault({ kind: 'duplicate' })).replies).toHaveLength(2)
})

test('a gateway may handle one request at a time', async () => {
  const { reply, replies, clock, ask } = await withFault({ kind: 'one-at-a-time', busyMs: 50 })
  expect(reply).toBeUndefined()
  await ask(hex('0000'))
  await clock.advance(50)
  expect(replies.map(({ bytes }) => text(bytes))).toEqual([text(honest)])
})

test('a closed port is reported to connected sockets', async () => {
  const { network, gateway, clock } = home()
  const undo = gateway.inject({ kind: 'refuse', on: 'pcp' })
  const heard: string[] = []
  const socket = await network.host('192.168.1.10').openUdp(
    {
      family: 4,
      remote: { address: '192.168.1.1', port: 5351 },
      onMessage: () => heard.push('reply'),
      onError: ({ code }) => heard.push(code)
    },
    { signal: never }
  )
  socket.send(request)
  await clock.advance(0)
  undo()
  socket.send(request)
  await clock.advance(0)
  expect(heard).toEqual(['REFUSED', 'reply'])
})

test('an answer from another source does not reach connected sockets', async () => {
  const { replies } = await withFault({ kind: 'wrong-source', what: 'address' })
  expect(replies.map(({ from }) => from.address)).toEqual(['192.168.1.254'])
  const { network, gateway, clock } = home()
  gateway.inject({ kind: 'wrong-source', what: 'port' })
  let heard = 0
  const socket = await network.host('192.168.1.10').openUdp(
    {
      family: 4,
      remote: { address: '192.168.1.1', port: 5351 },
      onMessage: () => {
        heard += 1
      },
      onError: () => undefined
    },
    { signal: never }
  )
  socket.send(request)
  await clock.advance(0)
  expect(heard).toBe(0)
})

test('mangle replaces replies for the given number of strikes', async () => {
  const { gateway, client } = home()
  const seen: string[] = []
  gateway.inject({
    kind: 'mangle',
    after: 1,
    times: 2,
    mangle(reply, { service }) {
      seen.push(service)
      return [reply.slice(0, 2), reply.slice(2)]
    }
  })
  const { ask, replies } = await client('192.168.1.10')
  for (let round = 0; round < 4; round += 1) await ask(request)
  expect(seen).toEqual(['nat-pmp', 'nat-pmp'])
  expect(replies).toHaveLength(6)
  expect(gateway.faults).toEqual([])
})

test('a fault affects only its services until it is removed', async () => {
  const { gateway, client } = home()
  const undo = gateway.inject({ kind: 'silent', on: 'pcp' })
  const { ask } = await client('192.168.1.10')
  expect(await ask(pcpMap)).toBeUndefined()
  expect(await ask(hex('0000'))).toBeDefined()
  undo()
  undo()
  expect(await ask(pcpMap)).toBeDefined()
})
