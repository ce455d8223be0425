import { describe, expect, it } from 'vitest'
import { type RelayServerInit, relayServer } from '../../src/server/index.js'
import { readOptions } from '../../src/server/options.js'

describe('the options of relayServer', () => {
  it.each<[string, RelayServerInit]>([
    ['reservations without a place', { reservations: { total: 0 } }],
    ['a fraction of a reservation', { reservations: { total: 8, ip: 1.5 } }],
    ['no end of a relayed connection', { circuitEnds: { total: 0, peer: 1 } }],
    ['a peer without a relayed connection', { circuitEnds: { total: 8, peer: 0 } }],
    ['a reservation without a duration', { reservationTtlMs: 0 }],
    ['a duration that is not a number', { durationMs: Number.NaN }],
    ['a fraction of a byte', { dataBytes: 0.5 }]
  ])('relayServer throws a TypeError for %s, before there is a node', (_, options) => {
    expect(() => relayServer(options)).toThrow(TypeError)
  })

  it('relayServer without options has the limits that `postern relay` has by default', () => {
    expect(readOptions({})).toEqual({
      reservations: { total: 1024, network: 32, subnet: 16, ip: 4 },
      circuitEnds: { total: 2048, network: 1024, subnet: 128, ip: 32, peer: 16 },
      reservationTtlMs: 3_600_000,
      durationMs: 120_000,
      dataBytes: 131_072
    })
  })
})
