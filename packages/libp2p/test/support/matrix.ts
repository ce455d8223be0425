import { type Tier, tiers } from '@postern/lab'
import type { LabNode, Said } from './nodes.js'
import { openTwoHomes, type TwoHomes } from './two-homes.js'

/** How two homes came together. */
export interface Cell {
  /** Who was dialled. */
  readonly home: Tier
  /** Who has dialled, through a relay. */
  readonly home2: Tier
  /** `direct`: punched, or one of the two is public. `mapped`: through a port that a router has mapped. */
  readonly how: 'direct' | 'mapped' | 'relayed'
  /** From the relayed connection to the direct one, on whichever side it took longer, in ms. */
  readonly tookMs: number
  /** Why it stays relayed. */
  readonly cause: string | null
}

/** One-way, between each home and the internet, in ms. */
export const cellDelayMs = 5

const mapping = { upnp: 'igd2', natPmp: true, pcp: true } as const

/** The whole ladder on both sides. Routers of homes map ports; those of offices (symmetric) and of carriers do not. */
export async function tryCell(home: Tier, home2: Tier): Promise<Cell> {
  const of = (tier: Tier) => ({ delayMs: cellDelayMs, ...(tier === 'home' ? { mapping } : {}) })
  await using homes = await openTwoHomes(home, home2, {
    home: of(home),
    home2: of(home2),
    mappers: ['pcp', 'nat-pmp', 'upnp']
  })
  // What is reachable says so first: it is not the first second of a node that is looked at here.
  await Promise.all([ready(homes.home, home), ready(homes.home2, home2)])
  await homes.dialThroughRelay()
  const outcomes = await homes.outcomes()
  return { home, home2, ...conclude(homes, outcomes) }
}

const ready = (node: LabNode, tier: Tier): Promise<Said> =>
  node.until(({ event, verdict }) =>
    tier === 'home' || tier === 'open' ? event === 'verified' : event === 'verdict' && verdict === 'relayed'
  )

function conclude({ home, home2 }: TwoHomes, outcomes: readonly Said[]): Pick<Cell, 'how' | 'tookMs' | 'cause'> {
  const tookMs = Math.max(...[home, home2].map((node, index) => (outcomes[index]?.ms ?? 0) - firstMs(node)))
  const failed = outcomes.find(({ state }) => state === 'failed')
  if (failed !== undefined) return { how: 'relayed', tookMs, cause: String(failed['cause']) }
  const mapped = new Set([home, home2].flatMap(({ said }) => said.flatMap(mappedAddress)))
  const isMapped = outcomes.some(({ address }) => mapped.has(String(address).replace(/\/p2p\/.*/, '')))
  return { how: isMapped ? 'mapped' : 'direct', tookMs, cause: null }
}

const firstMs = ({ said }: LabNode): number => said.find(({ event }) => event === 'upgrade')?.ms ?? 0

function mappedAddress({ event, external }: Said): readonly string[] {
  if (event !== 'mapped' || typeof external !== 'object' || external === null) return []
  const { address, port } = external as { readonly address: string; readonly port: number }
  return [`/ip4/${address}/tcp/${port}`]
}

/** One row for whom was dialled, one column for who has dialled, as Markdown. */
export function drawMatrix(cells: readonly Cell[]): string {
  const text = (home: Tier, home2: Tier): string => {
    const cell = cells.find((each) => each.home === home && each.home2 === home2)
    if (cell === undefined) return '–'
    return cell.how === 'relayed' ? `relayed: ${cell.cause}` : `${cell.how}, ${cell.tookMs} ms`
  }
  return [
    `| dialled ↓, by → | ${tiers.join(' | ')} |`,
    `|---|${tiers.map(() => '---|').join('')}`,
    ...tiers.map((home) => `| **${home}** | ${tiers.map((home2) => text(home, home2)).join(' | ')} |`)
  ].join('\n')
}
