import type { HeldMapping, MappingOddity, MappingsReport, NeighbourhoodReport } from '@postern/core'

/** How many mappings of others are named. A longer list would hide the rest. */
const maxNamed = 3

const oddityText: Readonly<Record<MappingOddity, string>> = {
  'lifetime-zero': 'lists mappings that end as mappings without an end',
  'permanent-only': 'grants only mappings without an end: one that a program does not give back stays',
  'table-full': 'says that it has no room for another mapping',
  'grant-invalid': 'says that it granted a mapping, and contradicts that itself',
  'lifetime-longer': 'grants mappings for longer than was asked for',
  clock: 'has a clock that jumps: each jump looks like a restart'
}

/** A router that lists fewer mappings than this probably has room for another one. */
const manyMappings = 16

function oddityAdvice(oddity: MappingOddity, { listed }: MappingsReport): readonly string[] {
  if (oddity === 'permanent-only')
    return [
      "Look through the port mappings in the router's settings from time to time: it keeps those of programs that ended without giving them back."
    ]
  if (oddity !== 'table-full') return []
  // miniupnpd says the same if its rules allow none of the ports.
  if (listed !== null && listed < manyMappings)
    return [
      `Try another port, above 1023 for example: the router says that it has no room for another mapping and lists ${listed === 0 ? 'none' : `only ${listed}`}, so it probably allows no program to map this one.`
    ]
  return [
    "Delete old port mappings in the router's settings, or start the router again: it says that it has no room for another one."
  ]
}

/** Formats what is odd about the mappings of the router, one line each. */
export const mappingLines = (mappings: MappingsReport | null): readonly string[] =>
  mappings === null
    ? []
    : [
        ...mappings.oddities.map((each) => `Router: ${oddityText[each]} (${each})`),
        ...mappings.heldByOthers.slice(0, maxNamed).map((held) => `Taken: ${heldText(held)}`),
        ...(mappings.heldByOthers.length > maxNamed
          ? [`Taken: ${mappings.heldByOthers.length - maxNamed} more, see --json`]
          : [])
      ]

function heldText({ protocol, externalPort, internal, description, lifetimeSeconds, program }: HeldMapping): string {
  const name = description === null ? '' : ` as "${description}"`
  const end = lifetimeSeconds === null ? ', without an end' : `, for ${lifetimeSeconds} s more`
  const owner = program === null ? '' : `, where ${program} listens`
  return `the router maps external ${protocol.toUpperCase()} port ${externalPort} to ${internal.address}, port ${internal.port}${owner}${name}${end}`
}

/** Returns what to do about the mappings of the router. */
export function mappingAdvice({ mappings }: Pick<NeighbourhoodReport, 'mappings'>): readonly string[] {
  if (mappings === null) return []
  const { oddities, heldByOthers } = mappings
  const [first] = heldByOthers
  const taken =
    first === undefined
      ? []
      : [
          `Choose another external port, or end what holds ${first.protocol.toUpperCase()} port ${first.externalPort}: the router maps it to ${first.internal.address}, port ${first.internal.port}${first.program === null ? '' : `, where ${first.program} listens`}.`
        ]
  return [...taken, ...oddities.flatMap((each) => oddityAdvice(each, mappings))]
}
