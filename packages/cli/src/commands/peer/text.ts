import type { MappingEvent, Report, StrategyReport } from '@postern/core'
import { describeNext } from '../../shared/next-steps.js'
import { type Colors, formatEvent, formatUnmapped, formatVerdict } from '../../shared/terminal.js'

/** The numbers of relays and peers that the user named. */
export interface Named {
  readonly relays: number
  readonly peers: number
}

/** Formats a mapping event. A failure is only a remark, because peers may reach the node in other ways. A grant has no
 * tick, because only the verdict shows whether it is useful. */
export function describeMapping(event: MappingEvent, colors: Colors): string {
  if (event.event === 'failed') return formatUnmapped(event, colors)
  const isGrant = event.event === 'mapped' || event.event === 'changed'
  return isGrant ? formatEvent(event, colors).replace(colors.green('✔'), ' ') : formatEvent(event, colors)
}

/** Formats the verdict and the next steps. There are no steps while the verdict is unknown. */
export function describeConclusion(report: Report, named: Named, colors: Colors): string {
  const { verdict, cause, advice } = report
  if (verdict === 'unknown') {
    const because = cause === null ? '' : ` (${cause})`
    return colors.dim(`  Not known yet whether peers can reach this node${because}: still trying.`)
  }
  const steps: string[] = []
  if (cause === 'unverified' && named.peers === 0)
    steps.push('Have two peers on other networks dial this node: postern peer --peer ADDRESS --peer ADDRESS')
  if (verdict === 'private' && named.relays === 0)
    steps.push('Have peers reach this node through a relay: postern peer --relay ADDRESS')
  if (verdict === 'private') steps.push('For the whole report: postern doctor')
  return [
    `${formatVerdict(report, colors)}: ${cause === 'unverified' ? unverified : meanings[verdict]}`,
    ...advice.map((text) => `${colors.cyan('→')} ${text}`),
    ...describeNext(steps, colors)
  ].join('\n')
}

const meanings: Readonly<Record<Exclude<Report['verdict'], 'unknown'>, string>> = {
  public: 'peers can connect to this node directly',
  relayed: 'peers reach this node through a relay, and then directly where both NATs allow it',
  private: 'peers of other networks cannot reach this node now; it runs on, and tries again'
}

const unverified = 'nothing speaks against it, and no peer has tried yet'

type Reason = NonNullable<StrategyReport['reason']>

/** Returns a function that turns the reasons of optional strategies without peers into hints. */
export function inWordsOfNode({ relays, peers }: Named): (reason: Reason, name: string) => Reason {
  return (reason, name) => {
    const message =
      name === 'relay' && relays === 0
        ? 'not in use: no relay is named (--relay)'
        : name === 'autonat' && peers === 0
          ? 'not in use: no peer is named that could check the address from outside (--peer)'
          : reason.message
    return { ...reason, message }
  }
}
