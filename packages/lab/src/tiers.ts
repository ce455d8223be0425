import type { Delay } from './delays.js'
import { besides, host, router, twoProviders } from './plans.js'
import type { HostPlan, RouterPlan, Topology } from './topology.js'

/**
 * The NATs between a home and the internet, from easy to hard.
 *
 * - `open`: none; the host has a public address
 * - `home`: a router that keeps ports and admits replies only (RFC 4787: endpoint-independent mapping, address and
 *   port-dependent filtering), as in most homes
 * - `symmetric`: a router that uses a random port for each destination, as in offices and mobile networks
 * - `carrier`: as `home`, behind a carrier-grade NAT of the same kind, in 100.64/10 (RFC 6598)
 */
export type Tier = 'open' | 'home' | 'symmetric' | 'carrier'

/** All tiers, from easy to hard. */
export const tiers: readonly Tier[] = ['open', 'home', 'symmetric', 'carrier']

/** The options of one of the two homes. Only the delay applies to an `open` home. */
export interface HomeOptions extends Partial<Delay> {
  /** The mapping service of the LAN router, which grants nothing behind a carrier-grade NAT. @default 'refused' */
  readonly mapping?: RouterPlan['mapping']
  /** The handling of unsolicited packets at every NAT of this home. @default 'drop' */
  readonly wanInput?: RouterPlan['wanInput']
  /** The filtering of every NAT of this home. @default 'address-and-port-dependent' */
  readonly filtering?: NonNullable<RouterPlan['filtering']>
  /** The lifetime of the UDP mappings of every NAT of this home, as in `RouterPlan`. */
  readonly mappingLifetimeMs?: number
  /** Whether every NAT of this home supports hairpinning. @default false */
  readonly hairpin?: boolean
  /** The forwarded traffic; `tcp` blocks UDP. @default 'all' */
  readonly forwards?: NonNullable<RouterPlan['forwards']>
}

/** Options of `betweenTiers()`. */
export interface TiersOptions {
  /** Options of the first home. */
  readonly home?: HomeOptions
  /** Options of the second home. */
  readonly home2?: HomeOptions
}

/**
 * Returns two homes of two access providers, each on its tier: `home` with `router` and `isp`, as far as the tier has
 * them, and `home2` with `router2` and `isp2`. Seen from the internet, the homes are 11.0.0.2 and 12.0.0.2. The delay
 * of each home is on its link to the internet, so both delays add up between the homes. `withPeers` and `withStun`
 * accept the result.
 */
export function betweenTiers(one: Tier, other: Tier, options: TiersOptions = {}): Topology {
  const { home = {}, home2 = {} } = options
  return {
    name: `${one}-and-${other}`,
    description: `Two homes of two access providers, the one ${phrases[one]}, the other ${phrases[other]}.`,
    hosts: {
      ...homeOn(one, home, { suffix: '', lan: '192.168.1', access: '100.64.1', wan: '11.0.0', others: '12.0.0.0/8' }),
      ...homeOn(other, home2, {
        suffix: '2',
        lan: '192.168.2',
        access: '100.64.2',
        wan: '12.0.0',
        others: '11.0.0.0/8'
      }),
      internet: twoProviders
    }
  }
}

/** Returns the topology of a name such as `home-and-symmetric`; undefined for any other name. */
export function findTiers(name: string): Topology | undefined {
  const [one, other, ...rest] = name.split('-and-').map((part) => tiers.find((tier) => tier === part))
  return one === undefined || other === undefined || rest.length > 0 ? undefined : betweenTiers(one, other)
}

const phrases: Readonly<Record<Tier, string>> = {
  open: 'public',
  home: 'behind a NAT',
  symmetric: 'behind a symmetric NAT',
  carrier: 'behind two NATs'
}

/** The names and networks of one home. Prefixes are written without the last byte. */
interface Place {
  readonly suffix: '' | '2'
  readonly lan: string
  readonly access: string
  readonly wan: string
  /** The network of the other home's provider. */
  readonly others: string
}

function homeOn(tier: Tier, { delayMs = 0, jitterMs = 0, ...of }: HomeOptions, place: Place): Record<string, HostPlan> {
  const { suffix, lan, access, wan, others } = place
  const [lanNetwork, accessNetwork] = [`lan${suffix}`, `access${suffix}`]
  const { mapping: _, ...ofCarrier } = of
  const inside = host(lanNetwork, `${lan}.2/24`, `${lan}.1`)
  /** Adds the route to the other provider and the delay to the outermost host of a home. */
  const outermost = (plan: HostPlan, link: string): HostPlan =>
    besides(
      { ...plan, links: plan.links.map((each) => (each.name === link ? { ...each, delayMs, jitterMs } : each)) },
      others,
      link
    )

  if (tier === 'open') return { [`home${suffix}`]: outermost(host('wan', `${wan}.2/24`, `${wan}.1`), 'eth0') }
  const lanSide = [lanNetwork, `${lan}.1/24`] as const
  const wanSide = ['wan', `${wan}.2/24`, `${wan}.1`] as const
  if (tier === 'carrier') {
    return {
      [`home${suffix}`]: inside,
      [`router${suffix}`]: router(lanSide, [accessNetwork, `${access}.2/24`, `${access}.1`], of),
      [`isp${suffix}`]: outermost(router([accessNetwork, `${access}.1/24`], wanSide, ofCarrier), 'wan')
    }
  }
  const nat = tier === 'symmetric' ? 'symmetric' : 'port-preserving'
  return { [`home${suffix}`]: inside, [`router${suffix}`]: outermost(router(lanSide, wanSide, { ...of, nat }), 'wan') }
}
