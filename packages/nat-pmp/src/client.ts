import {
  type CallOptions,
  type Gateway,
  type Host,
  isNatError,
  type NatError,
  natError,
  type Queue
} from '@postern/interface'
import { type AnswerTimes, type UdpLine, waitsFor } from '@postern/net'
import {
  decodeExternalAddressReply,
  decodeMappingReply,
  encodeExternalAddressRequest,
  encodeMappingRequest,
  type MappingReply,
  type MappingRequest
} from './codec.js'
import { epochWatch } from './epoch.js'

/** The waits after each transmission while searching, in ms: 250 ms doubled eight times (RFC 6886 §3.1). A gateway that
 * has answered before gets the waits of its {@link AnswerTimes} instead. */
export const waitsMs: readonly number[] = Array.from({ length: 9 }, (_, sending) => 250 * 2 ** sending)

/** How long an external address is used without asking the router again, in ms: endpoints that are mapped together ask
 * once. */
const addressFreshMs = 1000

/** Refusals of the question for the external address that do not mean that mapping fails. */
const tellsNothing: ReadonlySet<string> = new Set(['UNSUPPORTED', 'OUT_OF_RESOURCES', 'GATEWAY_FAULT'])
/** The placeholder for an address that the gateway does not tell. */
const unknownAddress = '0.0.0.0'

/** The external address, and why it is uncertain. */
export interface ToldAddress {
  readonly address: string
  readonly caveat?: NatError
}

/** The client of one gateway. */
export interface Client {
  /** Queues requests: RFC 6886 §3.1 allows only one at a time. */
  readonly inTurn: Queue
  /** How long the gateway takes to answer. */
  readonly times: AnswerTimes
  /** Resolves to the external address. If the gateway refuses to tell it, resolves to the last known one, or to
   * `0.0.0.0`, with a caveat: the gateway may still map ports. */
  externalAddress(call: CallOptions, waits?: readonly number[]): Promise<ToldAddress>
  /** Requests a mapping. `from` is the address to send from, and to map. Rejects with the refusal of the gateway, or
   * with the codes of `requestUdp`. */
  map(request: MappingRequest, from: string, call: CallOptions, waits?: readonly number[]): Promise<MappingReply>
  /** Returns the external address if the gateway told it within the last second. */
  freshAddress(): ToldAddress | undefined
}

/** The callbacks of a {@link Client}. */
export interface ClientEvents {
  /** Called when the epoch of an answer shows that the gateway lost its mappings. */
  restarted(): void
  /** Called when an answer shows another external address. */
  addressChanged(): void
  /** Called with the address of another host that answered instead of the gateway during the search. Undefined if such
   * hosts do not matter. */
  answeredElsewhere?: ((address: string) => void) | undefined
}

/** The options of {@link createClient}. */
export interface ClientOptions {
  readonly host: Host
  readonly gateway: Gateway
  readonly port: number
  readonly line: UdpLine
}

/** Creates the client of one gateway. */
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
      // A router beyond the next hop maps the address of the next hop, from which it sees the request come.
      const sender = gateway.through === undefined ? from : gateway.localAddress
      return ask(encodeMappingRequest(asked), sender, match, waits, call)
    },
    freshAddress() {
      return known !== undefined && clock.monotonicMs() - known.atMs <= addressFreshMs ? known : undefined
    }
  }
}
