import { dcutrProtocol } from './codec.js'
import type { HolePunchHost } from './host.js'

/** How `@libp2p/dcutr` names itself. */
const rivalName = '@libp2p/dcutr'

/**
 * Ends another service for DCUtR, and says so: of two that begin rounds with the same peer each would spoil the other's, and
 * the peer would get answers of both. Whatever else serves the protocol has its handler replaced by whoever comes next.
 */
export async function endRival({ components, log }: HolePunchHost): Promise<void> {
  const rival = servicesOf(components).find(isRival)
  if (rival === undefined && !components.registrar.getProtocols().includes(dcutrProtocol)) return
  await rival?.stop()
  const [what, how] = rival === undefined ? ['another service', 'replaced'] : [rivalName, 'stopped']
  log.info(`hole-punch: ${what} is configured for ${dcutrProtocol} too. It is ${how}; take it out of the services.`)
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
  typeof service.stop === 'function'
