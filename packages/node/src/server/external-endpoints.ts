import type { Report } from '@postern/core'
import { type Protocol, parseMultiaddr } from '@postern/interface'
import type { ExposableServer } from './endpoints.js'

/** An external address of a server. */
export interface ExternalEndpoint {
  /** The transport protocol. */
  readonly protocol: Protocol
  /** An IP address, without brackets. */
  readonly host: string
  /** The external port. */
  readonly port: number
  /** For a server of `node:http` or `node:https`: `http://203.0.113.7:8080`, with IPv6 addresses in brackets. */
  readonly url?: string
  /** Only of a relayed address: the other host that lends it, `vps.example.org:22` for example. */
  readonly through?: string
}

/** Returns the external addresses that are consistent or verified. */
export function announceable({ externalAddresses, candidates }: Report): readonly string[] {
  const sound = candidates.filter(({ state }) => state === 'consistent' || state === 'verified')
  return externalAddresses.filter((address) => sound.some((candidate) => candidate.address === address))
}

/** Returns the addresses to announce as host and port, in the same order. */
export function externalEndpoints(report: Report, server: ExposableServer): readonly ExternalEndpoint[] {
  const parties = new Map(report.candidates.map(({ address, relay }) => [address, relay?.party]))
  const scheme = schemeOf(server)
  return announceable(report).flatMap((text) => {
    const parsed = parseMultiaddr(text)
    if (parsed === undefined) return []
    const { protocol, address: host, port, family } = parsed
    const authority = `${family === 6 ? `[${host}]` : host}:${port}`
    const through = parties.get(text)
    return [
      {
        protocol,
        host,
        port,
        ...(scheme === undefined ? {} : { url: `${scheme}://${authority}` }),
        ...(through === undefined ? {} : { through })
      }
    ]
  })
}

/** Returns how clients speak to an HTTP server; undefined for another one. Told by what the server has, because to load `node:https`
 * takes longer than everything else here. */
function schemeOf(server: ExposableServer): 'http' | 'https' | undefined {
  if (!('requestTimeout' in server)) return undefined
  return 'setSecureContext' in server ? 'https' : 'http'
}
