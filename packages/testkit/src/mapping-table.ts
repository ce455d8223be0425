import type { Family, Protocol } from '@postern/interface'

/** The protocols through which a gateway grants mappings. */
export type GatewayProtocol = 'pcp' | 'nat-pmp' | 'upnp'

/** One rule of the gateway: a port mapping (IPv4) or a pinhole (IPv6). */
export interface Mapping {
  /** The identifier; UPnP calls it the UniqueID of a pinhole. */
  readonly id: number
  /** The address family. */
  readonly family: Family
  /** The transport protocol. */
  readonly protocol: Protocol
  /** The address of the gateway for IPv4, of the host for IPv6. */
  readonly externalAddress: string
  /** The external port. */
  readonly externalPort: number
  /** The address of the host. */
  readonly internalAddress: string
  /** The port of the host. */
  readonly internalPort: number
  /** The end of the mapping on the gateway's monotonic clock, or `Infinity`. */
  readonly expiresAt: number
  /** The 12-byte nonce of PCP; null until PCP has changed the mapping. */
  readonly nonce: Uint8Array | null
  /** The protocol that created the mapping. Any protocol may change it, since there is one table. */
  readonly via: GatewayProtocol
  /** The description from UPnP; empty for other protocols. */
  readonly description: string
  /** The monotonic time of the last grant or renewal. */
  readonly grantedAt: number
  /** The source port of the last request. */
  readonly clientPort: number
  /**
   * The protocol of the last grant. A client may send a request through another protocol while it waits for the first.
   */
  readonly lastVia: GatewayProtocol
}

/** The one table that the three protocols share. */
export interface MappingTable {
  /** Returns the mappings in the order of their creation. */
  list(): readonly Mapping[]
  findByInternal(family: Family, protocol: Protocol, address: string, port: number): Mapping | undefined
  /** Finds the mapping of an external port. IPv6 also needs the address, since there is no shared external one. */
  findByExternal(family: Family, protocol: Protocol, port: number, address?: string): Mapping | undefined
  add(draft: Omit<Mapping, 'id'>): Mapping
  change(mapping: Mapping, change: Partial<Omit<Mapping, 'id'>>): Mapping
  remove(mapping: Mapping): void
  /**
   * Returns an external IPv4 port for this host: the suggested port (or the internal one, if the suggestion is 0) if it
   * is free, otherwise the next free port. Uses only ports of `allowed` if it is given.
   */
  freePort(
    protocol: Protocol,
    owner: string,
    suggested: number,
    internalPort: number,
    allowed?: PortRange
  ): number | undefined
}

/** A range of ports, including both ends. */
export interface PortRange {
  /** The first port. */
  readonly first: number
  /** The last port. */
  readonly last: number
}

/** Creates an empty table. Mappings expire by `now()`, without a timer. */
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
