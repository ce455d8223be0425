import { debuglog } from 'node:util'
import { type CheckExternalAddress, type EndpointOwners, type Store, systemHost } from '@postern/core'
import type { CallOptions, Host, Network, Strategy } from '@postern/interface'
import { natPmp } from '@postern/nat-pmp'
import { checkFirstHop } from '@postern/net'
import { endpointOwners, fileStore } from '@postern/node'
import { pcp } from '@postern/pcp'
import { upnp } from '@postern/upnp'

/** The options of {@link NatAPI}. The first seven are those of the originals. Unknown names are ignored, as they are
 * there. */
export interface NatAPIOptions {
  /** The lifetime of a mapping, in seconds, as a number or in digits. Less than 1200 counts as 1200.
   * @default 7200 */
  readonly ttl?: number | string | undefined
  /** The description of the mappings in the list of a UPnP router. All mappings of a client have the same one.
   * Characters outside ASCII become spaces, and what follows the first 30 characters is left out.
   * @default that of the first `map()` that has one, otherwise `'NatAPI'` */
  readonly description?: string | null | undefined
  /** Accepted and ignored, as it is by the originals: the router of the default route is asked.
   * @default null */
  readonly gateway?: string | null | undefined
  /** Whether mappings are renewed until `unmap()` or `destroy()`. With `false` a mapping ends `ttl` seconds after
   * `map()`.
   * @default true */
  readonly autoUpdate?: boolean | undefined
  /** Whether to use PCP and NAT-PMP.
   * @default true */
  readonly enablePMP?: boolean | null | undefined
  /** Whether to use UPnP. `'permanent'` is the same as `true`.
   * @default true */
  readonly enableUPNP?: boolean | 'permanent' | null | undefined
  /** Accepted, and always on: a UPnP router that grants only permanent mappings is asked for one, which `destroy()` or
   * the next run deletes.
   * @default false */
  readonly upnpPermanentFallback?: boolean | undefined
  /** The strategies in rank order, in place of those that `enablePMP` and `enableUPNP` choose.
   * @default PCP, NAT-PMP, UPnP */
  readonly strategies?: readonly Strategy[]
  /** The store for mappings across runs, so that a run after a crash reuses its own mapping.
   * @default a file of this program in `$XDG_STATE_HOME/postern` */
  readonly store?: Store
  /** The registry of programs on this host that may map the same port: they share one mapping, and the last one deletes
   * it.
   * @default all programs of this user, through files in `$XDG_STATE_HOME/postern/endpoints` */
  readonly owners?: EndpointOwners
  /** Finds the gateways and addresses of this host.
   * @default reads its routes and interfaces */
  readonly findNetwork?: (call: CallOptions) => Promise<Network>
  /** Checks an external IPv4 address from this side of the router.
   * @default sends datagrams that end at the first hop (`checkFirstHop` of `@postern/net`) */
  readonly checkExternalAddress?: CheckExternalAddress
  /** The clock, the source of randomness and the log.
   * @default those of the system; with `NODE_DEBUG=nat-api` the log is printed to standard error */
  readonly host?: Host
}

/** The options of a client with their defaults. */
export interface Settings {
  readonly ttl: number
  readonly description: string
  readonly isDescribed: boolean
  readonly gateway: string | null
  readonly autoUpdate: boolean
  readonly enablePMP: boolean
  readonly enableUPNP: boolean
  readonly upnpPermanentFallback: boolean
  readonly host: Host
  readonly owners: () => EndpointOwners
  readonly openStore: () => { readonly store: Store; readonly closeStore: () => Promise<void> }
  readonly findNetwork: NatAPIOptions['findNetwork']
  readonly checkExternalAddress: CheckExternalAddress
  /** Returns the strategies in rank order. None of them means that nothing is mapped. */
  readonly strategies: (description: string) => readonly Strategy[]
}

const defaultTtl = 7200
/** As in the originals: mappings are not requested for less (s). */
const minTtl = 1200
/** A year (s). A strategy shortens what is too long for its protocol. */
const maxTtl = 31_536_000

/** Reads the options once. Values of the originals' options that make no sense have their default, since the originals
 * throw for none. */
export function readOptions(options: NatAPIOptions | null | undefined): Settings {
  const given = options ?? {}
  const { host = { ...systemHost, log: debugLog() } } = given
  const enablePMP = isOn(given.enablePMP)
  const enableUPNP = isOn(given.enableUPNP)
  const warn = (error: Error): void => host.log.info(error.message)
  return {
    ttl: readTtl(given.ttl, defaultTtl),
    description: readDescription(given.description),
    isDescribed: Boolean(given.description),
    gateway: given.gateway ?? null,
    autoUpdate: given.autoUpdate !== false,
    enablePMP,
    enableUPNP,
    upnpPermanentFallback: Boolean(given.upnpPermanentFallback),
    host,
    // A program that does not know of these files has no use for a warning about them on its standard error.
    owners: () => given.owners ?? endpointOwners({ warn }),
    openStore() {
      const { store } = given
      // The caller closes a store of its own.
      if (store !== undefined) return { store, closeStore: () => Promise.resolve() }
      const own = fileStore({ warn })
      return { store: own, closeStore: own.close }
    },
    findNetwork: given.findNetwork,
    checkExternalAddress: given.checkExternalAddress ?? checkFirstHop(host.clock),
    strategies: (description) =>
      given.strategies ?? [
        ...(enablePMP ? [pcp(), natPmp()] : []),
        ...(enableUPNP ? [upnp({ description: readDescription(description) })] : [])
      ]
  }
}

const isOn = (value: unknown): boolean => value === undefined || value === null || Boolean(value)

/** Returns a lifetime in seconds, within the limits; `otherwise` for a value that is none. */
export function readTtl(value: unknown, otherwise: number): number {
  const seconds = typeof value === 'string' || typeof value === 'number' ? Number(value) : 0
  return seconds > 0 ? Math.floor(Math.min(Math.max(seconds, minTtl), maxTtl)) : otherwise
}

/** Returns the description in the form that every UPnP router accepts. */
function readDescription(text: unknown): string {
  const ascii = typeof text === 'string' ? text.replace(/[^\x20-\x7e]+/g, ' ').trim() : ''
  return ascii.slice(0, 30).trim() || 'NatAPI'
}

function debugLog(): Host['log'] {
  const print = debuglog('nat-api')
  const line = (text: string): void => print('%s', text)
  return { debug: line, info: line }
}
