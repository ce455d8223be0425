import type { CallOptions, Gateway, Host } from '@postern/interface'
import { type AnswerTimes, createQueue, type OpenUdp, type Queue, spacedUdp, waitsFor } from '@postern/net'
import {
  decodeExternalAddressReply,
  decodeMappingReply,
  encodeExternalAddressRequest,
  encodeMappingRequest,
  type MappingReply,
  type MappingRequest
} from './codec.js'
import { epochWatch } from './epoch.js'

/** RFC 6886 §3.1: the first wait is 250 ms, each next one twice as long, nine in all. For a gateway that was never heard: one
 * that was is waited for as long as a slow router takes. */
export const waitsMs: readonly number[] = Array.from({ length: 9 }, (_, sending) => 250 * 2 ** sending)

/** How long an external address that the router told is taken for its present one without asking again. */
const addressFreshMs = 1000

/** Talks to one gateway. */
export interface Client {
  /** RFC 6886 §3.1 allows one request at a time. */
  readonly inTurn: Queue
  /** How long the gateway took to answer. */
  readonly times: AnswerTimes
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

export interface ClientOptions {
  readonly host: Host
  readonly gateway: Gateway
  readonly port: number
  readonly open: OpenUdp
  readonly times: AnswerTimes
}

export function createClient(options: ClientOptions, events: ClientEvents): Client {
  const { host, gateway, port, open, times } = options
  const { clock } = host
  const request = spacedUdp(clock, times, open)
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
    const reply = await request(
      { remote, family: 4, localAddress, bytes, waitsMs: waits, match, isGuessable: true },
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
    times,
    async externalAddress(call, waits = waitsFor(times.limitMs())) {
      const asked = encodeExternalAddressRequest()
      const { address } = await ask(asked, gateway.localAddress, decodeExternalAddressReply, waits, call)
      const before = known
      known = { address, atMs: clock.monotonicMs() }
      if (before !== undefined && before.address !== address) events.addressChanged()
      return address
    },
    map(asked, from, call, waits = waitsFor(times.limitMs())) {
      const match = (reply: Uint8Array): MappingReply | undefined => decodeMappingReply(reply, asked)
      return ask(encodeMappingRequest(asked), from, match, waits, call)
    },
    freshAddress() {
      return known !== undefined && clock.monotonicMs() - known.atMs <= addressFreshMs ? known.address : undefined
    }
  }
}
