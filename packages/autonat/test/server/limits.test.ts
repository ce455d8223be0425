import type { RemoteParty } from '@postern/net'
import { virtualClock } from '@postern/testkit'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Admitted, createLimits, type LimitRefusal } from '../../src/server/limits.js'
import { readServerInit } from '../../src/server/options.js'

const party = (address: string, peer: string = address): RemoteParty => ({ address, peer })

function scene(init: object = {}) {
  const clock = virtualClock()
  const limits = createLimits(readServerInit({ clock, ...init }))
  const admit = (from: RemoteParty, giveUp = (): void => undefined) => limits.admit(from, giveUp)
  /** Admits a request, takes a dial for it, and leaves. */
  const ask = (from: RemoteParty): LimitRefusal | undefined => {
    const admitted = admit(from)
    if (typeof admitted === 'string') return admitted
    const refusal = admitted.findRefusal() ?? admitted.takeDial()
    admitted.leave()
    return refusal
  }
  return { clock, admit, ask }
}

const isAdmitted = (decision: Admitted | LimitRefusal): decision is Admitted => typeof decision === 'object'

describe('the budget per minute', () => {
  it('five peers of one address that ask once a second do not use up the budget', async () => {
    const { clock, ask } = scene()
    for (let second = 0; second < 60; second += 1) {
      ask(party('203.0.113.7', `sybil${second % 5}`))
      await clock.advance(1000)
      if (second % 10 === 9) expect(ask(party('198.51.100.9', 'honest'))).toBe(undefined)
    }
  })

  it('a newcomer is admitted however much 40 addresses of one or many subnets ask', () => {
    for (const attacker of [(n: number) => `13.0.0.${n}`, (n: number) => `13.${n}.0.1`]) {
      const { ask } = scene()
      for (let round = 0; round < 20; round += 1) {
        for (let host = 0; host < 40; host += 1) ask(party(attacker(host), `peer${host} ${round}`))
      }
      expect(ask(party('14.0.0.1'))).toBe(undefined)
    }
  })

  it('a newcomer is admitted however much 40 IPv6 networks ask', () => {
    const { ask } = scene()
    for (let round = 0; round < 20; round += 1) {
      for (let site = 0; site < 40; site += 1) ask(party(`2a00:${site}:0:${round}::1`, `peer${site} ${round}`))
    }
    expect(ask(party('2a01::1'))).toBe(undefined)
  })

  it('one network gets at most half of the budget unless requestsPerNetwork is set', () => {
    for (const [bound, expected] of [
      [undefined, 30],
      [7, 7]
    ]) {
      const { ask } = scene(bound === undefined ? {} : { requestsPerNetwork: bound })
      const asked = Array.from({ length: 200 }, (_, n) => ask(party(`2a00:1:${n.toString(16)}::1`)))
      expect(asked.filter((refusal) => refusal === undefined)).toHaveLength(expected ?? 0)
    }
  })

  it('the budget counts by peer, by address and by subnet', () => {
    const { ask } = scene({ requestsPerPeer: 2, requestsPerIp: 3, requestsPerSubnet: 6 })
    const at = (address: string, peer: string) => ask(party(address, peer))
    expect([at('11.0.0.1', 'a'), at('11.0.0.1', 'a'), at('11.0.0.1', 'a')]).toEqual([
      undefined,
      undefined,
      'minute-peer'
    ])
    expect([at('11.0.0.1', 'b'), at('::ffff:11.0.0.1', 'c')]).toEqual([undefined, 'minute-ip'])
    expect([at('11.0.0.2', 'd'), at('11.0.0.3', 'e'), at('11.0.0.4', 'f'), at('11.0.0.5', 'g')]).toEqual([
      undefined,
      undefined,
      undefined,
      'minute-subnet'
    ])
    expect(at('11.0.1.1', 'h')).toBe(undefined)
  })
})

describe('concurrent requests', () => {
  it('a silent request is dropped for a less busy prefix, but never for its own', () => {
    const { admit } = scene()
    const givenUp: number[] = []
    for (let index = 0; index < 64; index += 1) {
      expect(isAdmitted(admit(party(`13.${index}.0.1`), () => givenUp.push(index)))).toBe(true)
    }
    expect(isAdmitted(admit(party('13.0.0.1', 'one more')))).toBe(false)
    expect(givenUp).toEqual([])
    expect(isAdmitted(admit(party('14.0.0.1', 'honest')))).toBe(true)
    expect(givenUp).toEqual([0])
  })

  it('a request is not dropped while an address is being dialled for it', () => {
    const { admit } = scene({ concurrency: 64, requestsPerMinute: 1000 })
    const givenUp: number[] = []
    for (let index = 0; index < 64; index += 1) {
      const admitted = admit(party(`13.${index}.0.1`), () => givenUp.push(index))
      if (isAdmitted(admitted)) expect(admitted.takeDial()).toBe(undefined)
    }
    expect(admit(party('14.0.0.1'))).toBe('total')
    expect(givenUp).toEqual([])
  })

  it('a peer has at most two requests, and an address leaves half of the dials to others', () => {
    const { admit } = scene({ concurrency: 8 })
    const dial = (from: RemoteParty): LimitRefusal | undefined => {
      const admitted = admit(from)
      return isAdmitted(admitted) ? admitted.takeDial() : admitted
    }
    expect([1, 2, 3].map(() => dial(party('11.0.0.1', 'a')))).toEqual([undefined, undefined, 'peer'])
    for (let index = 0; index < 20; index += 1) dial(party('11.0.0.1', `peer${index}`))
    expect(dial(party('12.0.0.1'))).toBe(undefined)
  })

  it('all places are free again when all requests have left', () => {
    const host = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(20))
    fc.assert(
      fc.property(fc.array(fc.tuple(host, fc.boolean()), { maxLength: 200 }), (asked) => {
        const { admit } = scene({ requestsPerMinute: 100_000, requestsPerIp: 100_000, requestsPerSubnet: 100_000 })
        const all: Admitted[] = []
        for (const [[a, b, peer], dials] of asked) {
          const admitted = admit(party(`11.0.${a}.${b}`, `peer${peer}`))
          if (!isAdmitted(admitted)) continue
          all.push(admitted)
          if (dials) admitted.takeDial()
        }
        for (const each of all) each.leave()
        for (const each of all) each.leave()
        for (let index = 0; index < 16; index += 1) {
          const admitted = admit(party(`12.${index}.0.1`))
          expect(isAdmitted(admitted) && admitted.takeDial()).toBe(undefined)
        }
      })
    )
  })
})
