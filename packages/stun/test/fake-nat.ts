import { type Behaviour, type Endpoint, natError, type SharedUdpSocket } from '@postern/interface'
import type { OpenUdp } from '@postern/net'
import type { VirtualClock } from '@postern/testkit'
import type { StunAddress } from '../src/address-codec.js'

/** How a NAT treats UDP. */
export interface NatPlan {
  readonly mapping: Behaviour
  readonly filtering: Behaviour
  readonly hairpin?: boolean
  /** How long a mapping lives after the last datagram outwards, in ms. */
  readonly lifetimeMs?: number
}

/** A host at an external address. Answers with `reply`, from any of its addresses. */
export type Outsider = (
  bytes: Uint8Array,
  from: StunAddress,
  reply: (bytes: Uint8Array, from: StunAddress, to?: StunAddress) => void
) => void

interface Mapping {
  readonly port: number
  readonly inside: string
  readonly allowed: Set<string>
  usedMs: number
}

/** A host behind a NAT and the hosts outside, on a virtual clock. A datagram takes 10 ms each way. */
export interface FakeNat {
  readonly openUdp: OpenUdp
  /** Opens a socket that the program shares, with the datagrams that the program received. */
  lend(port: number): { readonly tap: SharedUdpSocket; readonly heard: Uint8Array[] }
  /** Puts a host at an external address and port. */
  at(where: StunAddress, outsider: Outsider): void
  /** The destinations of the datagrams that were sent, such as `21.0.0.1:3478`. */
  readonly sent: string[]
  readonly openSockets: number
  /** Whether the NAT drops everything. */
  silent: boolean
}

export const externalAddress = '11.0.0.2'
export const ownAddress = '192.168.1.2'
const key = ({ address, port }: StunAddress): string => `${address}:${port}`
const never = new AbortController().signal

export function fakeNat(clock: VirtualClock, plan: NatPlan): FakeNat {
  const outside = new Map<string, Outsider>()
  const inside = new Map<string, (bytes: Uint8Array, from: StunAddress) => void>()
  const mappings = new Map<string, Mapping>()
  const sent: string[] = []
  let nextPort = 40_000
  let nextLocal = 50_000

  const later = (then: () => void): void => void clock.sleep(10, { signal: never }).then(then)

  /** Returns the part of the destination on which the external port depends. */
  function by(behaviour: Behaviour, { address, port }: StunAddress): string {
    if (behaviour === 'endpoint-independent') return ''
    return behaviour === 'address-dependent' ? address : `${address}:${port}`
  }

  function leave(from: StunAddress, to: StunAddress, bytes: Uint8Array): void {
    sent.push(key(to))
    if (result.silent) return
    const name = `${key(from)} ${by(plan.mapping, to)}`
    const old = mappings.get(name)
    const isAlive =
      old !== undefined && clock.monotonicMs() - old.usedMs < (plan.lifetimeMs ?? Number.POSITIVE_INFINITY)
    const mapping = isAlive ? old : { port: nextPort++, inside: key(from), allowed: new Set<string>(), usedMs: 0 }
    mapping.usedMs = clock.monotonicMs()
    mapping.allowed.add(by(plan.filtering, to))
    mappings.set(name, mapping)
    const seen = { address: externalAddress, port: mapping.port }
    const copy = bytes.slice()
    if (to.address === externalAddress) {
      if (plan.hairpin === true) later(() => arrive(copy, seen, to))
      return
    }
    later(() =>
      outside.get(key(to))?.(copy, seen, (answer, origin, elsewhere = seen) => {
        const reply = answer.slice()
        later(() => arrive(reply, origin, elsewhere))
      })
    )
  }

  function arrive(bytes: Uint8Array, from: StunAddress, to: StunAddress): void {
    const limit = plan.lifetimeMs ?? Number.POSITIVE_INFINITY
    const mapping = [...mappings.values()].find(
      ({ port, usedMs }) => port === to.port && clock.monotonicMs() - usedMs < limit
    )
    if (mapping === undefined || !mapping.allowed.has(by(plan.filtering, from))) return
    inside.get(mapping.inside)?.(bytes, from)
  }

  const result: FakeNat = {
    sent,
    silent: false,
    get openSockets() {
      return inside.size
    },
    at: (where, outsider) => void outside.set(key(where), outsider),
    lend(port) {
      const endpoint: Endpoint = { protocol: 'udp', family: 4, address: ownAddress, port }
      const heard: Uint8Array[] = []
      const listeners = new Set<Parameters<SharedUdpSocket['receive']>[0]>()
      inside.set(key(endpoint), (bytes, from) => {
        heard.push(bytes)
        for (const each of listeners) each(bytes, from)
      })
      const tap: SharedUdpSocket = {
        endpoint,
        send: (bytes, to) => leave(endpoint, to, bytes),
        receive(each, { signal }) {
          if (signal.aborted) return
          listeners.add(each)
          signal.addEventListener('abort', () => listeners.delete(each), { once: true })
        }
      }
      return { tap, heard }
    },
    async openUdp({ local, onMessage }, { signal }) {
      signal.throwIfAborted()
      if (local?.address !== ownAddress) throw natError('UNREACHABLE', 'no such address')
      const own = { address: ownAddress, port: local.port || nextLocal++ }
      inside.set(key(own), onMessage)
      const close = (): void => void inside.delete(key(own))
      signal.addEventListener('abort', close, { once: true })
      return {
        local: own,
        send: (bytes, to) => {
          if (to !== undefined) leave(own, to, bytes)
        },
        close
      }
    }
  }
  return result
}
