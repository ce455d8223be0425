import type { Clock, Family } from '@postern/interface'
import type { AnnounceOptions } from '../announce.js'
import type { Fault } from '../faults.js'
import { createGateway, type FakeGateway, type GatewayOptions, type RebootOptions } from '../gateway.js'
import type { GatewayProtocol } from '../mapping-table.js'
import type { AttachOptions } from '../memory-network.js'

/**
 * A router from a public report, as data: its protocols, its oddity, and the expected result of the default strategies.
 */
export interface Personality {
  /** The name, in lower case with hyphens. */
  readonly name: string
  /** The oddity, in one sentence. */
  readonly oddity: string
  /** The public URL of a report about the oddity. */
  readonly source: string
  /** The options of the gateway. */
  readonly gateway?: Omit<GatewayOptions, 'clock' | 'random'>
  /** The active faults. */
  readonly faults?: readonly Fault[]
  /** The options for the memory network. */
  readonly network?: AttachOptions
  /** The address family of the mapping. With 6, the host and the router also have IPv6 addresses. @default 4 */
  readonly family?: Family
  /** The TCP port of the host. @default 8080 */
  readonly port?: number
  /** An event while the mapping lives. @default none */
  readonly event?: RouterEvent
  /** The expected result. */
  readonly expected: PersonalityOutcome
}

/** A single event at a router. */
export interface RouterEvent {
  /** The time from the start to the event, in milliseconds. */
  readonly afterMs: number
  /** The router reboots. */
  readonly reboot?: RebootOptions
  /** The router gets this external address. */
  readonly externalAddress?: string
  /** The announcement after the event; false for none. */
  readonly announces: AnnounceOptions | false
}

/** The result of the strategies `pcp`, `nat-pmp` and `upnp` with the default policy and without witnesses. */
export interface PersonalityOutcome {
  /** The protocol of the mapping; null without a mapping. */
  readonly mappedBy: GatewayProtocol | null
  /** Whether a packet from the internet to the reported addresses arrives at the host, both half a minute after the
   * start and three hours later, after the event. */
  readonly reached: boolean
  /** The minimum percentage of checks in between that find the host reachable. @default 99 */
  readonly minReachedPercent?: number
  /** Whether no packet is forwarded to the host after it has stopped. */
  readonly released: boolean
  /** The accepted violations of `FakeGateway`. @default none */
  readonly violations?: readonly string[]
  /**
   * The cause in the report: `unverified` if the host is public and no witness has dialled it; null without a cause.
   */
  readonly cause: string | null
  /** How the strategies handle the oddity, in one sentence. */
  readonly does: string
  /** Whether the strategies avoid the oddity, so that the faults never strike. @default false */
  readonly avoided?: boolean
}

/** The addresses of the host and the router in the data of personalities. */
export const personalityNetwork = {
  router: '192.168.1.1',
  host: '192.168.1.2',
  external: '11.0.0.2',
  router6: '2a00:1::1',
  host6: '2a00:1::2'
} as const

/** Creates the router of a personality with its faults. */
export function createPersonality(
  { gateway = {}, faults = [] }: Personality,
  options: { readonly clock: Clock; readonly random?: () => number }
): FakeGateway {
  const made = createGateway({
    externalAddress: personalityNetwork.external,
    // The router has been up for some hours, so a restart is visible as a smaller epoch.
    epochSeconds: 10_000,
    ...gateway,
    ...options
  })
  for (const fault of faults) made.inject(fault)
  return made
}

/** Applies the event of a personality. */
export function letHappen(gateway: FakeGateway, { reboot, externalAddress, announces }: RouterEvent): void {
  if (reboot !== undefined) gateway.reboot(reboot)
  if (externalAddress !== undefined) gateway.setExternalAddress(externalAddress)
  if (announces !== false) gateway.announce(announces)
}

/** Returns the outcome of a router that maps without difficulty. */
export const mappedBy = (protocol: GatewayProtocol, does: string): PersonalityOutcome => ({
  mappedBy: protocol,
  reached: true,
  released: true,
  cause: 'unverified',
  does
})

/** Returns the outcome of a router on which nothing can be mapped. */
export const notMapped = (cause: string, does: string): PersonalityOutcome => ({
  mappedBy: null,
  reached: false,
  released: true,
  cause,
  does
})
