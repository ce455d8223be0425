import type { Family, Strategy } from '@postern/interface'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import type { MemoryHost, Service } from '@postern/testkit'
import { upnp } from '@postern/upnp'

/** A strategy over one family, alone at a router that speaks its protocol. */
export interface Subject {
  readonly title: string
  readonly family: Family
  readonly protocol: 'pcp' | 'nat-pmp' | 'upnp'
  readonly make: (host: MemoryHost) => Strategy
  /** The services that answer. */
  readonly services: readonly Service[]
  /** The services that answer over UDP, where answers are repeated and overtake each other. */
  readonly datagrams: readonly Service[]
}

/** Every strategy that asks a router, over every family that it serves. */
export const subjects: readonly Subject[] = [
  { title: 'pcp over IPv4', family: 4, protocol: 'pcp', make: pcp, services: ['pcp'], datagrams: ['pcp'] },
  { title: 'pcp over IPv6', family: 6, protocol: 'pcp', make: pcp, services: ['pcp'], datagrams: ['pcp'] },
  { title: 'nat-pmp', family: 4, protocol: 'nat-pmp', make: natPmp, services: ['nat-pmp'], datagrams: ['nat-pmp'] },
  ...([4, 6] as const).map((family) => ({
    title: `upnp over IPv${family}`,
    family,
    protocol: 'upnp' as const,
    make: upnp,
    services: ['ssdp', 'description', 'control'] as const,
    datagrams: ['ssdp'] as const
  }))
]
