import { randomBytes } from 'node:crypto'
import type { Connection, Stream } from '@libp2p/interface'
import { type CallOptions, natError, printable } from '@postern/interface'
import { messagesOf } from '@postern/messages'
import { createPlaces, within } from '@postern/net'
import { decodeDialBack, dialBackProtocol, encodeDialBackResponse } from './codec.js'
import type { AutonatHost } from './host.js'
import { directRoute, fits, type Route } from './route.js'

/** The nonces that are expected, and the handler that they come to. */
export interface DialBacks {
  /** Registers the handler. Throws a TypeError if somebody else handles the protocol. */
  handle(): Promise<void>
  /** Removes the handler, at once: whoever wants it next may have it. What is under way is reset. */
  unhandle(): Promise<void>
  /** Makes a nonce for one question about one address. */
  expect(asked: Route): Expected
}

interface DialBackCounters {
  /** Nonces that came as they should. */
  proven: number
  /** Nonces that nobody waits for: late, used, or never ours. */
  foreign: number
  /** Our nonces over a connection that proves nothing. */
  unfit: number
  /** Streams that came to nothing, those of the two above among them. */
  dropped: number
}

export interface Expected {
  readonly nonce: bigint
  /** Resolves when the nonce has come over a connection that proves the address. */
  readonly proof: Promise<void>
  readonly isProven: boolean
  /** Why a connection that brought the nonce proved nothing. */
  readonly unfit: string | undefined
  /** Nothing is expected any more. */
  forget(): void
}

interface Waiting {
  readonly asked: Route
  /** The connections that there were when the question was asked. One whose handshake was under way then is not among
   * them: it was dialled a moment before, at most as long as libp2p lets a handshake take. */
  readonly before: ReadonlySet<string>
  readonly prove: () => void
  unfit: string | undefined
}

/** A dial back carries a nonce and nothing else. */
const mostBytes = 256
const handlerMs = 5_000
/** Streams at a time. One server sends one; a peer that opens more wants something else. */
const maxStreams = { total: 32, subnet: 32, ip: 32, peer: 2 }

export function createDialBacks({ clock, log, components }: AutonatHost): DialBacks {
  const { registrar, connectionManager } = components
  const waiting = new Map<bigint, Waiting>()
  const receiving = new Map<AbortController, Promise<void>>()
  const places = createPlaces<AbortController>(maxStreams)
  let isHandling = false
  const counters: DialBackCounters = { proven: 0, foreign: 0, unfit: 0, dropped: 0 }

  function accept(stream: Stream, connection: Connection): void {
    const cut = new AbortController()
    if (waiting.size === 0 || !enter(cut, connection)) {
      counters.dropped += 1
      stream.abort(new Error('no dial back is expected'))
      return
    }
    receiving.set(
      cut,
      receive(stream, connection, cut).finally(() => {
        receiving.delete(cut)
        places.free(cut)
      })
    )
  }

  /** Returns whether there is a place. One that a prefix with more holds is taken away, so that silence keeps no proof out. */
  function enter(cut: AbortController, connection: Connection): boolean {
    const party = { address: ipOf(connection), peer: connection.remotePeer.toString() }
    const refusal = places.take(cut, party)
    if (refusal === undefined) return true
    const victim = refusal === 'peer' ? undefined : places.findVictim(party, refusal, () => true)
    if (victim === undefined) return false
    places.free(victim)
    victim.abort(new Error('the place is needed for another peer'))
    return places.take(cut, party) === undefined
  }

  async function receive(stream: Stream, connection: Connection, whole: CallOptions): Promise<void> {
    const messages = messagesOf(stream, mostBytes, clock)
    const late = (): Error => natError('NO_REPLY', 'a dial back without a nonce')
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
        `autonat: a dial back from ${printable(connection.remoteAddr.toString())} came to nothing: ${reason.message}`
      )
    }
  }

  /** Throws for a nonce that proves nothing, so that the server learns that it was in vain. */
  function match(nonce: bigint, connection: Connection): void {
    const expected = waiting.get(nonce)
    if (expected === undefined) {
      counters.foreign += 1
      throw new Error('a nonce that no request waits for')
    }
    const unfit = unfitness(expected, connection)
    if (unfit !== undefined) {
      // The nonce stays good: a connection that proves something may still bring it.
      counters.unfit += 1
      expected.unfit = unfit
      throw new Error(unfit)
    }
    // Once only.
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
      for (const cut of receiving.keys()) cut.abort(new Error('nothing is verified any more'))
      waiting.clear()
      await Promise.all([registrar.unhandle(dialBackProtocol), ...receiving.values()])
      const { proven, foreign, unfit, dropped } = counters
      log.debug(`autonat: dial backs: ${proven} proven, ${foreign} foreign, ${unfit} unfit, ${dropped} came to nothing`)
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

/** The IP address that a connection comes from: of a relayed one, that of the relay. */
const ipOf = ({ remoteAddr }: Connection): string =>
  remoteAddr.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')?.value ?? ''

/**
 * Why a connection does not prove that the address was dialled; undefined if it does, as far as that can be seen.
 *
 * The spec has the client compare the local address of the connection. libp2p in JavaScript does not tell it, so what
 * is left is what the remote end shows: a new connection, opened by the other side, direct, in the family and over the
 * transport of the address. Any peer id will do: "the server is free to use a separate peerID for the dial backs".
 */
function unfitness({ asked, before }: Waiting, connection: Connection): string | undefined {
  const route = directRoute(connection)
  if (before.has(connection.id)) return 'the nonce came over a connection that was there before'
  if (connection.direction !== 'inbound') return 'the nonce came over a connection that was opened from here'
  if (route === undefined) return 'the nonce came over a relayed connection'
  if (!fits(asked, route)) {
    return `the nonce came over ${route.transport} and IPv${route.family}, not ${asked.transport} and IPv${asked.family}`
  }
  return undefined
}
