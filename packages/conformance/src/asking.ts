import { fail } from 'node:assert/strict'
import {
  canonicalAddress,
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

/** Easy to find again wherever it should not be. */
export const testKey: Uint8Array = Uint8Array.from({ length: 16 }, (_, index) => 0xa1 + 5 * index)
export const otherKey: Uint8Array = testKey.map((byte) => byte ^ 0xff)

/** A call that nobody aborts. */
export const call = (): { readonly signal: AbortSignal } => ({ signal: new AbortController().signal })

/** What a test wishes for in another way than others. */
export interface Wish {
  readonly protocol?: Protocol
  readonly port?: number
  readonly suggestedExternalPort?: number
  readonly lifetimeMs?: number
  readonly key?: Uint8Array
}

export async function mapperOf(stage: Stage, target: Target): Promise<Mapper> {
  const ability = await stage.ability(target)
  return ability.kind === 'mapper' ? ability : fail(`${target.label} is no mapper any more`)
}

/** A request that the mapper has every reason to grant. */
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

/** What a lease was granted by, and for what. */
export interface Granted {
  readonly lease: Lease
  /** Of a mapper. */
  readonly mapper?: Mapper
  readonly request?: MapRequest
}

/** Maps or reserves. Fails where that is refused: every other test of leases would be without one. */
export async function granted(stage: Stage, target: Target, wish: Wish = {}): Promise<Granted> {
  const ability = await stage.ability(target)
  if (ability.kind === 'mapper') {
    const request = requestFor(stage, ability, wish)
    return { lease: await leaseFrom(stage, ability.map(request, call())), mapper: ability, request }
  }
  if (ability.kind === 'relay') return { lease: await leaseFrom(stage, ability.reserve(call())) }
  return fail(`${target.label} grants no leases`)
}

/** Maps. */
export async function mapped(
  stage: Stage,
  target: Target,
  wish: Wish = {}
): Promise<{ readonly lease: Lease; readonly mapper: Mapper; readonly request: MapRequest }> {
  const { lease, mapper, request } = await granted(stage, target, wish)
  if (mapper === undefined || request === undefined) return fail(`${target.label} is no mapper any more`)
  return { lease, mapper, request }
}

/** The lease that is granted, or a failed test. */
export async function leaseFrom(stage: Stage, pending: Promise<Lease>, limitMs = 10_000): Promise<Lease> {
  const outcome = await stage.outcome(pending, limitMs)
  if (outcome.state === 'fulfilled') return outcome.value
  return fail(
    outcome.state === 'pending'
      ? `nothing is granted within ${limitMs / 1000} s`
      : `nothing is granted: ${told(outcome.reason)}`
  )
}

/** What is mapped outside for the endpoint of a request. */
export function mappingsOf(stage: Stage, { endpoint }: MapRequest): readonly OutsideMapping[] {
  const address = canonicalAddress(endpoint.address)
  return (stage.world.mappings?.() ?? []).filter(
    ({ protocol, internalAddress, internalPort }) =>
      protocol === endpoint.protocol && internalPort === endpoint.port && canonicalAddress(internalAddress) === address
  )
}

/** The addresses of a lease that can be read. Whether all can is the subject of one test, and not of the others. */
export const addressesOf = ({ addresses }: Lease): readonly TransportAddress[] =>
  addresses.map(parseMultiaddr).filter((each) => each !== undefined)

/** An error, or whatever else was thrown, in words. */
export const told = (reason: unknown): string => {
  if (!(reason instanceof Error)) return String(reason)
  return 'code' in reason ? `${String(reason.code)}: ${reason.message}` : `${reason.name}: ${reason.message}`
}
