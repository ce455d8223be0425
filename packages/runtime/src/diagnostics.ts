import { channel } from 'node:diagnostics_channel'
import { mappingEventNames, type Traversal, type TraversalEvents } from '@postern/core'

/** The channels of `node:diagnostics_channel` by the event that they carry. Mapping events share one. */
export const diagnosticsChannels = {
  request: 'postern:request',
  lease: 'postern:lease',
  mapping: 'postern:mapping',
  strategy: 'postern:strategy',
  verdict: 'postern:verdict',
  upgrade: 'postern:upgrade'
} as const

/** A message of a channel. */
export interface DiagnosticsMessage<Detail> {
  /** The traversal that tells: a process may have several. */
  readonly traversal: Traversal
  /** The detail of the event. */
  readonly detail: Detail
}

/** The details of the messages, by the name of the channel. */
export interface DiagnosticsDetails {
  readonly 'postern:request': TraversalEvents['request']['detail']
  readonly 'postern:lease': TraversalEvents['lease']['detail']
  readonly 'postern:mapping': TraversalEvents['mapped']['detail']
  readonly 'postern:strategy': TraversalEvents['strategy']['detail']
  readonly 'postern:verdict': TraversalEvents['verdict']['detail']
  readonly 'postern:upgrade': TraversalEvents['upgrade']['detail']
}

/** Publishes the events of a traversal on the channels. Without a subscriber an event costs one comparison. The listeners
 * live as long as the traversal. */
export function publishDiagnostics(traversal: Traversal): void {
  const publish = (name: keyof DiagnosticsDetails): ((event: CustomEvent<unknown>) => void) => {
    const to = channel(name)
    return ({ detail }) => {
      if (to.hasSubscribers) to.publish({ traversal, detail })
    }
  }
  const { mapping, ...others } = diagnosticsChannels
  for (const name of mappingEventNames) traversal.addEventListener(name, publish(mapping))
  traversal.addEventListener('request', publish(others.request))
  traversal.addEventListener('lease', publish(others.lease))
  traversal.addEventListener('strategy', publish(others.strategy))
  traversal.addEventListener('verdict', publish(others.verdict))
  traversal.addEventListener('upgrade', publish(others.upgrade))
}
