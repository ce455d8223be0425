import type { HeldMapping, MappingOddity, MappingsReport } from '@postern/core'
import {
  type CallOptions,
  canonicalAddress,
  type ListedMapping,
  type Mapper,
  type Network,
  type Protocol,
  parseMultiaddr
} from '@postern/interface'
import { readUntil } from './read-until.js'
import type { Answer, SeenMappers } from './watch-mappers.js'

/** The maximum number of mappings that are read. */
const maxListed = 32
/** The time limit for reading the mappings of a router, in ms. */
const listMs = 2000
/** How much longer than requested a lifetime may be without being odd, in ms: clocks are read in whole seconds. */
const slackMs = 5000
/** How many jumps of a clock are odd. One may be a restart of the router. */
const oddJumps = 2

/** Where the mappings are examined. */
export interface MappingsContext {
  readonly seen: SeenMappers
  readonly network: Network
  /** Resolves to the program of this machine that listens at a port; null if the system does not tell. */
  readonly programAt: (protocol: Protocol, port: number) => Promise<string | null>
}

/** Finds out what is odd about the mappings of the router, from the answers that it gave to the trial and from its list. The
 * list is read for at most 2 s. Resolves to null if no router granted, refused or listed any mapping. */
export async function examineMappings(
  { seen, network, programAt }: MappingsContext,
  { signal }: CallOptions
): Promise<MappingsReport | null> {
  const { answers, listers, jumps } = seen
  if (answers.length === 0) return null
  const asked = askedPorts(answers)
  const [lister] = listers
  const listed = lister === undefined ? [] : await readList(lister[1], asked, signal)
  const held: HeldMapping[] = []
  for (const mapping of listed) {
    const isAsked = asked.some((each) => isAt(each, mapping))
    if (!isAsked || answers.some((answer) => isOurs(mapping, answer)) || held.some((each) => isAt(each, mapping)))
      continue
    held.push(await describe(mapping, network, programAt))
  }
  const own = listed.filter((mapping) =>
    answers.some((answer) => answer.strategy === lister?.[0] && isGrant(mapping, answer))
  )
  return { oddities: oddities(answers, own, jumps), heldByOthers: held }
}

type At = Pick<ListedMapping, 'protocol' | 'externalPort'>

/** Returns the external ports that were asked for first, each once. */
function askedPorts(answers: readonly Answer[]): readonly At[] {
  const ports = answers.map(({ request: { endpoint, suggestedExternalPort } }) => ({
    protocol: endpoint.protocol,
    externalPort: suggestedExternalPort
  }))
  const granted = answers
    .flatMap(({ lease }) => lease?.addresses.map(parseMultiaddr) ?? [])
    .flatMap((each) => (each === undefined ? [] : [{ protocol: each.protocol, externalPort: each.port }]))
  const all = [...ports, ...granted].filter(({ externalPort }) => externalPort > 0)
  return [...new Map(all.map((each) => [`${each.protocol} ${each.externalPort}`, each])).values()].slice(0, maxListed)
}

async function readList(
  { list }: Mapper,
  asked: readonly At[],
  signal: AbortSignal
): Promise<readonly ListedMapping[]> {
  if (list === undefined) return []
  const listed: ListedMapping[] = []
  await readUntil(listMs, signal, (call, enough) =>
    list(
      asked,
      (mapping) => {
        if (listed.length < maxListed) listed.push(mapping)
        if (listed.length === maxListed) enough()
      },
      call
    )
  )
  return listed
}

const isAt = (one: At, other: At): boolean => one.protocol === other.protocol && one.externalPort === other.externalPort

/** Returns whether a mapping leads to the endpoint of a request. */
const isOurs = (
  { protocol, internalAddress, internalPort }: ListedMapping,
  { request: { endpoint } }: Answer
): boolean =>
  protocol === endpoint.protocol &&
  internalPort === endpoint.port &&
  canonicalAddress(internalAddress) === canonicalAddress(endpoint.address)

/** Returns whether a mapping is the one that was granted. */
const isGrant = (mapping: ListedMapping, answer: Answer): boolean =>
  isOurs(mapping, answer) &&
  answer.lease?.addresses.some((address) => parseMultiaddr(address)?.port === mapping.externalPort) === true

async function describe(
  { protocol, externalPort, internalAddress, internalPort, description, remainingMs }: ListedMapping,
  { addresses, gateways }: Network,
  programAt: MappingsContext['programAt']
): Promise<HeldMapping> {
  const ours = [...addresses, ...gateways.map(({ localAddress }) => localAddress)].map(canonicalAddress)
  const isHere = ours.includes(canonicalAddress(internalAddress)) && canonicalAddress(internalAddress) !== undefined
  return {
    protocol,
    externalPort,
    internal: { address: internalAddress, port: internalPort },
    description,
    lifetimeSeconds: Number.isFinite(remainingMs) ? Math.round(remainingMs / 1000) : null,
    program: isHere ? await programAt(protocol, internalPort) : null
  }
}

/** Returns what is odd.
 *
 * @param own - the mappings of the trial as the router lists them */
function oddities(
  answers: readonly Answer[],
  own: readonly ListedMapping[],
  jumps: SeenMappers['jumps']
): readonly MappingOddity[] {
  const refused = (code: string): boolean => answers.some(({ refusal }) => refusal === code)
  const isPermanentOnly =
    refused('ONLY_PERMANENT_LEASES') ||
    answers.some(({ lease }) => lease?.quirks?.includes('only-permanent-leases') === true)
  const longest = Math.max(...answers.map(({ request }) => request.lifetimeMs))
  const isLonger =
    answers.some(({ lease, request }) => isMuchLonger(lease?.lifetimeMs, request.lifetimeMs)) ||
    own.some(({ remainingMs }) => isMuchLonger(remainingMs, longest))
  const found: Readonly<Record<MappingOddity, boolean>> = {
    'lifetime-zero': !isPermanentOnly && own.some(({ remainingMs }) => remainingMs === Number.POSITIVE_INFINITY),
    'permanent-only': isPermanentOnly,
    'table-full': refused('OUT_OF_RESOURCES'),
    'grant-invalid': refused('GRANT_INVALID'),
    'lifetime-longer': isLonger,
    clock: [...jumps.values()].some((count) => count >= oddJumps)
  }
  // The order of the type, for a report that does not change from run to run.
  return (Object.keys(found) as MappingOddity[]).filter((each) => found[each])
}

/** Without an end is another oddity. */
const isMuchLonger = (ms: number | undefined, askedMs: number): boolean =>
  ms !== undefined && Number.isFinite(ms) && ms > askedMs + slackMs
