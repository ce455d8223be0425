import type { Report, StrategyReport } from '@postern/core'
import type { Activity } from './live-line.js'

/** Returns what the strategies of a report wait for; undefined if they wait for nothing. */
export function activityOf({ strategies, gateway }: Pick<Report, 'strategies' | 'gateway'>): Activity | undefined {
  const granting = strategies.filter(({ waitingFor }) => waitingFor === 'grant')
  const searching = strategies.filter(({ waitingFor, tookMs }) => waitingFor === 'search' || tookMs === null)
  const router = gateway === null ? 'a router' : `the router ${gateway.address}`
  const forwarders = granting.filter(({ kind }) => kind === 'forwarder')
  const mappers = granting.filter(isMapper)
  if (mappers.length > 0) return { doing: 'Waiting for the router to map the port', about: over(mappers) }
  if (forwarders.length > 0) return { doing: 'Waiting for a port of another host', about: over(forwarders) }
  const asked = searching.filter(isMapper)
  if (asked.length > 0) return { doing: `Asking ${router}`, about: over(asked) }
  if (searching.length === 0) return undefined
  const kinds = new Set(searching.map(({ kind }) => kind))
  if (kinds.has('observer')) return { doing: 'Asking the STUN servers' }
  if (kinds.has('witness')) return { doing: 'Asking the witnesses' }
  return { doing: 'Searching', about: `for ${namesOf(searching)}` }
}

const protocols: Readonly<Record<string, string>> = { pcp: 'PCP', 'nat-pmp': 'NAT-PMP', upnp: 'UPnP' }

/** Before the search of a strategy has begun, its name alone shows that it maps in a router. */
const isMapper = ({ kind, name }: StrategyReport): boolean => kind === 'mapper' || (kind === null && name in protocols)

const over = (strategies: readonly StrategyReport[]): string => `over ${namesOf(strategies)}`

function namesOf(strategies: readonly StrategyReport[]): string {
  const names = [...new Set(strategies.map(({ name }) => protocols[name] ?? name))]
  const last = names.pop() ?? ''
  return names.length === 0 ? last : `${names.join(', ')} and ${last}`
}
