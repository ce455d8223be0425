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
import { encodeSearch, everything, igd1, igd2, rootDevice, ssdpGroup, ssdpGroup6 } from './ssdp.js'

/** miniupnpd takes about 50 ms for an answer. Searches follow one another, since several at once silence a FRITZ!Box. */
const spacingMs = 100
/** After the last search of a round. Answers that take longer are heard all the same, if the search goes on. */
const lingerMs = 400

/** How long a round without an answer takes. */
export const roundMs: number = 4 * spacingMs + lingerMs

export interface SearchOptions {
  readonly clock: Clock
  readonly openUdp: OpenUdp
  readonly ssdpPort: number
  readonly gateway: Gateway
  /** `isDirect`: it came to the port that only the gateway has been told of. */
  readonly heard: (bytes: Uint8Array, sender: string, isDirect: boolean) => void
  /** The gateway's port is closed: only multicast can find anything now. */
  readonly failed: (error: NatError) => void
}

export interface Search {
  /** Sends each search once. Rejects only with the signal's reason. */
  round(call: CallOptions): Promise<void>
}

/**
 * Opens the sockets of a search; they close when the signal aborts.
 *
 * Two, since each hears something that the other cannot: a connected one is told that the port is closed, the other one
 * hears routers that answer from another port than 1900 (TP-Link ER605) or another address. What is sent to the router
 * itself opens firewalls on this host for the answers to what is multicast afterwards.
 */
export async function openSearch(options: SearchOptions, { signal }: CallOptions): Promise<Search> {
  const { openUdp, gateway, ssdpPort, heard, failed } = options
  const family = familyOf(gateway.address) ?? 4
  const remote = { address: gateway.address, port: ssdpPort }
  const group = { address: family === 4 ? ssdpGroup : `${ssdpGroup6}%${gateway.interface}`, port: ssdpPort }
  // Over IPv4 the source address is also what selects the interface that multicasts leave through. Over IPv6 the group
  // names it, and only our link-local address makes the router answer from the one that we know it by.
  const local = family === 4 ? { local: { address: gateway.localAddress } } : {}

  /** Aborted when the port turns out to be closed: no answer to what went there is worth waiting for. */
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
  const askAll = (target: string): void => wide?.send(encodeSearch(target, hostOf(group), 1), group)
  const steps: readonly (() => void)[] = [
    () => ask(igd2),
    () => ask(igd1),
    () => {
      wide?.send(encodeSearch(igd2, hostOf(remote)), remote)
      askAll(igd2)
    },
    () => askAll(igd1),
    () => {
      // Some devices answer neither, and are found as a device like any other: asked for every second time.
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
        const signal = index < 2 ? anySignal([call.signal, refused.signal]) : call.signal
        await options.clock.sleep(isLast ? lingerMs : spacingMs, { signal }).catch(() => call.signal.throwIfAborted())
      }
    }
  }
}

const hostOf = ({ address, port }: SocketAddress): string =>
  address.includes(':') ? `[${address.replace(/%.*$/, '')}]:${port}` : `${address}:${port}`
