import type { Clock, Family } from '@postern/interface'
import type { AnnounceOptions } from '../announce.js'
import type { Fault } from '../faults.js'
import { createGateway, type FakeGateway, type GatewayOptions, type RebootOptions } from '../gateway.js'
import type { GatewayProtocol } from '../mapping-table.js'
import type { AttachOptions } from '../memory-network.js'

/** A router of a public report, as data: what it speaks, what is odd about it, and what the ladder makes of it. */
export interface Personality {
  /** In lower case, with hyphens. */
  readonly name: string
  /** What is odd about it, in one sentence. */
  readonly oddity: string
  /** Where the oddity is described: a public address. */
  readonly source: string
  readonly gateway?: Omit<GatewayOptions, 'clock' | 'random'>
  readonly faults?: readonly Fault[]
  /** How it is put on the memory network. */
  readonly network?: AttachOptions
  /** What is wanted. With 6 the host and the router have IPv6 addresses as well. @default 4 */
  readonly family?: Family
  /** The TCP port of the host that is to be reached. @default 8080 */
  readonly port?: number
  /** What happens while the mapping lives. @default nothing */
  readonly event?: RouterEvent
  readonly expected: PersonalityOutcome
}

/** Something that happens once in the life of a router. */
export interface RouterEvent {
  readonly afterMs: number
  /** It starts again. */
  readonly reboot?: RebootOptions
  /** It has another external address from now on. */
  readonly externalAddress?: string
  /** What it announces then; false for nothing. */
  readonly announces: AnnounceOptions | false
}

/** What the ladder of `pcp`, `nat-pmp` and `upnp` makes of a router, at the default policy and without witnesses. */
export interface PersonalityOutcome {
  /** The protocol that the mapping is made through; null where none is made. */
  readonly mappedBy: GatewayProtocol | null
  /** Whether a packet from the internet arrives at the host, at the addresses that are told: half a minute after the
   * start, and three hours later, after the event. */
  readonly reached: boolean
  /** How many of a hundred looks in between must find the host reachable. @default 99 */
  readonly minReachedPercent?: number
  /** Whether nothing is forwarded to the host after it has stopped. */
  readonly released: boolean
  /** The violations of `FakeGateway` that are accepted. @default none */
  readonly violations?: readonly string[]
  /** The cause in the report: `unverified` where the host is public and no witness has tried; null where none is told. */
  readonly cause: string | null
  /** What is done about the oddity, in one sentence. */
  readonly does: string
  /** What the router is odd about is never asked of it, so that its faults never strike. @default false */
  readonly avoided?: boolean
}

/** What the host and the router of a personality are called in its data. */
export const personalityNetwork = {
  router: '192.168.1.1',
  host: '192.168.1.2',
  external: '11.0.0.2',
  router6: '2a00:1::1',
  host6: '2a00:1::2'
} as const

/** Makes the router of a personality, with its faults in force. */
export function createPersonality(
  { gateway = {}, faults = [] }: Personality,
  options: { readonly clock: Clock; readonly random?: () => number }
): FakeGateway {
  const made = createGateway({
    externalAddress: personalityNetwork.external,
    // Up for some hours: a restart shows in an epoch that is smaller.
    epochSeconds: 10_000,
    ...gateway,
    ...options
  })
  for (const fault of faults) made.inject(fault)
  return made
}

/** Lets the event of a personality happen. */
export function letHappen(gateway: FakeGateway, { reboot, externalAddress, announces }: RouterEvent): void {
  if (reboot !== undefined) gateway.reboot(reboot)
  if (externalAddress !== undefined) gateway.setExternalAddress(externalAddress)
  if (announces !== false) gateway.announce(announces)
}

/** Maps at once and by the usual way. */
export const mappedBy = (protocol: GatewayProtocol, does: string): PersonalityOutcome => ({
  mappedBy: protocol,
  reached: true,
  released: true,
  cause: 'unverified',
  does
})

/** Maps nothing, and leaves nothing. */
export const notMapped = (cause: string, does: string): PersonalityOutcome => ({
  mappedBy: null,
  reached: false,
  released: true,
  cause,
  does
})
