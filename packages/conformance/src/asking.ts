import { fail } from 'node:assert/strict'
import {
  canonicalAddress,
  type ForwardRequest,
  familyOf,
  type Lease,
  type Mapper,
  type MapRequest,
  type Protocol,
  parseMultiaddr,
  type TransportAddress
} from '@postern/interface'
import type { Stage } from './stage.js'
import type { OutsideMapping } from './subject.js'
import type { Target } from './target.js'

/** A key with a recognizable pattern, so that a leak is easy to find. */
export const testKey: Uint8Array = Uint8Array.from({ length: 16 }, (_, index) => 0xa1 + 5 * index)
export const otherKey: Uint8Array = testKey.map((byte) => byte ^ 0xff)

/** Returns call options with a signal that never aborts. */
export const call = (): { readonly signal: AbortSignal } => ({ signal: new AbortController().signal })

/** The values in which a request differs from the default one. */
export interface Wish {
  readonly protocol?: Protocol
  readonly port?: number
  readonly suggestedExternalPort?: number
  readonly lifetimeMs?: number
  readonly key?: Uint8Array
}

/** Resolves with the mapper of a target. Fails the test if the strategy finds another ability. */
export async function mapperOf(stage: Stage, target: Target): Promise<Mapper> {
  const ability = await stage.ability(target)
  return ability.kind === 'mapper' ? ability : fail(`${target.label} is no longer a mapper`)
}

/** Returns a request that the mapper should grant. */
export function requestFor(stage: Stage, mapper: Mapper, wish: Wish = {}): MapRequest {
  const { family, gateway, protocols } = mapper
  const own = stage.world.network.addresses.find((address) => familyOf(address) === family)
  const address = gateway?.localAddress ?? own ?? (family === 4 ? '192.168.1.10' : 'fd00::10')
  const { protocol = protocols[0] ?? 'tcp', port = 8080, lifetimeMs = 7_200_000, key = testKey } = wish
  return {
    endpoint: { protocol, family, address, port },
    suggestedExternalPort: wish.suggestedExternalPort ?? port,
    lifetimeMs,
    key: key.slice()
  }
}

/** Returns a request that the forwarder should grant: for the endpoint of the world, for its other endpoint if another port
 * is wished, or else for a port of loopback. */
export function forwardRequestFor({ world }: Stage, wish: Wish = {}): ForwardRequest {
  const { protocol = 'tcp', port = 8080 } = wish
  const own = wish.port === undefined ? world.endpoint : world.otherEndpoint
  const endpoint = own ?? { protocol, family: 4, address: '127.0.0.1', port }
  return { endpoint, suggestedExternalPort: wish.suggestedExternalPort ?? endpoint.port }
}

/** A lease, with the mapper and the request. */
export interface Granted {
  readonly lease: Lease
  /** Present for leases of a mapper, with the request. */
  readonly mapper?: Mapper
  readonly request?: MapRequest
}

/** Maps or reserves. Fails the test if that is refused, since it cannot run without a lease. */
export async function granted(stage: Stage, target: Target, wish: Wish = {}): Promise<Granted> {
  const ability = await stage.ability(target)
  if (ability.kind === 'mapper') {
    const request = requestFor(stage, ability, wish)
    return { lease: await leaseFrom(stage, ability.map(request, call())), mapper: ability, request }
  }
  if (ability.kind === 'forwarder')
    return { lease: await leaseFrom(stage, ability.forward(forwardRequestFor(stage, wish), call())) }
  if (ability.kind === 'relay') return { lease: await leaseFrom(stage, ability.reserve(call())) }
  return fail(`${target.label} grants no leases`)
}

/** Maps. Fails the test if that is refused. */
export async function mapped(
  stage: Stage,
  target: Target,
  wish: Wish = {}
): Promise<{ readonly lease: Lease; readonly mapper: Mapper; readonly request: MapRequest }> {
  const { lease, mapper, request } = await granted(stage, target, wish)
  if (mapper === undefined || request === undefined) return fail(`${target.label} is no longer a mapper`)
  return { lease, mapper, request }
}

/** Resolves with the granted lease. Fails the test if none is granted in time. */
export async function leaseFrom(stage: Stage, pending: Promise<Lease>, limitMs = 10_000): Promise<Lease> {
  const outcome = await stage.outcome(pending, limitMs)
  if (outcome.state === 'fulfilled') return outcome.value
  return fail(
    outcome.state === 'pending'
      ? `no lease was granted within ${limitMs / 1000} s`
      : `no lease was granted: ${told(outcome.reason)}`
  )
}

/** Returns the mappings of the gateway for the endpoint of a request. */
export function mappingsOf(stage: Stage, { endpoint }: MapRequest): readonly OutsideMapping[] {
  const address = canonicalAddress(endpoint.address)
  return (stage.world.mappings?.() ?? []).filter(
    ({ protocol, internalAddress, internalPort }) =>
      protocol === endpoint.protocol && internalPort === endpoint.port && canonicalAddress(internalAddress) === address
  )
}

/** Returns the valid addresses of a lease. Only the rule `lease-has-addresses` tests that all are valid. */
export const addressesOf = ({ addresses }: Lease): readonly TransportAddress[] =>
  addresses.map(parseMultiaddr).filter((each) => each !== undefined)

/** Returns the text of an error or of any other thrown value. */
export const told = (reason: unknown): string => {
  if (!(reason instanceof Error)) return String(reason)
  return 'code' in reason ? `${String(reason.code)}: ${reason.message}` : `${reason.name}: ${reason.message}`
}
