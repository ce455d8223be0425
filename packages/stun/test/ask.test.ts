import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { askServer } from '../src/ask.js'
import { externalAddress } from './fake-nat.js'
import { addressBytes, fakeServer, message, type ServerPlan, success } from './fake-server.js'
import { alpha, alphaOther, bravo, call, outcome, plainNat, type Scene, scene } from './scene.js'

const open = { ...plainNat, filtering: 'endpoint-independent' } as const
const ask = (
  { clock, nat }: Scene,
  plan: ServerPlan
): { readonly server: ReturnType<typeof fakeServer>; readonly answer: ReturnType<typeof askServer> } => {
  const server = fakeServer(nat, alpha, plan)
  return { server, answer: askServer({ clock, tap: nat.lend(6000).tap, server: alpha }, call()) }
}

describe('askServer', () => {
  it('askServer sends one datagram and resolves to the address that the server sees', async () => {
    const here = scene()
    const { server, answer } = ask(here, {})
    expect(await outcome(here.clock, answer)).toEqual({
      value: { mapped: { address: externalAddress, port: 40_000 } },
      tookMs: 20
    })
    expect([server.requests(), server.violations]).toEqual([1, []])
    expect(here.clock.pending).toBe(0)
  })

  it('askServer sends seven times on the schedule of RFC 8489 and gives up after 39.5 s', async () => {
    const here = scene()
    const at: number[] = []
    here.nat.at(alpha, () => at.push(here.clock.monotonicMs() - 10))
    const answer = askServer({ clock: here.clock, tap: here.nat.lend(6000).tap, server: alpha }, call())
    expect(await outcome(here.clock, answer)).toMatchObject({ code: 'NO_REPLY', tookMs: 39_500 })
    expect(at).toEqual([0, 500, 1500, 3500, 7500, 15_500, 31_500])
    expect(here.clock.pending).toBe(0)
  })

  it('askServer resolves although the first three transmissions are lost', async () => {
    const here = scene()
    const { server, answer } = ask(here, { deafFor: 3 })
    expect(await outcome(here.clock, answer)).toMatchObject({ tookMs: 3520 })
    expect(server.requests()).toBe(4)
  })

  it("askServer rejects with the signal's reason and leaves no timer", async () => {
    const { clock, nat } = scene()
    const cut = new AbortController()
    const answer = askServer({ clock, tap: nat.lend(6000).tap, server: alpha }, cut)
    answer.catch(() => undefined)
    await clock.advance(700)
    const reason = new Error('enough')
    cut.abort(reason)
    await expect(answer).rejects.toBe(reason)
    await clock.advance(60_000)
    expect([nat.sent.length, clock.pending]).toEqual([2, 0])
  })

  it('askServer does not take datagrams from the program', async () => {
    const { clock, nat } = scene(open)
    fakeServer(nat, alpha, { deafFor: 1 })
    const { tap, heard } = nat.lend(6000)
    const text = new TextEncoder().encode('a move in the game')
    nat.at(bravo, (bytes, _from, reply) => reply(bytes, bravo))
    const answer = askServer({ clock, tap, server: alpha }, call())
    tap.send(text, bravo)
    expect(await outcome(clock, answer)).toMatchObject({ tookMs: 520 })
    expect(heard[0]).toEqual(text)
  })

  it('askServer rejects with UNREACHABLE if the socket cannot send', async () => {
    const { clock, nat } = scene()
    const send = (): never => {
      throw new Error('closed')
    }
    const answer = askServer({ clock, tap: { ...nat.lend(6000).tap, send }, server: alpha }, call())
    expect(await outcome(clock, answer)).toMatchObject({ code: 'UNREACHABLE' })
    expect(clock.pending).toBe(0)
  })
})

describe('a server', () => {
  const lies: readonly (readonly [string, ServerPlan, string])[] = [
    ['that answers from another address', { from: () => bravo }, 'NO_REPLY'],
    ['that answers from another port', { from: ({ address }) => ({ address, port: 9 }) }, 'NO_REPLY'],
    ['that answers another question', { spoil: (answer) => answer.with(12, (answer[12] ?? 0) ^ 1) }, 'NO_REPLY'],
    ['that sends the question back', { spoil: (_, request) => request }, 'NO_REPLY'],
    [
      'that tells no address',
      { spoil: (_, request) => message(0x101, request.subarray(8, 20), []) },
      'MALFORMED_REPLY'
    ],
    ['that tells its own address', { sees: () => ({ ...alpha, port: 1234 }) }, 'UNTRUSTED_REPLY'],
    ['that tells a private address', { sees: () => ({ address: '10.0.0.7', port: 1 }) }, 'UNTRUSTED_REPLY'],
    ['that tells a neighbour of ours', { sees: () => ({ address: '192.168.1.3', port: 1 }) }, 'UNTRUSTED_REPLY'],
    ['that tells loopback', { sees: () => ({ address: '127.0.0.1', port: 1 }) }, 'UNTRUSTED_REPLY'],
    ['that tells a group', { sees: () => ({ address: '224.0.0.1', port: 1 }) }, 'UNTRUSTED_REPLY'],
    ['that tells no host', { sees: () => ({ address: '0.0.0.0', port: 1 }) }, 'UNTRUSTED_REPLY'],
    ['that tells no port', { sees: ({ address }) => ({ address, port: 0 }) }, 'UNTRUSTED_REPLY'],
    ['that says 400', { error: 400 }, 'OBSERVER_REFUSED'],
    ['that says 401', { error: 401 }, 'OBSERVER_REFUSED'],
    ['that says 500', { error: 500 }, 'OBSERVER_REFUSED'],
    ['that says 420', { error: 420 }, 'UNSUPPORTED'],
    [
      'that answers with what must be understood and is not',
      { spoil: (_, request) => message(0x101, request.subarray(8, 20), [[0x7777, new Uint8Array(4)]]) },
      'MALFORMED_REPLY'
    ],
    [
      'that answers with an absurd size',
      { spoil: (_, request) => message(0x101, request.subarray(8, 20), [[0x9999, new Uint8Array(9000)]]) },
      'REPLY_TOO_LARGE'
    ],
    [
      'that tells an IPv6 address over IPv4',
      {
        spoil: (_, request) =>
          message(0x101, request.subarray(8, 20), [[0x20, Uint8Array.of(0, 2, 0, 1, ...new Uint8Array(16).fill(7))]])
      },
      'UNSUPPORTED'
    ]
  ]

  it.each(lies)('askServer rejects the answer of a server %s', async (_, plan, code) => {
    const here = scene(open)
    const { answer } = ask(here, plan)
    const end = await outcome(here.clock, answer)
    expect(end.code).toBe(code)
    expect(isNatError(end.error)).toBe(true)
    expect(here.clock.pending).toBe(0)
  })

  it('askServer accepts the answer of the server among forged ones', async () => {
    const here = scene(open)
    here.nat.at(alpha, (request, from, reply) => {
      for (let forged = 0; forged < 100; forged += 1) {
        reply(success(request, { address: '66.6.6.6', port: 6 }), bravo)
        // Never the right one, which one of 256 would be.
        reply(success(request.with(9, (request[9] ?? 0) ^ (1 + forged)), { address: '66.6.6.6', port: 6 }), alpha)
        reply(message(0x101, request.subarray(8, 20), [[0x20, Uint8Array.of(forged)]]), alpha)
      }
      reply(success(request, from), alpha)
    })
    const { tap } = here.nat.lend(6000)
    const end = await outcome(here.clock, askServer({ clock: here.clock, tap, server: alpha }, call()))
    expect(end.value?.mapped.address).toBe(externalAddress)
  })

  it('askServer resolves or rejects with a NatError for any bytes and leaves no timer', async () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc
        .uint8Array({ minLength: 8, maxLength: 8 })
        .map((bytes) => addressBytes({ address: '1.2.3.4', port: bytes[0] ?? 0 }))
    )
    const property = fc.asyncProperty(
      fc.constantFrom(0x101, 0x111, 1, 0x11),
      fc.array(fc.tuple(fc.constantFrom(1, 9, 0x0a, 0x20, 0x8028, 0x802c), body), { maxLength: 4 }),
      async (type, attributes) => {
        const here = scene(open)
        const { answer } = ask(here, {
          other: alphaOther,
          spoil: (_, request) => message(type, request.subarray(8, 20), attributes)
        })
        const end = await outcome(here.clock, answer)
        expect(end.error === undefined || isNatError(end.error)).toBe(true)
        expect(here.clock.pending).toBe(0)
      }
    )
    await fc.assert(property, { numRuns: 40 })
  })
})
