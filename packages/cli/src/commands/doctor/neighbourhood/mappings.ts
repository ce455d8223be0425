import type { HeldMapping, MappingOddity, MappingsReport } from '@postern/core'
import {
  type CallOptions,
  type Clock,
  canonicalAddress,
  type ListedMapping,
  type Mapper,
  type Network,
  type Protocol,
  parseMultiaddr,
  waitAtMost
} from '@postern/interface'
import { readUntil } from './read-until.js'
import type { Answer, SeenMappers } from './watch-mappers.js'

/** The maximum number of mappings that are read. */
const maxListed = 32
/** The time limit for reading the mappings of a router, in ms. */
const listMs = 2000
/** The time limit for finding the program at a port, in ms: a machine may have many processes. */
const programMs = 1000
/** How much longer than requested a lifetime may be without being odd, in ms: clocks are read in whole seconds. */
const slackMs = 5000
/** How many jumps of a clock are odd. One may be a restart of the router. */
const oddJumps = 2

/** Where the mappings are examined. */
export interface MappingsContext {
  readonly clock: Clock
  readonly seen: SeenMappers
  readonly network: Network
  /** Resolves to the program of this machine that listens at a port; null if the system does not tell. */
  readonly programAt: (protocol: Protocol, port: number) => Promise<string | null>
}

/** Finds out what is odd about the mappings of the router, from the answers that it gave to the trial and from its list. The
 * list is read for at most 2 s. Resolves to null if no router granted, refused or listed any mapping. */
export async function examineMappings(
  { clock, seen, network, programAt }: MappingsContext,
  { signal }: CallOptions
): Promise<MappingsReport | null> {
  const { answers, listers, jumps } = seen
  if (answers.length === 0) return null
  // A few routers list the name of this host instead of its address, so what was granted is ours in any case.
  const granted = grantedPorts(answers)
  const asked = askedPorts(answers, granted)
  const [lister] = listers
  const { listed, isWhole } =
    lister === undefined ? { listed: [], isWhole: false } : await readList(clock, lister[1], asked, signal)
  const held: HeldMapping[] = []
  for (const mapping of listed) {
    const isAsked = asked.some((each) => isAt(each, mapping))
    const isGranted = granted.some((each) => isAt(each, mapping))
    if (!isAsked || isGranted || answers.some((answer) => isOurs(mapping, answer))) continue
    held.push(
      await describe(mapping, network, (protocol, port) =>
        waitAtMost(clock, programMs, programAt(protocol, port), null, { signal })
      )
    )
  }
  const own = listed.filter((mapping) =>
    answers.some((answer) => answer.strategy === lister?.[0] && isGrant(mapping, answer))
  )
  return {
    oddities: oddities(answers, own, jumps),
    listed: isWhole || listed.length === maxListed ? listed.length : null,
    heldByOthers: held
  }
}

type At = Pick<ListedMapping, 'protocol' | 'externalPort'>

/** Returns the external ports that were asked for, and those that were granted, each once. */
function askedPorts(answers: readonly Answer[], granted: readonly At[]): readonly At[] {
  const ports = answers.map(({ request: { endpoint, suggestedExternalPort } }) => ({
    protocol: endpoint.protocol,
    externalPort: suggestedExternalPort
  }))
  const all = [...ports, ...granted].filter(({ externalPort }) => externalPort > 0)
  return [...new Map(all.map((each) => [`${each.protocol} ${each.externalPort}`, each])).values()].slice(0, maxListed)
}

const grantedPorts = (answers: readonly Answer[]): readonly At[] =>
  answers
    .flatMap(({ lease }) => lease?.addresses.map(parseMultiaddr) ?? [])
    .flatMap((each) => (each === undefined ? [] : [{ protocol: each.protocol, externalPort: each.port }]))

async function readList(
  clock: Clock,
  { list }: Mapper,
  asked: readonly At[],
  signal: AbortSignal
): Promise<{ readonly listed: readonly ListedMapping[]; readonly isWhole: boolean }> {
  const listed: ListedMapping[] = []
  if (list === undefined) return { listed, isWhole: false }
  let isWhole = false
  await readUntil(clock, listMs, signal, async (call, enough) => {
    const take = (mapping: ListedMapping): void => {
      // The mappings at the given ports come again with the others.
      if (listed.length < maxListed && !listed.some((each) => isAt(each, mapping))) listed.push(mapping)
      if (listed.length === maxListed) enough()
    }
    isWhole = await list(asked, take, call)
  })
  return { listed, isWhole }
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
  // A strategy takes at most the time that it asked for, whatever was granted. An IGD:2 lists a mapping without an end with the
  // longest lease, a week.
  const longestMs = Math.max(...answers.map(({ request }) => request.lifetimeMs))
  const isLonger =
    !isPermanentOnly && own.some(({ remainingMs }) => Number.isFinite(remainingMs) && remainingMs > longestMs + slackMs)
  const isEndless = own.some(({ remainingMs }) => remainingMs === Number.POSITIVE_INFINITY)
  // In a fixed order, for a report that does not change from run to run.
  const found: readonly (readonly [MappingOddity, boolean])[] = [
    ['lifetime-zero', !isPermanentOnly && isEndless],
    ['permanent-only', isPermanentOnly],
    ['table-full', refused('OUT_OF_RESOURCES')],
    ['grant-invalid', refused('GRANT_INVALID')],
    ['lifetime-longer', isLonger],
    ['clock', [...jumps.values()].some((count) => count >= oddJumps)]
  ]
  return found.flatMap(([oddity, isSeen]) => (isSeen ? [oddity] : []))
}
