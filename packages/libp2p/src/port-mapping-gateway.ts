import type { Traversal } from '@postern/core'
import { type Endpoint, type Family, type Gateway, orAborted, parseMultiaddr } from '@postern/interface'
import { outcomeOf, releaseOf } from './outcomes.js'
import type { PortMapping, PortMappingGateway, PortMappingOptions } from './port-mapping-types.js'

/** How long an external address is reused while nothing is mapped, in milliseconds. Asking again maps a port without
 * a listener. */
const addressMs = 900_000

/**
 * Creates the gateway for one address family of the router of the default route.
 *
 * @param leave - called when every mapping of the gateway is released
 */
export function createGateway(
  traversal: Traversal,
  { address, interface: link, localAddress }: Gateway,
  family: Family,
  leave: () => Promise<void>
): PortMappingGateway {
  const wants = new Map<string, { readonly mapping: Promise<PortMapping>; readonly unwanted: AbortController }>()
  let told: { readonly host: string; readonly atMs: number } | undefined

  function want(endpoint: Endpoint, { externalPort, ttl }: PortMappingOptions): Promise<PortMapping> {
    const key = keyOf(endpoint)
    const known = wants.get(key)
    if (known !== undefined) return known.mapping
    const unwanted = new AbortController()
    const mapping = outcomeOf(traversal, endpoint, unwanted.signal)
    wants.set(key, { mapping, unwanted })
    mapping.then(
      ({ externalHost }) => (told = { host: externalHost, atMs: performance.now() }),
      () => {
        wants.delete(key)
        unwanted.abort()
      }
    )
    traversal.addEndpoint(endpoint, {
      signal: unwanted.signal,
      ...(externalPort === undefined ? {} : { externalPort }),
      ...(ttl === undefined ? {} : { lifetimeMs: ttl })
    })
    return mapping
  }

  async function unwant(keys: readonly string[]): Promise<void> {
    await Promise.all(
      keys.map(async (key) => {
        const entry = wants.get(key)
        wants.delete(key)
        const mapping = await entry?.mapping.catch(() => undefined)
        if (entry === undefined || mapping === undefined) return
        const over = releaseOf(traversal, mapping)
        entry.unwanted.abort()
        await over
      })
    )
  }

  const endpointOf = (port: number, host: string, protocol = 'tcp'): Endpoint => ({
    protocol: protocol.toLowerCase() === 'udp' ? 'udp' : 'tcp',
    family,
    address: host,
    port
  })

  return {
    id: `${address}%${link}`,
    host: address,
    port: 0,
    family: `IPv${family}`,
    map: (port, host, options = {}) =>
      unlessAborted(want(endpointOf(port, host, options.protocol), options), options.signal),
    async *mapAll(port, options = {}) {
      yield await unlessAborted(want(endpointOf(port, localAddress, options.protocol), options), options.signal)
    },
    unmap: (port) => unwant([...wants.keys()].filter((key) => key.endsWith(` ${port}`))),
    async externalIp({ signal } = {}) {
      const live = traversal
        .report()
        .candidates.filter(
          ({ address: external, type }) => type === 'mapped' && parseMultiaddr(external)?.family === family
        )
      // Behind two routers in a row the outer one has the external address.
      const outer = live.find(({ through }) => through !== undefined) ?? live[0]
      const host = parseMultiaddr(outer?.address ?? '')?.address
      if (host !== undefined) return host
      if (told !== undefined && performance.now() - told.atMs < addressMs) return told.host
      // Not every protocol reports the address without a mapping, so map a port without a listener.
      const probe = endpointOf(49_152 + Math.floor(Math.random() * 16_384), localAddress, 'udp')
      const { externalHost } = await unlessAborted(want(probe, {}), signal)
      await unwant([keyOf(probe)])
      return externalHost
    },
    async stop() {
      await unwant([...wants.keys()])
      await leave()
    }
  }
}

const keyOf = ({ protocol, address, port }: Endpoint): string => `${protocol} ${address} ${port}`

const unlessAborted = <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> =>
  signal === undefined ? work : orAborted(work, { signal })
