import type { Connection, Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import type { CallOptions, Clock } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import {
  decodeMessage,
  dialBackProtocol,
  dialRequestProtocol,
  encodeDialBack,
  encodeMessage,
  type Message
} from '../../src/wire/v2.js'
import { type Node, startNode } from './nodes.js'

export const ok = { kind: 'dial-response', status: 200, index: 0, dialStatus: 200 } as const
export const dialError = { ...ok, dialStatus: 100 } as const

/** What a fake server can do with a request. */
export interface Talk {
  readonly node: Node
  readonly stream: Stream
  /** The connection that the request came over. */
  readonly connection: Connection
  readonly nonce: bigint
  readonly address: string
  say(message: Message): Promise<void>
  sayBytes(bytes: Uint8Array): Promise<void>
  hear(): Promise<Message>
  /** Delivers a nonce to the address (or another one) over a new connection of this server or another node. */
  dialBack(change?: { nonce?: bigint; address?: string; from?: Node }): Promise<void>
  /** Delivers a nonce over an existing connection. */
  bring(connection: Connection, nonce?: bigint): Promise<void>
}

async function bring(connection: Connection, nonce: bigint): Promise<void> {
  const stream = await connection.newStream(dialBackProtocol)
  const messages = lpStream(stream)
  await messages.write(encodeDialBack(nonce))
  try {
    await messages.read()
  } finally {
    await stream.close().catch(() => undefined)
  }
}

async function dialBack(from: Node, address: string, nonce: bigint, peerId: string): Promise<void> {
  const connection = await from.components.connectionManager.openConnection(multiaddr(`${address}/p2p/${peerId}`), {
    force: true
  })
  await bring(connection, nonce).finally(() => connection.close())
}

/** A real node that answers requests as the test specifies. Its stream is closed when the answer function resolves. */
export async function startFake(answer: (talk: Talk) => Promise<void>, options: object = {}): Promise<Node> {
  const node = await startNode(options)
  await node.libp2p.handle(dialRequestProtocol, async (stream, connection) => {
    const messages = lpStream(stream)
    const hear = async (): Promise<Message> => decodeMessage((await messages.read()).subarray())
    try {
      const request = await hear()
      if (request.kind !== 'dial-request') throw new Error(`a ${request.kind}`)
      const address = multiaddr(request.addresses[0]).toString()
      const { nonce } = request
      const peerId = connection.remotePeer.toString()
      await answer({
        node,
        stream,
        connection,
        nonce,
        address,
        hear,
        say: async (message) => messages.write(encodeMessage(message)),
        sayBytes: async (bytes) => void stream.send(bytes),
        dialBack: async (change = {}) =>
          dialBack(change.from ?? node, change.address ?? address, change.nonce ?? nonce, peerId),
        bring: async (over, other = nonce) => bring(over, other)
      })
      await stream.close()
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    }
  })
  return node
}

export interface WatchedClock {
  readonly clock: Clock
  readonly pending: () => number
  readonly advance: (ms: number) => Promise<void>
  /** Resolves when a sleep of this length begins. */
  readonly asked: (ms: number) => Promise<void>
}

/** A virtual clock that reports when a sleep begins. */
export function watchedClock(): WatchedClock {
  const inner = virtualClock()
  const sleeping: number[] = []
  const waiting = new Set<{ readonly ms: number; readonly resolve: () => void }>()
  const clock: Clock = {
    monotonicMs: () => inner.monotonicMs(),
    wallMs: () => inner.wallMs(),
    sleep(ms: number, call: CallOptions) {
      sleeping.push(ms)
      for (const each of waiting) if (each.ms === ms) each.resolve()
      return inner.sleep(ms, call).finally(() => sleeping.splice(sleeping.indexOf(ms), 1))
    }
  }
  return {
    clock,
    pending: () => inner.pending,
    advance: async (ms) => inner.advance(ms),
    asked: async (ms) =>
      new Promise((resolve) => {
        const done = (): void => {
          waiting.delete(entry)
          resolve()
        }
        const entry = { ms, resolve: done }
        waiting.add(entry)
        if (sleeping.includes(ms)) done()
      })
  }
}
