import { randomBytes } from 'node:crypto'
import type { Connection, Stream } from '@libp2p/interface'
import { type CallOptions, natError, printable, within } from '@postern/interface'
import { directRoute, messagesOf, type Route } from '@postern/libp2p-utils'
import { createPlaces } from '@postern/net'
import type { AutonatHost } from '../host.js'
import { fits } from '../wire/route.js'
import { decodeDialBack, dialBackProtocol, encodeDialBackResponse } from '../wire/v2.js'

/** The expected nonces, and the protocol handler that receives them. */
export interface DialBacks {
  /** Registers the handler. Rejects with a TypeError if another service handles the protocol. */
  handle(): Promise<void>
  /** Removes the handler immediately, so that another service can register it, and resets the streams in progress. */
  unhandle(): Promise<void>
  /** Creates a nonce for one question about one address. */
  expect(asked: Route): Expected
}

interface DialBackCounters {
  /** Nonces that proved their address. */
  proven: number
  /** Unexpected nonces: late, already used, or never ours. */
  foreign: number
  /** Expected nonces that arrived over a connection that proves nothing. */
  unfit: number
  /** Streams that proved nothing, including those counted by `foreign` and `unfit`. */
  dropped: number
}

/** An expected nonce. */
export interface Expected {
  readonly nonce: bigint
  /** Resolves when the nonce has arrived over a connection that proves the address. */
  readonly proof: Promise<void>
  readonly isProven: boolean
  /** Why the last connection that delivered the nonce proved nothing; undefined if there was none. */
  readonly unfit: string | undefined
  /** Stops expecting the nonce. */
  forget(): void
}

interface Waiting {
  readonly asked: Route
  /**
   * The connections that existed when the question was asked. A connection with an unfinished handshake is not
   * included: it was dialled earlier by at most libp2p's handshake timeout.
   */
  readonly before: ReadonlySet<string>
  readonly prove: () => void
  unfit: string | undefined
}

/** A dial back carries only a nonce. */
const maxBytes = 256
const handlerMs = 5_000
/** Concurrent streams. A server opens one per dial back; a peer that opens more is not answering a question. */
const maxStreams = { total: 32, subnet: 32, ip: 32, peer: 2 }

export function createDialBacks({ clock, log, components }: AutonatHost): DialBacks {
  const { registrar, connectionManager } = components
  const waiting = new Map<bigint, Waiting>()
  const receiving = new Map<AbortController, Promise<void>>()
  const places = createPlaces<AbortController>(maxStreams)
  let isHandling = false
  const counters: DialBackCounters = { proven: 0, foreign: 0, unfit: 0, dropped: 0 }

  function accept(stream: Stream, connection: Connection): void {
    const controller = new AbortController()
    if (waiting.size === 0 || !enter(controller, connection)) {
      counters.dropped += 1
      stream.abort(new Error('no dial back is expected'))
      return
    }
    receiving.set(
      controller,
      receive(stream, connection, controller).finally(() => {
        receiving.delete(controller)
        places.free(controller)
      })
    )
  }

  /**
   * Returns whether the stream was admitted. Evicts a stream of a busier prefix, so that silent streams cannot block
   * proofs.
   */
  function enter(controller: AbortController, connection: Connection): boolean {
    const party = { address: ipOf(connection), peer: connection.remotePeer.toString() }
    const refusal = places.take(controller, party)
    if (refusal === undefined) return true
    const victim = refusal === 'peer' ? undefined : places.findVictim(party, refusal, () => true)
    if (victim === undefined) return false
    places.free(victim)
    victim.abort(new Error('the stream was evicted for another peer'))
    return places.take(controller, party) === undefined
  }

  async function receive(stream: Stream, connection: Connection, whole: CallOptions): Promise<void> {
    const messages = messagesOf(stream, maxBytes, clock)
    const late = (): Error => natError('NO_REPLY', 'the dial back sent no nonce in time')
    try {
      await within(clock, handlerMs, whole, late, async (call) => {
        match(decodeDialBack(await messages.read(call)), connection)
        await messages.write(encodeDialBackResponse(), call)
        await messages.finish(call)
      })
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error))
      counters.dropped += 1
      messages.reset(reason)
      log.debug(
        `autonat: a dial back from ${printable(connection.remoteAddr.toString())} proved nothing: ${reason.message}`
      )
    }
  }

  /** Accepts a nonce that proves its address. Throws otherwise, so that the server sees a reset stream. */
  function match(nonce: bigint, connection: Connection): void {
    const expected = waiting.get(nonce)
    if (expected === undefined) {
      counters.foreign += 1
      throw new Error('no request expects this nonce')
    }
    const unfit = unfitness(expected, connection)
    if (unfit !== undefined) {
      // The nonce stays valid: a connection that proves the address may still deliver it.
      counters.unfit += 1
      expected.unfit = unfit
      throw new Error(unfit)
    }
    // A nonce is valid once.
    waiting.delete(nonce)
    counters.proven += 1
    expected.prove()
  }

  return {
    async handle() {
      if (registrar.getProtocols().includes(dialBackProtocol)) {
        throw new TypeError(
          `another service handles ${dialBackProtocol}: leave @libp2p/autonat-v2 out, or the second autonat()`
        )
      }
      isHandling = true
      await registrar.handle(dialBackProtocol, accept, { maxInboundStreams: 2, maxOutboundStreams: 1 })
    },
    async unhandle() {
      if (!isHandling) return
      isHandling = false
      for (const controller of receiving.keys()) controller.abort(new Error('the search for witnesses has ended'))
      waiting.clear()
      await Promise.all([registrar.unhandle(dialBackProtocol), ...receiving.values()])
      const { proven, foreign, unfit, dropped } = counters
      log.debug(`autonat: dial backs: ${proven} proven, ${foreign} foreign, ${unfit} unfit, ${dropped} dropped`)
    },
    expect(asked) {
      const { promise: proof, resolve } = Promise.withResolvers<void>()
      const nonce = randomBytes(8).readBigUInt64LE()
      const before = new Set(connectionManager.getConnections().map(({ id }) => id))
      let isProven = false
      const prove = (): void => {
        isProven = true
        resolve()
      }
      const entry: Waiting = { asked, before, prove, unfit: undefined }
      waiting.set(nonce, entry)
      return {
        nonce,
        proof,
        get isProven() {
          return isProven
        },
        get unfit() {
          return entry.unfit
        },
        forget: () => void waiting.delete(nonce)
      }
    }
  }
}

/** Returns the IP address at the other end of a connection; for a relayed connection, the address of the relay. */
const ipOf = ({ remoteAddr }: Connection): string =>
  remoteAddr.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')?.value ?? ''

/**
 * Returns why a connection does not prove that the address was dialled; undefined if it does, as far as can be checked.
 *
 * The spec says that the client compares the local address of the connection. js-libp2p does not expose that address,
 * so this function checks the remote end instead: the connection must be new, inbound and direct, and must use the
 * family and transport of the address. Any peer id is accepted: "the server is free to use a separate peerID for the
 * dial backs".
 */
function unfitness({ asked, before }: Waiting, connection: Connection): string | undefined {
  const route = directRoute(connection)
  if (before.has(connection.id)) return 'the nonce came over an existing connection'
  if (connection.direction !== 'inbound') return 'the nonce came over an outbound connection of this node'
  if (route === undefined) return 'the nonce came over a relayed connection'
  if (!fits(asked, route)) {
    return `the nonce came over ${route.transport} and IPv${route.family}, not ${asked.transport} and IPv${asked.family}`
  }
  return undefined
}
