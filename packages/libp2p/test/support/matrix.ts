import { type Tier, tiers } from '@postern/lab'
import type { LabNode, Said } from './nodes.js'
import { openTwoHomes, type TwoHomes } from './two-homes.js'

/** How two homes were connected. */
export interface Cell {
  /** The home that was dialled. */
  readonly home: Tier
  /** The home that dialled through a relay. */
  readonly home2: Tier
  /** `direct`: by hole punching, or to a public home. `mapped`: through a mapped port. */
  readonly how: 'direct' | 'mapped' | 'relayed'
  /** The time from the relayed to the direct connection on the slower side, in milliseconds. */
  readonly tookMs: number
  /** The cause of a connection that stays relayed. */
  readonly cause: string | null
}

/** The one-way delay between each home and the internet, in milliseconds. */
export const cellDelayMs = 5

const mapping = { upnp: 'igd2', natPmp: true, pcp: true } as const

/**
 * Runs all strategies on both sides. Home routers map ports; the symmetric NATs of offices, and carrier-grade NATs, do
 * not.
 */
export async function tryCell(home: Tier, home2: Tier): Promise<Cell> {
  const of = (tier: Tier) => ({ delayMs: cellDelayMs, ...(tier === 'home' ? { mapping } : {}) })
  await using homes = await openTwoHomes(home, home2, {
    home: of(home),
    home2: of(home2),
    mappers: ['pcp', 'nat-pmp', 'upnp']
  })
  // Wait until reachable nodes know it, since this measures no start of a node.
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

/** Returns a Markdown table with one row per dialled home and one column per dialling home. */
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
