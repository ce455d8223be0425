import type { Connection, Stream } from '@libp2p/interface'
import { natError } from '@postern/interface'
import { dcutrProtocol } from './codec.js'
import type { HolePunchComponents, HolePunchHost } from './host.js'

type Answer = (stream: Stream, connection: Connection) => void

/** Handlers of searches, this one and others: a search can begin before the one before it has gone. */
const ours = new WeakSet<object>()

/** How `@libp2p/dcutr` names itself. */
const rivalName = '@libp2p/dcutr'

/**
 * Serves `/libp2p/dcutr`, alone: of two that begin rounds with the same peer each would spoil the other's, and the peer would
 * get answers of both. `@libp2p/dcutr` is stopped, another handler replaced, and either is said. Rejects with `CONFLICT`.
 *
 * @returns what ends it, and leaves the handler of whoever came later
 */
export async function serveRounds({ components, log }: HolePunchHost, answer: Answer): Promise<() => Promise<void>> {
  const { registrar } = components
  const rival = servicesOf(components).find(isRival)
  const current = handlerOf(components)
  if (rival !== undefined || (current !== undefined && !ours.has(current))) {
    await rival?.stop()
    const [what, how] = rival === undefined ? ['another service', 'replaced'] : [rivalName, 'stopped']
    log.info(`hole-punch: ${what} is configured for ${dcutrProtocol} too. It is ${how}; take it out of the services.`)
  }
  ours.add(answer)
  try {
    await registrar.handle(dcutrProtocol, answer, { force: true, runOnLimitedConnection: true, maxInboundStreams: 2 })
  } catch (cause) {
    throw natError('CONFLICT', 'the protocol /libp2p/dcutr cannot be served', { cause })
  }
  return async () => {
    if (handlerOf(components) === answer) await registrar.unhandle(dcutrProtocol)
  }
}

function handlerOf({ registrar }: HolePunchComponents): object | undefined {
  return registrar.getProtocols().includes(dcutrProtocol) ? registrar.getHandler(dcutrProtocol).handler : undefined
}

/** Everything that a libp2p node consists of stands side by side, whatever the application calls it. */
const servicesOf = (components: object): readonly unknown[] =>
  'components' in components && typeof components.components === 'object'
    ? Object.values(components.components ?? {})
    : []

const isRival = (service: unknown): service is { stop(): Promise<void> | void } =>
  Object.prototype.toString.call(service) === `[object ${rivalName}]` &&
  typeof service === 'object' &&
  service !== null &&
  'stop' in service &&
  typeof service.stop === 'function' &&
  'isStarted' in service &&
  typeof service.isStarted === 'function' &&
  // Stopped by the search before, it is no rival any more.
  service.isStarted() === true
