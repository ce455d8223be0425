import type { CallOptions } from '@postern/interface'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import type { StunAddress } from '../src/address-codec.js'
import { type FakeNat, fakeNat, type NatPlan } from './fake-nat.js'

export const alpha: StunAddress = { address: '21.0.0.1', port: 3478 }
export const alphaOther: StunAddress = { address: '21.0.0.2', port: 3479 }
export const bravo: StunAddress = { address: '31.0.0.1', port: 3478 }

/** The NAT of most homes with Linux inside. */
export const plainNat: NatPlan = { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' }

export interface Scene {
  readonly clock: VirtualClock
  readonly nat: FakeNat
}

export function scene(plan: NatPlan = plainNat): Scene {
  const clock = virtualClock()
  return { clock, nat: fakeNat(clock, plan) }
}

/** A call that is never aborted. */
export const call = (): CallOptions => ({ signal: new AbortController().signal })

/** Awaits a promise while virtual time passes. Resolves to its value or the code of its error, and the time. */
export async function outcome<T>(
  clock: VirtualClock,
  promise: Promise<T>,
  limitMs = 400_000
): Promise<{ readonly value?: T; readonly code?: unknown; readonly error?: unknown; readonly tookMs: number }> {
  const began = clock.monotonicMs()
  const state: {
    end?: { readonly value?: T; readonly code?: unknown; readonly error?: unknown; readonly tookMs: number }
  } = {}
  const tookMs = (): number => clock.monotonicMs() - began
  promise.then(
    (value) => {
      state.end = { value, tookMs: tookMs() }
    },
    (error: unknown) => {
      state.end = { code: error instanceof Error && 'code' in error ? error.code : undefined, error, tookMs: tookMs() }
    }
  )
  for (let passed = 0; state.end === undefined && passed <= limitMs; passed += 10)
    await clock.advance(passed === 0 ? 0 : 10)
  if (state.end === undefined) throw new Error(`nothing came of it within ${limitMs} ms`)
  return state.end
}
