import { type CallOptions, type Family, type Gateway, type Host, isNatError, type NatError } from '@postern/interface'
import { type AnswerTimes, type Queue, type UdpLine, waitsFor } from '@postern/net'
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
 * NAT-PMP's schedule (RFC 6886 §3.1). RFC 6887 §8.1.1 begins with 3 s, doubles up to 1024 s and never ends, which
 * suits a server anywhere in a provider's network; ours is the next hop, and who waits for it is a person.
 */
export const waitsMs: readonly number[] = Array.from({ length: 9 }, (_, sending) => 250 * 2 ** sending)

/** Talks to one server. */
export interface Client {
  /** One request at a time: servers in small routers drop what comes in meanwhile. */
  readonly inTurn: Queue
  /** How long the server took to answer. */
  readonly times: AnswerTimes
  /** Whether a server is there. Rejects if there is none for us. */
  announce(call: CallOptions, waits?: readonly number[]): Promise<void>
  /** The server's answer, which may be an error. `from` is the address to send from, and the one that is mapped. */
  map(request: MappingRequest, from: string, call: CallOptions, waits?: readonly number[]): Promise<MappingReply>
}

export interface ClientEvents {
  restarted(): void
  /** It speaks another version, whatever it spoke before. */
  otherVersion(error: NatError): void
  /** Another host has answered in the place of the server, while that was looked for. Left out where it is not to be used. */
  answeredElsewhere?: ((address: string) => void) | undefined
}

export interface ClientOptions {
  readonly host: Host
  readonly gateway: Gateway
  readonly family: Family
  readonly port: number
  readonly line: UdpLine
}

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
      // §8.5: every answer counts, errors too.
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
        encodeAnnounceRequest(from),
        from,
        decodeAnnounceReply,
        waits,
        call,
        hasAnswered ? undefined : events.answeredElsewhere
      )
      // §14.1: whoever does not know ANNOUNCE, or has trouble just now, is a PCP server all the same.
      if (reply.result === result.unsupportedVersion || reply.result === result.addressMismatch) throw refusal(reply)
    },
    map(asked, from, call, waits = waitsFor(times.limitMs())) {
      const match = (reply: Uint8Array): MappingReply | undefined => decodeMappingReply(reply, asked)
      return ask(encodeMappingRequest(asked, from), from, match, waits, call)
    }
  }
}
