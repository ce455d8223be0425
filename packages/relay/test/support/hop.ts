import type { Connection, Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { hopProtocol } from '../../src/wire/hop.js'
import { type Node, type NodeOptions, startNode } from './nodes.js'

/** What a fake relay can do with a request. */
export interface Hop {
  readonly stream: Stream
  readonly connection: Connection
  /** The number of the request; the first is 1. */
  readonly count: number
  /** Sends one message. */
  readonly say: (bytes: Uint8Array) => Promise<void>
  /** Sends bytes without a length prefix. */
  readonly raw: (bytes: Uint8Array) => void
}

export type Answer = (hop: Hop) => Promise<void> | void

/** Starts a real node with a fake relay. */
export async function startHop(answer: Answer, options: NodeOptions = {}): Promise<Node & { asked: () => number }> {
  const node = await startNode({ listen: ['/ip4/127.0.0.1/tcp/0'], isCircuit: false, ...options })
  let count = 0
  await node.libp2p.handle(hopProtocol, async (stream, connection) => {
    count++
    const messages = lpStream(stream)
    await messages.read()
    await answer({
      stream,
      connection,
      count,
      say: async (bytes) => messages.write(bytes),
      raw: (bytes) => void stream.send(bytes)
    })
  })
  return { ...node, asked: () => count }
}

/** Encodes a `STATUS` with a reservation. */
export function grant(expireSeconds: bigint, addresses: readonly string[] = []): Uint8Array {
  const reservation = [
    0x08,
    ...varint(expireSeconds),
    ...addresses.flatMap((each) => field(0x12, multiaddr(each).bytes))
  ]
  return Uint8Array.from([0x08, 0x02, ...field(0x1a, Uint8Array.from(reservation)), 0x28, 100])
}

export const refusal = (status: number): Uint8Array => Uint8Array.from([0x08, 0x02, 0x28, ...varint(BigInt(status))])

export const inAnHour = (): bigint => BigInt(Math.floor(Date.now() / 1000) + 3600)

const field = (tag: number, bytes: Uint8Array): readonly number[] => [tag, ...varint(BigInt(bytes.length)), ...bytes]

function varint(value: bigint): readonly number[] {
  return value < 128n ? [Number(value)] : [Number(value % 128n) + 128, ...varint(value / 128n)]
}

/** Resolves with the raw answer of a relay to these bytes. */
export async function serverAnswer(node: Node, relay: Node, request: Uint8Array): Promise<Uint8Array> {
  const connection = await node.libp2p.dial(multiaddr(relay.address))
  const messages = lpStream(await connection.newStream(hopProtocol))
  await messages.write(request)
  const answer = await messages.read()
  return answer.subarray()
}
