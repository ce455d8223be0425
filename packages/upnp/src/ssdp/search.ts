import {
  anySignal,
  type CallOptions,
  type Clock,
  familyOf,
  type Gateway,
  isNatError,
  type NatError
} from '@postern/interface'
import type { OpenUdp, SocketAddress, UdpSocket } from '@postern/net'
import { encodeSearch, everything, igd1, igd2, rootDevice, ssdpGroup, ssdpGroup6 } from './message.js'

/** The time between two searches, in ms. miniupnpd takes about 50 ms for an answer, and several searches at once
 * silence a FRITZ!Box. */
const spacingMs = 100
/** The wait after the last search of a round, in ms. Later answers are also received if the search continues. */
const lingerMs = 400

/** How long a round without an answer takes, in ms. */
export const roundMs: number = 4 * spacingMs + lingerMs

/** The options of {@link openSearch}. */
export interface SearchOptions {
  readonly clock: Clock
  readonly openUdp: OpenUdp
  readonly ssdpPort: number
  readonly gateway: Gateway
  /** Called with each datagram. `isDirect`: it arrived on the port that only the gateway knows. */
  readonly heard: (bytes: Uint8Array, sender: string, isDirect: boolean) => void
  /** Called with an error of a socket. `REFUSED`: the SSDP port of the gateway is closed, so only multicast can find
   * it. */
  readonly failed: (error: NatError) => void
}

/** A search with open sockets. */
export interface Search {
  /** Sends each kind of search once. Rejects only with the signal's reason. */
  round(call: CallOptions): Promise<void>
}

/**
 * Opens the two sockets of a search, and closes them when the signal aborts.
 *
 * The connected socket learns that a port is closed. The other one receives answers of routers that send from another
 * port than 1900 (TP-Link ER605) or from another address. A search that it sends to the router itself opens the
 * firewall of this host for the answers to the multicast searches that follow.
 */
export async function openSearch(options: SearchOptions, { signal }: CallOptions): Promise<Search> {
  const { openUdp, gateway, ssdpPort, heard, failed } = options
  const family = familyOf(gateway.address) ?? 4
  const remote = { address: gateway.address, port: ssdpPort }
  const group = { address: family === 4 ? ssdpGroup : `${ssdpGroup6}%${gateway.interface}`, port: ssdpPort }
  // Over IPv4 the source address also selects the interface for multicasts. Over IPv6 the group names the interface,
  // and the kernel must choose our link-local address, so that the router answers from its own link-local address.
  const local = family === 4 ? { local: { address: gateway.localAddress } } : {}

  /** Aborts when the SSDP port of the gateway is closed, to end the waits for its direct answers. */
  let refused: AbortController | undefined
  const open = async (to?: SocketAddress): Promise<UdpSocket | undefined> => {
    try {
      return await openUdp(
        {
          family,
          ...(to === undefined ? {} : { remote: to }),
          ...local,
          onMessage: (bytes, from) => heard(bytes, from.address, to !== undefined),
          onError(error) {
            if (error.code === 'REFUSED') refused?.abort()
            failed(error)
          }
        },
        { signal }
      )
    } catch (error) {
      signal.throwIfAborted()
      if (!isNatError(error)) throw error
      failed(error)
      return undefined
    }
  }
  const [direct, wide] = await Promise.all([open(remote), open()])

  let rounds = 0
  const ask = (target: string): void => direct?.send(encodeSearch(target, hostOf(remote)))
  const askAll = (target: string): void => {
    // A multicast does not reach a router beyond the next hop.
    if (gateway.through === undefined) wide?.send(encodeSearch(target, hostOf(group), 1), group)
  }
  const steps: readonly (() => void)[] = [
    () => ask(igd2),
    () => ask(igd1),
    () => {
      wide?.send(encodeSearch(igd2, hostOf(remote)), remote)
      askAll(igd2)
    },
    () => askAll(igd1),
    () => {
      // Some devices answer neither search, but answer one for root devices or for everything. These alternate.
      const target = rounds % 2 === 1 ? everything : rootDevice
      ask(target)
      askAll(target)
    }
  ]

  return {
    async round(call) {
      rounds += 1
      refused = new AbortController()
      for (const [index, step] of steps.entries()) {
        call.signal.throwIfAborted()
        step()
        const isLast = index === steps.length - 1
        const own = index < 2 ? anySignal([call.signal, refused.signal]) : call.signal
        await options.clock
          .sleep(isLast ? lingerMs : spacingMs, { signal: own })
          .catch(() => call.signal.throwIfAborted())
      }
    }
  }
}

const hostOf = ({ address, port }: SocketAddress): string =>
  address.includes(':') ? `[${address.replace(/%.*$/, '')}]:${port}` : `${address}:${port}`
