import { createPlaces, type PlaceLimits } from '@postern/net'

/** The options of {@link relayServer}. A missing limit does not apply. */
export interface RelayServerInit {
  /** How many reservations the relay grants in total, and to one IP address, subnet and network. A peer has one at most.
   * @default { total: 1024, network: 32, subnet: 16, ip: 4 } */
  readonly reservations?: PlaceLimits
  /** The ends of relayed connections: two for each connection in total; and the connections from, and separately to,
   * each peer, IP address, subnet and network.
   * @default { total: 2048, network: 1024, subnet: 128, ip: 32, peer: 16 } */
  readonly circuitEnds?: PlaceLimits & { readonly peer: number }
  /** How long a reservation lasts unless it is renewed, in ms.
   * @default 3_600_000 */
  readonly reservationTtlMs?: number
  /** How long one relayed connection may last, in ms.
   * @default 120_000 */
  readonly durationMs?: number
  /** The maximum number of bytes of one relayed connection, in both directions together.
   * @default 131_072 */
  readonly dataBytes?: number
}

/** Reads the options. Throws a TypeError for an invalid one. */
export function readOptions(options: RelayServerInit): Required<RelayServerInit> {
  const {
    reservations = { total: 1024, network: 32, subnet: 16, ip: 4 },
    circuitEnds = { total: 2048, network: 1024, subnet: 128, ip: 32, peer: 16 },
    reservationTtlMs = 3_600_000,
    durationMs = 120_000,
    dataBytes = 131_072
  } = options
  for (const [name, value] of Object.entries({ reservationTtlMs, durationMs, dataBytes })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new TypeError(`${name} is not a whole number of 1 or more: ${value}`)
  }
  // Throws a TypeError for an invalid limit.
  for (const limits of [reservations, circuitEnds]) createPlaces(limits)
  return { reservations, circuitEnds, reservationTtlMs, durationMs, dataBytes }
}
