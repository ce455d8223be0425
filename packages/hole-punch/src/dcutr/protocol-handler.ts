import type { Connection, Stream } from '@libp2p/interface'
import { natError } from '@postern/interface'
import type { HolePunchComponents, HolePunchHost } from '../host.js'
import { dcutrProtocol } from './codec.js'

type Answer = (stream: Stream, connection: Connection) => void

/** The handlers of all searches. A search may begin before the previous one has ended. */
const ours = new WeakSet<object>()

/** The name by which `@libp2p/dcutr` identifies itself. */
const rivalName = '@libp2p/dcutr'

/**
 * Serves `/libp2p/dcutr` exclusively. Two services that begin rounds with the same peer would disturb each other, and
 * the peer would get answers from both. Stops `@libp2p/dcutr`, replaces any other handler, and logs either. Rejects
 * with `CONFLICT` if the protocol cannot be registered.
 *
 * @returns a function that removes the handler, unless another service has replaced it
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

/** Returns all components of a libp2p node, whatever names the application gave to its services. */
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
  // A previous search may have stopped it already.
  service.isStarted() === true
