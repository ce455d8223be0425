import type { Family, Protocol } from '@postern/interface'

/** The protocols a gateway grants mappings through. */
export type GatewayProtocol = 'pcp' | 'nat-pmp' | 'upnp'

/** One rule of the gateway: a port mapping (IPv4) or a pinhole (IPv6). */
export interface Mapping {
  /** What UPnP calls the UniqueID of a pinhole. */
  readonly id: number
  readonly family: Family
  readonly protocol: Protocol
  /** The gateway's own for IPv4, the host's for IPv6. */
  readonly externalAddress: string
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
  /** Monotonic time of the gateway's clock, or `Infinity`. */
  readonly expiresAt: number
  /** The 12 bytes that PCP compares; null while PCP has not touched the mapping. */
  readonly nonce: Uint8Array | null
  /** The protocol that made it. Any other may change it: there is one table. */
  readonly via: GatewayProtocol
  readonly description: string
  /** Monotonic time of the last grant or renewal. */
  readonly grantedAt: number
  /** The port that the last grant was asked for from. */
  readonly clientPort: number
  /** The protocol of the last grant: a client may ask through another one before it has an answer through the first. */
  readonly lastVia: GatewayProtocol
}

/** The one table that the three protocols share. */
export interface MappingTable {
  /** In the order in which they were made. */
  list(): readonly Mapping[]
  findByInternal(family: Family, protocol: Protocol, address: string, port: number): Mapping | undefined
  /** IPv6 has no shared external address, so there the address belongs to the question. */
  findByExternal(family: Family, protocol: Protocol, port: number, address?: string): Mapping | undefined
  add(draft: Omit<Mapping, 'id'>): Mapping
  change(mapping: Mapping, change: Partial<Omit<Mapping, 'id'>>): Mapping
  remove(mapping: Mapping): void
  /** An external IPv4 port for this host: the suggested one if it is free, else its own, else the next free one. Only
   * one of `allowed`, where that is given. */
  freePort(
    protocol: Protocol,
    owner: string,
    suggested: number,
    internalPort: number,
    allowed?: PortRange
  ): number | undefined
}

export interface PortRange {
  readonly first: number
  readonly last: number
}

/** An empty table. Mappings are gone once `now()` has reached their time; no timer is needed for that. */
export function createMappingTable(now: () => number, range: PortRange): MappingTable {
  const byId = new Map<number, Mapping>()
  const byExternal = new Map<string, Mapping>()
  const byInternal = new Map<string, Mapping[]>()
  let nextId = 1
  let firstExpiry = Number.POSITIVE_INFINITY

  function expire(): void {
    const time = now()
    if (time < firstExpiry) return
    firstExpiry = Number.POSITIVE_INFINITY
    for (const mapping of byId.values()) {
      if (mapping.expiresAt <= time) remove(mapping)
      else firstExpiry = Math.min(firstExpiry, mapping.expiresAt)
    }
  }

  function insert(mapping: Mapping): Mapping {
    byId.set(mapping.id, mapping)
    byExternal.set(
      externalKey(mapping.family, mapping.protocol, mapping.externalPort, mapping.externalAddress),
      mapping
    )
    const internal = internalKey(mapping.family, mapping.protocol, mapping.internalAddress, mapping.internalPort)
    const others = byInternal.get(internal)
    if (others === undefined) byInternal.set(internal, [mapping])
    else others.push(mapping)
    firstExpiry = Math.min(firstExpiry, mapping.expiresAt)
    return mapping
  }

  function remove(mapping: Mapping): void {
    unlink(mapping)
    byId.delete(mapping.id)
  }

  function unlink(mapping: Mapping): void {
    const current = byId.get(mapping.id)
    if (current === undefined) return
    const { id, family, protocol, externalAddress, externalPort, internalAddress, internalPort } = current
    byExternal.delete(externalKey(family, protocol, externalPort, externalAddress))
    const internal = internalKey(family, protocol, internalAddress, internalPort)
    const others = (byInternal.get(internal) ?? []).filter((each) => each.id !== id)
    if (others.length === 0) byInternal.delete(internal)
    else byInternal.set(internal, others)
  }

  function isFree(protocol: Protocol, owner: string, port: number): boolean {
    if (byExternal.has(externalKey(4, protocol, port, ''))) return false
    // RFC 6886 §3.3: the same port of the other transport protocol stays reserved for the same client.
    const companion = byExternal.get(externalKey(4, protocol === 'tcp' ? 'udp' : 'tcp', port, ''))
    return companion === undefined || companion.internalAddress === owner
  }

  return {
    list() {
      expire()
      return [...byId.values()]
    },
    findByInternal(family, protocol, address, port) {
      expire()
      return byInternal.get(internalKey(family, protocol, address, port))?.[0]
    },
    findByExternal(family, protocol, port, address = '') {
      expire()
      return byExternal.get(externalKey(family, protocol, port, address))
    },
    add(draft) {
      const mapping = insert({ ...draft, id: nextId })
      nextId += 1
      return mapping
    },
    change(mapping, change) {
      unlink(mapping)
      return insert({ ...mapping, ...change })
    },
    remove,
    freePort(protocol, owner, suggested, internalPort, allowed) {
      expire()
      const wanted = suggested === 0 ? internalPort : suggested
      const isAllowed = allowed === undefined || (wanted >= allowed.first && wanted <= allowed.last)
      if (isAllowed && isFree(protocol, owner, wanted)) return wanted
      const { first, last } = allowed ?? range
      const size = last - first + 1
      for (let step = 1; step <= size; step += 1) {
        const port = first + ((((wanted - first + step) % size) + size) % size)
        if (isFree(protocol, owner, port)) return port
      }
      return undefined
    }
  }
}

const externalKey = (family: Family, protocol: Protocol, port: number, address: string): string =>
  family === 4 ? `${protocol} ${port}` : `${protocol} ${port} ${address}`

const internalKey = (family: Family, protocol: Protocol, address: string, port: number): string =>
  `${family} ${protocol} ${port} ${address}`
