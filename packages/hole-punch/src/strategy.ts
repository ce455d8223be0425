import { type CallOptions, type Finding, type Network, natError, type Puncher, type Strategy } from '@postern/interface'
import type { Connection, Stream } from '@libp2p/interface'
import { createBudget } from './budget.js'
import { dcutrProtocol, type Mapping } from './codec.js'
import type { Context } from './context.js'
import type { HolePunchComponents, HolePunchHost } from './host.js'
import { findObservers } from './observers.js'
import { type HolePunchOptions, readOptions } from './options.js'
import { findMapping } from './ports.js'
import { createPunches } from './punches.js'
import { isRelayed } from './relayed.js'
import { targetOf } from './targets.js'

/** Two peers tell how our NAT maps ports about as fast as one tells of a port; nobody is kept waiting for longer, in ms. */
const learnMs = 250

/** SYNs a minute that somebody else can have us send. Three rounds of one port are 600 at most. */
const limits = { perAddress: 800, perNetwork: 2400, inAll: 8000 }
/** With the many guesses that the user has asked for. */
const birthdayLimits = { perAddress: 4000, perNetwork: 8000, inAll: 16_000 }

/**
 * Direct connections to peers that are connected through a relay (libp2p/specs relay/DCUtR.md), over TCP.
 *
 * Every relayed connection is upgraded as soon as it opens: by dialling what the peer announces, and by a simultaneous open
 * through both NATs. The relayed one is let go afterwards. Throws a TypeError for options that cannot be right.
 */
export function holePunch(options: HolePunchOptions = {}): Strategy<HolePunchHost> {
  const settings = readOptions(options)

  return (host) => ({
    name: 'hole-punch',
    kind: 'puncher',
    async discover(network, found, call) {
      if (call.signal.aborted) return
      const { components, clock, log } = host
      const tell = (finding: Finding): void => {
        if (!call.signal.aborted) found(finding)
      }
      const outside = new Set<string>()
      let mapping: Mapping | undefined
      let learning: Promise<void> | undefined
      const context: Context = {
        host,
        settings,
        budget: createBudget(clock, settings.birthday ? birthdayLimits : limits),
        own: () => ownAddresses(components, network, outside),
        seen: (external) => void outside.add(external),
        mapping: () => mapping,
        async mappingLearned({ signal }) {
          const known = new AbortController()
          const enough = AbortSignal.any([signal, known.signal])
          void learning?.then(() => known.abort())
          if (learning !== undefined) await clock.sleep(learnMs, { signal: enough }).catch(() => undefined)
          signal.throwIfAborted()
        }
      }
      const puncher: Puncher = { kind: 'puncher', upgrade: (peerId, bounded) => punches.upgrade(peerId, bounded) }
      const punches = createPunches(
        context,
        (peer, state) => tell({ kind: 'notice', what: 'upgrade', about: puncher, peer, ...state }),
        call
      )

      async function learn(relayed: Connection): Promise<void> {
        const observers = await findObservers(components, relayed, targetOf(relayed.remoteAddr.bytes)?.family)
        mapping = await findMapping(host, settings.connect, observers, call)
      }
      const opened = ({ detail }: CustomEvent<Connection>): void => {
        if (!isRelayed(detail)) return
        learning ??= learn(detail).catch(() => undefined)
        punches.opened(detail)
      }

      await handle(components, (stream, connection) => punches.answer(stream, connection), log)
      components.events.addEventListener('connection:open', opened)
      tell(puncher)
      for (const connection of components.connectionManager.getConnections()) {
        opened(new CustomEvent('connection:open', { detail: connection }))
      }
      await aborted(call)
      components.events.removeEventListener('connection:open', opened)
      await components.registrar.unhandle(dcutrProtocol)
      await Promise.all([punches.ended(), learning])
    }
  })
}

/** Nobody else may serve the protocol: the other side would get answers of two. */
async function handle(
  { registrar }: HolePunchComponents,
  answer: (stream: Stream, connection: Connection) => void,
  log: HolePunchHost['log']
): Promise<void> {
  if (registrar.getProtocols().includes(dcutrProtocol)) {
    log.info(
      'hole-punch: another service, @libp2p/dcutr for example, is configured for /libp2p/dcutr too. It is replaced; take it out of the services.'
    )
  }
  try {
    await registrar.handle(dcutrProtocol, answer, { force: true, runOnLimitedConnection: true, maxInboundStreams: 2 })
  } catch (cause) {
    throw natError('CONFLICT', 'the protocol /libp2p/dcutr cannot be served', { cause })
  }
}

/** What nobody can have us dial: every address that is, or seems to be, this host's own. */
function ownAddresses(
  { addressManager, transportManager }: HolePunchComponents,
  network: Network,
  outside: ReadonlySet<string>
): ReadonlySet<string> {
  const listening = [...addressManager.getAddresses(), ...transportManager.getAddrs()]
  const hosts = listening.flatMap((address) => {
    const components = address.getComponents()
    // The first address of a relayed one is the relay's.
    return components.some(({ name }) => name === 'p2p-circuit') ? [] : (components[0]?.value ?? [])
  })
  return new Set([...network.addresses, ...outside, ...hosts])
}

const aborted = ({ signal }: CallOptions): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
