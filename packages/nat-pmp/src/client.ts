import type { CallOptions, Gateway, Host } from '@postern/interface'
import { createQueue, type OpenUdp, type Queue, requestUdp } from '@postern/net'
import {
  decodeExternalAddressReply,
  decodeMappingReply,
  encodeExternalAddressRequest,
  encodeMappingRequest,
  type MappingReply,
  type MappingRequest
} from './codec.js'
import { epochWatch } from './epoch.js'

/** RFC 6886 §3.1: the first wait is 250 ms, each next one twice as long, nine in all. */
export const waitsMs: readonly number[] = Array.from({ length: 9 }, (_, sending) => 250 * 2 ** sending)

/** How long an external address that the router told is taken for its present one without asking again. */
const addressFreshMs = 1000

/** Talks to one gateway. */
export interface Client {
  /** RFC 6886 §3.1 allows one request at a time. */
  readonly inTurn: Queue
  externalAddress(call: CallOptions, waits?: readonly number[]): Promise<string>
  /** `from` is the address to send from, and the one that is mapped. */
  map(request: MappingRequest, from: string, call: CallOptions, waits?: readonly number[]): Promise<MappingReply>
  /** The external address as last told, if that was a moment ago. */
  freshAddress(): string | undefined
}

export interface ClientEvents {
  restarted(): void
  addressChanged(): void
}

export function createClient(host: Host, gateway: Gateway, port: number, open: OpenUdp, events: ClientEvents): Client {
  const { clock } = host
  const epochs = epochWatch()
  let known: { readonly address: string; readonly atMs: number } | undefined

  async function ask<T extends { readonly epochSeconds: number }>(
    bytes: Uint8Array,
    localAddress: string,
    match: (reply: Uint8Array) => T | undefined,
    waits: readonly number[],
    call: CallOptions
  ): Promise<T> {
    const remote = { address: gateway.address, port }
    const reply = await requestUdp(
      { remote, family: 4, localAddress, bytes, waitsMs: waits, match, clock, isGuessable: true, open },
      call
    )
    if (epochs.hasRestarted(reply.epochSeconds, clock.monotonicMs())) {
      known = undefined
      events.restarted()
    }
    return reply
  }

  return {
    inTurn: createQueue(),
    async externalAddress(call, waits = waitsMs) {
      const request = encodeExternalAddressRequest()
      const { address } = await ask(request, gateway.localAddress, decodeExternalAddressReply, waits, call)
      const before = known
      known = { address, atMs: clock.monotonicMs() }
      if (before !== undefined && before.address !== address) events.addressChanged()
      return address
    },
    map(request, from, call, waits = waitsMs) {
      const match = (reply: Uint8Array): MappingReply | undefined => decodeMappingReply(reply, request)
      return ask(encodeMappingRequest(request), from, match, waits, call)
    },
    freshAddress() {
      return known !== undefined && clock.monotonicMs() - known.atMs <= addressFreshMs ? known.address : undefined
    }
  }
}
