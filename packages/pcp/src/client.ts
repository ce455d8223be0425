import {
  type CallOptions,
  type Family,
  type Gateway,
  type Host,
  isNatError,
  type NatError,
  type Queue
} from '@postern/interface'
import { type AnswerTimes, type UdpLine, waitsFor } from '@postern/net'
import {
  decodeAnnounceReply,
  decodeMappingReply,
  encodeAnnounceRequest,
  encodeMappingRequest,
  type MappingReply,
  type MappingRequest,
  type Reply,
  result
} from './codec.js'
import { epochWatch } from './epoch.js'
import { refusal } from './results.js'

/**
 * The waits after each transmission while searching, in ms: the schedule of NAT-PMP (RFC 6886 §3.1). The schedule of
 * RFC 6887 §8.1.1 begins with 3 s, doubles up to 1024 s and never ends. It suits a server anywhere in a provider's
 * network; here the server is the next hop, and a user waits for the result.
 */
export const waitsMs: readonly number[] = Array.from({ length: 9 }, (_, sending) => 250 * 2 ** sending)

/** The client of one PCP server. */
export interface Client {
  /** Queues requests: servers in small routers drop requests that arrive while one is in progress. */
  readonly inTurn: Queue
  /** How long the server takes to answer. */
  readonly times: AnswerTimes
  /** Resolves if there is a server for this host. Rejects with `UNSUPPORTED_VERSION`, `ADDRESS_MISMATCH`, or the codes
   * of `requestUdp`. */
  announce(call: CallOptions, waits?: readonly number[]): Promise<void>
  /** Resolves to the answer of the server, which may be an error result. `from` is the address to send from, and to
   * map. */
  map(request: MappingRequest, from: string, call: CallOptions, waits?: readonly number[]): Promise<MappingReply>
}

/** The callbacks of a {@link Client}. */
export interface ClientEvents {
  /** Called when the epoch of an answer shows that the server lost its mappings. */
  restarted(): void
  /** Called when the server answers that it uses another version, even if it used version 2 before. */
  otherVersion(error: NatError): void
  /** Called with the address of another host that answered instead of the server during the search. Undefined if such
   * hosts do not matter. */
  answeredElsewhere?: ((address: string) => void) | undefined
}

/** The options of {@link createClient}. */
export interface ClientOptions {
  readonly host: Host
  readonly gateway: Gateway
  readonly family: Family
  readonly port: number
  readonly line: UdpLine
}

/** Creates the client of one server. */
export function createClient(options: ClientOptions, events: ClientEvents): Client {
  const { host, gateway, family, port, line } = options
  const { times, inTurn, request } = line
  const { clock } = host
  const epochs = epochWatch()
  let hasAnswered = false

  async function ask<T extends Reply>(
    bytes: Uint8Array,
    localAddress: string,
    match: (reply: Uint8Array) => T | undefined,
    waits: readonly number[],
    call: CallOptions,
    elsewhere?: (address: string) => void
  ): Promise<T> {
    const remote = { address: gateway.address, port }
    try {
      const reply = await request({ remote, family, localAddress, bytes, waitsMs: waits, match, elsewhere }, call)
      hasAnswered = true
      // §8.5: check the epoch of every answer, including errors.
      if (epochs.hasRestarted(reply.epochSeconds, clock.monotonicMs())) events.restarted()
      if (reply.result === result.unsupportedVersion) events.otherVersion(refusal(reply))
      return reply
    } catch (error) {
      if (isNatError(error) && error.code === 'UNSUPPORTED_VERSION') events.otherVersion(error)
      throw error
    }
  }

  return {
    inTurn,
    times,
    async announce(call, waits = waitsFor(times.limitMs())) {
      const from = gateway.localAddress
      const reply = await ask(
        encodeAnnounceRequest(gateway.through?.clientAddress ?? from),
        from,
        decodeAnnounceReply,
        waits,
        call,
        hasAnswered ? undefined : events.answeredElsewhere
      )
      checkAnnounceReply(reply)
    },
    map(asked, from, call, waits = waitsFor(times.limitMs())) {
      const match = (reply: Uint8Array): MappingReply | undefined => decodeMappingReply(reply, asked)
      // A router beyond the next hop sees requests, and connections, come from the address of the next hop: `from`.
      const sender = gateway.through === undefined ? from : gateway.localAddress
      return ask(encodeMappingRequest(asked, from), sender, match, waits, call)
    }
  }
}

/** Throws the refusal of a server that is of no use to this host. §14.1: a server that does not support ANNOUNCE, or
 * returns another error, is still a PCP server. */
function checkAnnounceReply(reply: Reply): void {
  if (reply.result === result.unsupportedVersion || reply.result === result.addressMismatch) throw refusal(reply)
}

/** Decodes the answer to ANNOUNCE. Returns undefined for an answer to another request. Throws the refusal of a server
 * that is of no use to this host, or `MALFORMED_REPLY`. */
export function acceptAnnounceReply(bytes: Uint8Array): Reply | undefined {
  const reply = decodeAnnounceReply(bytes)
  if (reply !== undefined) checkAnnounceReply(reply)
  return reply
}
