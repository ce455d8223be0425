import { type CallOptions, type Gateway, type Host, isNatError, type NatError, natError } from '@postern/interface'
import { type AnswerTimes, type Queue, type UdpLine, waitsFor } from '@postern/net'
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

/** Refusals of the question for the external address that say nothing of the mappings. */
const tellsNothing: ReadonlySet<string> = new Set(['UNSUPPORTED', 'OUT_OF_RESOURCES', 'GATEWAY_FAULT'])
/** Stands for an address that the gateway does not tell. */
const unknownAddress = '0.0.0.0'

/** The external address, and why it is not sure. */
export interface ToldAddress {
  readonly address: string
  readonly caveat?: NatError
}

/** Talks to one gateway. */
export interface Client {
  /** RFC 6886 §3.1 allows one request at a time. */
  readonly inTurn: Queue
  /** How long the gateway took to answer. */
  readonly times: AnswerTimes
  /** Resolves with the one told last, or with `0.0.0.0`, where the gateway refuses to tell it: it may map all the same. */
  externalAddress(call: CallOptions, waits?: readonly number[]): Promise<ToldAddress>
  /** `from` is the address to send from, and the one that is mapped. */
  map(request: MappingRequest, from: string, call: CallOptions, waits?: readonly number[]): Promise<MappingReply>
  /** The external address as last told, if that was a moment ago. */
  freshAddress(): ToldAddress | undefined
}

export interface ClientEvents {
  restarted(): void
  addressChanged(): void
  /** Another host has answered in the place of the gateway, while that was looked for. Left out where it is not to be used. */
  answeredElsewhere?: ((address: string) => void) | undefined
}

export interface ClientOptions {
  readonly host: Host
  readonly gateway: Gateway
  readonly port: number
  readonly line: UdpLine
}

export function createClient(options: ClientOptions, events: ClientEvents): Client {
  const { host, gateway, port, line } = options
  const { times, inTurn, request } = line
  const { clock } = host
  const epochs = epochWatch()
  let hasAnswered = false
  let known: { readonly address: string; readonly atMs: number } | undefined

  async function ask<T extends { readonly epochSeconds: number }>(
    bytes: Uint8Array,
    localAddress: string,
    match: (reply: Uint8Array) => T | undefined,
    waits: readonly number[],
    call: CallOptions,
    elsewhere?: (address: string) => void
  ): Promise<T> {
    const remote = { address: gateway.address, port }
    const reply = await request(
      { remote, family: 4, localAddress, bytes, waitsMs: waits, match, isGuessable: true, elsewhere },
      call
    )
    hasAnswered = true
    if (epochs.hasRestarted(reply.epochSeconds, clock.monotonicMs())) {
      known = undefined
      events.restarted()
    }
    return reply
  }

  return {
    inTurn,
    times,
    async externalAddress(call, waits = waitsFor(times.limitMs())) {
      const asked = encodeExternalAddressRequest()
      const elsewhere = hasAnswered ? undefined : events.answeredElsewhere
      try {
        const { address } = await ask(asked, gateway.localAddress, decodeExternalAddressReply, waits, call, elsewhere)
        const before = known
        known = { address, atMs: clock.monotonicMs() }
        if (before !== undefined && before.address !== address) events.addressChanged()
        return { address }
      } catch (error) {
        if (!isNatError(error) || !tellsNothing.has(error.code)) throw error
        const text = `the router maps ports and does not tell its external address: ${error.message}`
        const caveat = natError('EXTERNAL_ADDRESS_UNKNOWN', text, { cause: error })
        return { address: known?.address ?? unknownAddress, caveat }
      }
    },
    map(asked, from, call, waits = waitsFor(times.limitMs())) {
      const match = (reply: Uint8Array): MappingReply | undefined => decodeMappingReply(reply, asked)
      return ask(encodeMappingRequest(asked), from, match, waits, call)
    },
    freshAddress() {
      return known !== undefined && clock.monotonicMs() - known.atMs <= addressFreshMs ? known : undefined
    }
  }
}
