import type { PolicyOptions, Store } from '@postern/core'
import {
  checkOptions,
  type Family,
  familyOf,
  type Host,
  hasNextHop,
  type Network,
  orAborted,
  type Strategy
} from '@postern/interface'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { runTraversal } from '@postern/runtime'
import { upnp } from '@postern/upnp'
import { createGateway } from './port-mapping-gateway.js'
import { type Options, type PortMappingGateway } from './port-mapping-types.js'

/** Options of `portMappingClient()`. */
export interface PortMappingClientInit {
  /** The strategies in rank order.
   * @default PCP, NAT-PMP, UPnP */
  readonly strategies?: readonly Strategy[]
  /** Replaces parts of the default policy.
   * @default the default policy */
  readonly policy?: PolicyOptions
  /** Stores mappings across runs.
   * @default no store */
  readonly store?: Store
  /** Finds the gateways and addresses of this machine.
   * @default reads the routes and interfaces of this machine */
  readonly findNetwork?: (call: { readonly signal: AbortSignal }) => Promise<Network>
  /** The clock, randomness and log.
   * @default those of this machine, without a log */
  readonly host?: Host
}

/** The client that `uPnPNAT({ portMappingClient })` of `@libp2p/upnp-nat` accepts. */
export interface PortMappingClient {
  /** Yields the gateway of each address family that can map ports. */
  findGateways(options?: Options): AsyncGenerator<PortMappingGateway, void, unknown>
  /** Resolves with the gateway of the address family of the URL. Rejects with an Error if no router maps ports. */
  getGateway(descriptor: URL, options?: Options): Promise<PortMappingGateway>
}

/**
 * Creates a port mapping client that replaces the one of `@libp2p/upnp-nat`. Its mappings use PCP, NAT-PMP or UPnP, are
 * renewed according to the granted lifetime, are restored after a router reboot, and are deleted when the node stops.
 * Throws a TypeError for an invalid option.
 */
export function portMappingClient(init: PortMappingClientInit = {}): PortMappingClient {
  checkOptions('portMappingClient()', init, {
    strategies: 'any',
    policy: 'object',
    store: 'any',
    findNetwork: 'function',
    host: 'object'
  })
  // Without a network there is no gateway to return, so that a caller waits for it as long as it wants.
  const run = runTraversal({
    ...init,
    strategies: init.strategies ?? [pcp(), natPmp(), upnp()],
    networkTimeoutMs: Infinity,
    socket: false
  })
  const { traversal } = run
  const inUse = new Set<PortMappingGateway>()
  let isRunning = false

  async function start(signal: AbortSignal): Promise<void> {
    isRunning = true
    await orAborted(run.ready(), { signal })
  }

  /** Stops the traversal when no gateway is in use. A caller that found no gateway has nothing to stop. */
  async function stopUnused(): Promise<void> {
    if (inUse.size > 0 || !isRunning) return
    isRunning = false
    await run.stop()
  }

  function gatewayFor(family: Family): PortMappingGateway | undefined {
    const found = run.network().gateways.find((each) => familyOf(each.address) === family)
    const maps = traversal.report().strategies.some(({ kind, state }) => kind === 'mapper' && state !== 'unavailable')
    if (found === undefined || !hasNextHop(found) || !maps) return undefined
    const gateway = createGateway(traversal, found, family, () => {
      inUse.delete(gateway)
      return stopUnused()
    })
    inUse.add(gateway)
    return gateway
  }

  return {
    async *findGateways({ signal = new AbortController().signal } = {}) {
      try {
        await start(signal)
        for (const family of [4, 6] as const) {
          if (signal.aborted) return
          const gateway = [...inUse].find((each) => each.family === `IPv${family}`) ?? gatewayFor(family)
          if (gateway !== undefined) yield gateway
        }
      } finally {
        await stopUnused()
      }
    },
    async getGateway(descriptor, { signal = new AbortController().signal } = {}) {
      await start(signal).catch(async (error: unknown) => {
        await stopUnused()
        throw error
      })
      const gateway = gatewayFor(descriptor.hostname.startsWith('[') ? 6 : 4)
      if (gateway !== undefined) return gateway
      await stopUnused()
      throw new Error(`no router of this network maps ports; the requested gateway was ${descriptor.hostname}`)
    }
  }
}
