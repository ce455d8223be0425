/** Options of a call. */
export interface Options {
  readonly signal?: AbortSignal
}

/** Options of a mapping. */
export interface PortMappingOptions extends Options {
  /** The protocol to map. @default TCP */
  readonly protocol?: 'tcp' | 'TCP' | 'udp' | 'UDP'
  /** The external port to ask for first.
   * @default the internal one */
  readonly externalPort?: number
  /** The lifetime to ask for, in milliseconds. The mapping is renewed until it is unmapped.
   * @default the policy's, 2 h */
  readonly ttl?: number
}

/** A mapping, in the form of `@achingbrain/nat-port-mapper`. */
export interface PortMapping {
  /** The external IP address. */
  externalHost: string
  /** The external port. */
  externalPort: number
  /** The internal IP address. */
  internalHost: string
  /** The internal port. */
  internalPort: number
  /** The mapped protocol. */
  protocol: 'TCP' | 'UDP'
}

/** A router, in the form of `@achingbrain/nat-port-mapper`. */
export interface PortMappingGateway {
  /** The address and the interface, as `<address>%<interface>`. */
  id: string
  /** The IP address of the router. */
  host: string
  /** Always 0, since several protocols with different ports are used. */
  port: number
  /** The address family of the mappings. */
  family: 'IPv4' | 'IPv6'
  /**
   * Resolves when the port is mapped; the mapping is then renewed. Rejects with an Error with every strategy's reason,
   * or with the signal's reason.
   */
  map(internalPort: number, internalHost: string, options?: PortMappingOptions): Promise<PortMapping>
  /** Maps the port at the address that this host uses towards the router, and yields the mapping. */
  mapAll(internalPort: number, options?: PortMappingOptions): AsyncGenerator<PortMapping, void, unknown>
  /** Resolves when the router has deleted every mapping to the port. */
  unmap(internalPort: number, options?: Options): Promise<void>
  /**
   * Resolves with the external address of an existing mapping, or of a temporary mapping that is created to find it.
   */
  externalIp(options?: Options): Promise<string>
  /** Releases every mapping of this gateway. */
  stop(options?: Options): Promise<void>
}
