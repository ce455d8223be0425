import type { Evidence } from '@postern/interface'
import { startFake, type Talk, type WatchedClock, watchedClock } from '../support/fakes.js'
import { call, type Node, type Search, search, startNode } from '../support/nodes.js'

export interface Scene {
  readonly node: Node
  readonly fake: Node
  readonly time: WatchedClock
  readonly search: Search
  readonly verify: (address?: string, signal?: AbortSignal) => Promise<Evidence>
  /** Returns the number of AutoNAT streams that are open at the client. */
  readonly streams: (protocol?: string) => number
}

/** Starts a node that is connected to a fake server with this answer. */
export async function scene(answer: (talk: Talk) => Promise<void>, nodeOptions: object = {}): Promise<Scene> {
  const time = watchedClock()
  const fake = await startFake(answer)
  const node = await startNode(nodeOptions)
  await node.libp2p.dial(fake.libp2p.getMultiaddrs())
  const looking = search(node.components, {}, time.clock)
  const witness = await looking.witness()
  return {
    node,
    fake,
    time,
    search: looking,
    verify: async (address = node.plain, signal = call().signal) => witness.verify(address as `/${string}`, { signal }),
    streams: (only) =>
      node.libp2p
        .getConnections()
        .flatMap(({ streams }) => streams)
        .filter(({ protocol }) => (only === undefined ? protocol.startsWith('/libp2p/autonat/') : protocol === only))
        .length
  }
}

/** Returns the outcome and the code of the reason as text. */
export const told = ({ outcome, reason }: Evidence): string => [outcome, ...(reason ? [reason.code] : [])].join(' ')
