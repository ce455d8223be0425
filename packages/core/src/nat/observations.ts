import type { Clock, ObservedNotice } from '@postern/interface'
import { canonicalAddress, type Family, familyOf, isGlobal, type Protocol, parseMultiaddr } from '@postern/interface'
import type { NatObservation } from './nat-behaviour.js'

/** What one remote party has said of the external address of this host. */
export interface Sighting {
  /** The id of the party, and its network. */
  readonly party: string
  readonly network: string
  /** The strategy that the party belongs to. */
  readonly strategy: string
  readonly ip: string
  readonly family: Family
  /** The external port of a listener or socket of this host, if the party saw one. */
  readonly port: SeenPort | undefined
}

/** An external port that a party saw. */
export interface SeenPort {
  readonly protocol: Protocol
  readonly external: number
  /** What follows the port in the address, `/ws` for example. */
  readonly suffix: string
  /** The local address and port of the very socket, if it is known. */
  readonly socket: { readonly address: string; readonly port: number } | undefined
}

/** What remote parties have said of the external addresses of this host in the present network. */
export interface Observations {
  add(strategy: string, notice: ObservedNotice): void
  /** Returns everything that parties have said, and what observers saw. */
  all(natObservations: readonly NatObservation[]): readonly Sighting[]
  /** Forgets what was said of addresses of these families. */
  clear(families: readonly Family[]): void
}

/** The maximum number of sightings that are remembered. A party may have said two things. */
const maxTold = 128
/** How long the port that a party named first stays, in ms: each port that it names costs a probe. */
const portHoldMs = 600_000

type Told = Sighting & { readonly portSinceMs: number }

export function createObservations(clock: Clock): Observations {
  /** By party, family and kind of port: a party may see a source port and have dialled a listener. */
  const told = new Map<string, Told>()

  /** Forgets a sighting of the network that has the most: one network cannot displace what others said. Of those it is
   * the last one before `added`: new peers of the network cannot have one port after the other tried. */
  function makeRoom(added: string): void {
    const counts = new Map<string, number>()
    for (const { network } of told.values()) counts.set(network, (counts.get(network) ?? 0) + 1)
    const most = Math.max(...counts.values())
    const busiest = [...told].filter(([key, { network }]) => key !== added && counts.get(network) === most)
    const [key] = (most > 1 ? busiest.at(-1) : busiest[0]) ?? []
    if (key !== undefined) told.delete(key)
  }

  return {
    add(strategy, { party, address, isListener }) {
      const seen = sightingOf(strategy, party, address)
      if (seen === undefined) return
      const key = `${party.id} ${seen.family} ${isListener}`
      const nowMs = clock.monotonicMs()
      const before = told.get(key)
      const isHeld = before !== undefined && nowMs - before.portSinceMs < portHoldMs
      const held = isHeld
        ? { port: before.port, portSinceMs: before.portSinceMs }
        : { port: isListener ? seen.port : undefined, portSinceMs: nowMs }
      told.delete(key)
      told.set(key, { ...seen, ...held })
      if (told.size > maxTold) makeRoom(key)
    },
    all: (natObservations) => [...told.values(), ...natObservations.flatMap(sightingBy)],
    clear(families) {
      for (const [key, { family }] of told) if (families.includes(family)) told.delete(key)
    }
  }
}

function sightingBy({ party, strategy, endpoint, observation }: NatObservation): readonly Sighting[] {
  const seen = sightingOf(strategy, party, observation.address)
  if (seen?.port === undefined) return []
  const { address, port } = endpoint
  return [{ ...seen, port: { ...seen.port, socket: { address, port } } }]
}

/** Returns what an address says; undefined for one that no host on the internet could reach. */
function sightingOf(strategy: string, { id, network }: ObservedNotice['party'], address: string): Sighting | undefined {
  const parsed = parseMultiaddr(address)
  const family = familyOf(parsed?.address ?? '')
  if (parsed === undefined || family === undefined || !isGlobal(parsed.address)) return undefined
  const port = { protocol: parsed.protocol, external: parsed.port, suffix: parsed.rest, socket: undefined }
  return { party: id, network, strategy, ip: canonicalAddress(parsed.address) ?? parsed.address, family, port }
}
