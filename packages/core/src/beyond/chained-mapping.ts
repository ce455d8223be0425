import {
  abortReason,
  type CallOptions,
  canonicalAddress,
  classOf,
  type Endpoint,
  type Gateway,
  hasNextHop,
  isGlobal,
  untilAborted,
  waitAtMost
} from '@postern/interface'
import type { Context, ShutdownScope } from '../context.js'
import { primaryGateway, type WantedEndpoint, wantKey } from '../discovery/endpoints.js'
import { createEndpointMapping, type EndpointMapping } from '../mapping/map-endpoint.js'
import type { GrantedMapping } from '../mapping/publish-mapping.js'
import type { LevelBeyond, RoutersBeyond } from './routers-beyond.js'
import { createToldEvents } from './told-events.js'

/** Maps one wanted endpoint at the next hop, and that mapping at the router behind it where there is one. */
export interface ChainedMapping {
  /** The mapping of the next hop, and the one that stands on it if there is one. */
  readonly levels: () => readonly EndpointMapping[]
  /** Whether everything that can be tried now has been tried. */
  readonly isSettled: () => boolean
  /** Looks again whether the next hop holds the external address that it granted. */
  claimChecked(): void
  /** Tells the grant of the next hop once it is clear that no router behind it maps. Called after changes. */
  review(): void
  /** Runs until `call` aborts, then releases the mappings, the outer one first; `shutdown` bounds the release. */
  run(call: CallOptions, shutdown: ShutdownScope): Promise<void>
}

/** The mapping that stands on the mapping of the next hop. */
interface Outer {
  /** The external address and port of the next hop. */
  readonly endpoint: Endpoint
  readonly level: LevelBeyond
  readonly mapping: EndpointMapping
  /** Releases the mapping. Resolves when it has ended. */
  end(): Promise<void>
}

/** The lifetime to request behind the next hop, in ms. Another external address of the next hop leaves a mapping there
 * that can be neither renewed nor deleted, and occupies its port until it expires. */
const outerLifetimeMs = 600_000
/** How long the release of the outer mapping delays that of the inner one at least, in ms. */
const minHeadStartMs = 500
const maxHeadStartMs = 4000

const ended = abortReason('the mapping that this one stands on has ended')

export function createChainedMapping(
  want: WantedEndpoint,
  context: Context,
  routersBeyond: RoutersBeyond
): ChainedMapping {
  const { host, bus, queues } = context
  const inner = createEndpointMapping(want, context, {
    changed: follow,
    told: (event) => toldEvents.inner(event)
  })
  let outer: Outer | undefined
  let scope: ShutdownScope | undefined
  let isEnding = false
  const toldEvents = createToldEvents(
    () => outer !== undefined,
    (event) => bus.emit('mapping', event)
  )

  /** Maps the mapping of the next hop in turn if the internet cannot reach its address. Called whenever it has changed. */
  function follow(granted: GrantedMapping | undefined): void {
    const nextHop = granted === undefined ? undefined : nextHopOf(granted, context)
    const endpoint = nextHop === undefined ? undefined : outerEndpoint(granted)
    const before = outer
    const isSame = before !== undefined && endpoint !== undefined && wantKey(before.endpoint) === wantKey(endpoint)
    if (isSame && before.level.isHere()) return
    outer = undefined
    // Before the other one ends: it is told that its address is gone.
    if (nextHop !== undefined && endpoint !== undefined && granted !== undefined)
      outer = begin(granted, nextHop, endpoint)
    if (before !== undefined) scope?.track(before.end())
  }

  function begin(granted: GrantedMapping, nextHop: Gateway, endpoint: Endpoint): Outer | undefined {
    if (scope === undefined || isEnding || !routersBeyond.canAsk) return undefined
    // A next hop that lies about its address has made the mapping all the same.
    const external = { address: endpoint.address, isTrue: !isGlobal(endpoint.address) }
    const level = routersBeyond.enter(nextHop, external, scope)
    const wanted: WantedEndpoint = {
      endpoint,
      externalPort: want.externalPort,
      lifetimeMs: Math.min(want.lifetimeMs, outerLifetimeMs),
      suffix: want.suffix,
      origin: granted.endpoint
    }
    const mapping = createEndpointMapping(wanted, level.context, {
      changed: () => undefined,
      told: (event) => toldEvents.outer(event)
    })
    const controller = new AbortController()
    const running = mapping.run(controller, scope).finally(() => level.leave())
    scope.track(running)
    return {
      endpoint,
      level,
      mapping,
      end() {
        controller.abort(ended)
        return running
      }
    }
  }

  /** Returns how long the inner mapping waits for the release of the outer one, in ms. */
  const headStartMs = (): number => Math.min(maxHeadStartMs, Math.max(minHeadStartMs, queues.slowestMs()))

  return {
    levels: () => (outer === undefined ? [inner] : [inner, outer.mapping]),
    isSettled: () =>
      inner.isSettled() && (outer === undefined || (outer.level.hasSettled() && outer.mapping.isSettled())),
    claimChecked: () => follow(inner.active()),
    review() {
      const isDecided = outer === undefined || (outer.level.hasSettled() && !outer.level.isPending())
      if (isDecided && outer?.mapping.active() === undefined) toldEvents.release()
    },
    async run({ signal }, shutdown) {
      scope = shutdown
      const controller = new AbortController()
      const endInner = (): void => controller.abort(signal.reason)
      const stop = (): void => {
        isEnding = true
        if (outer === undefined) endInner()
      }
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
      const running = inner.run(controller, shutdown)
      await Promise.race([running, untilAborted(signal)])
      signal.removeEventListener('abort', stop)
      isEnding = true
      const ending = outer?.end()
      if (ending !== undefined) await waitAtMost(host.clock, headStartMs(), ending, undefined)
      endInner()
      await running
      await ending
    }
  }
}

/** Returns the next hop that granted a mapping with an external address that only the router behind it can make
 * reachable: a private or carrier-grade one, or one that lies beyond the next hop. Undefined for any other mapping. */
function nextHopOf({ external, mapper }: GrantedMapping, { claimChecks, network }: Context): Gateway | undefined {
  const { gateway } = mapper
  if (gateway === null || external.family !== 4) return undefined
  const kind = classOf(external.address)
  const isBehind = kind === 'private' || kind === 'carrier-grade'
  if (!isBehind && (kind !== 'global' || !claimChecks.contradicts(external.address))) return undefined
  const primary = primaryGateway(network(), 4)
  if (primary === undefined || !hasNextHop(primary)) return undefined
  return canonicalAddress(primary.address) === canonicalAddress(gateway.address) ? primary : undefined
}

function outerEndpoint(granted: GrantedMapping | undefined): Endpoint | undefined {
  if (granted === undefined) return undefined
  const { address, family, port, protocol } = granted.external
  return { address, family, port, protocol }
}
