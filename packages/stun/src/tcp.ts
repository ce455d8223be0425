import { connect as systemConnect, type Socket } from 'node:net'
import {
  type CallOptions,
  type Clock,
  familyOf,
  isNatError,
  type NatError,
  natError,
  systemClock
} from '@postern/interface'
import { within } from '@postern/net'
import type { StunAddress } from './address-codec.js'
import { type Answer, answers, newId, readAnswer } from './ask.js'
import { encodeBindingRequest, headerLength, longestMessage } from './codec.js'
import { checkMapped } from './plausible.js'

/** Opens a TCP connection from a local address and port. Resolves once it is there, rejects with what the system says, and
 * is cut by the signal. */
export type ConnectTcp = (
  to: StunAddress,
  from: Partial<StunAddress>,
  call: CallOptions
) => Promise<Pick<Socket, 'on' | 'write' | 'destroy' | 'localAddress' | 'localPort'>>

export interface ObserveTcpOptions {
  readonly server: StunAddress
  /** The local port to ask from. The socket shares it with others that allow that (`SO_REUSEADDR`, which Node sets on
   * Unix): the next connection from it gets the same external port where the NAT maps independently of the endpoint.
   * @default a random one */
  readonly localPort?: number
  /** @default the one that the route has */
  readonly localAddress?: string
  /** How long it may take in all, in ms.
   * @default 39_500, as RFC 8489 §6.2.2 has it */
  readonly timeoutMs?: number
  /** @default the machine's */
  readonly clock?: Clock
  /** How the connection is opened.
   * @default a real socket */
  readonly connect?: ConnectTcp
}

/** What a server saw of a TCP connection. */
export interface TcpObservation extends Answer {
  /** The end of the connection on this side. */
  readonly local: StunAddress
  /** Closes the connection, which until then keeps the mapping in the NAT alive. Twice is once. */
  close(): void
}

/**
 * Asks a STUN server over TCP which address it sees (RFC 8489 §6.2.2): what a TCP port is mapped to, for whoever wants to
 * punch a hole from that port. The connection stays until it is closed, and is closed at once where this rejects.
 *
 * Rejects with `REFUSED`, `UNREACHABLE` or `PORT_TAKEN` where there is no connection, with `NO_REPLY`, `MALFORMED_REPLY`,
 * `REPLY_TOO_LARGE`, `OBSERVER_REFUSED`, `UNSUPPORTED` or `UNTRUSTED_REPLY` as over UDP, or with the signal's reason.
 */
export async function observeTcp(options: ObserveTcpOptions, call: CallOptions): Promise<TcpObservation> {
  const { server, timeoutMs = 39_500, clock = systemClock } = options
  const late = (): NatError => natError('NO_REPLY', `no answer from the STUN server ${server.address} over TCP`)
  return within(clock, timeoutMs, call, late, (bounded) => exchange(options, bounded))
}

async function exchange(options: ObserveTcpOptions, call: CallOptions): Promise<TcpObservation> {
  const { server, localPort, localAddress, connect = connectTcp } = options
  const from = {
    ...(localPort === undefined ? {} : { port: localPort }),
    ...(localAddress === undefined ? {} : { address: localAddress })
  }
  const socket = await connect(server, from, call).catch((error: unknown) => {
    call.signal.throwIfAborted()
    throw asNatError(error, server)
  })
  try {
    const id = newId()
    const reply = readMessage(socket, call)
    socket.write(encodeBindingRequest({ id }))
    const bytes = await reply
    const message = answers(bytes, id) ? readAnswer(bytes) : undefined
    if (message?.mapped === undefined) throw natError('MALFORMED_REPLY', 'not the answer of a STUN server')
    const { mapped, other, software } = message
    const local = { address: socket.localAddress ?? localAddress ?? '', port: socket.localPort ?? localPort ?? 0 }
    checkMapped(mapped, server, { protocol: 'tcp', family: familyOf(server.address) ?? 4, ...local })
    return {
      mapped,
      local,
      ...(other === undefined ? {} : { other }),
      ...(software === undefined ? {} : { software }),
      close: () => void socket.destroy()
    }
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** The first message of the stream: its header says how long it is (RFC 8489 §5). */
function readMessage(socket: Awaited<ReturnType<ConnectTcp>>, { signal }: CallOptions): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let bytes = new Uint8Array(0)
    socket.on('data', (chunk: Uint8Array) => {
      const grown = new Uint8Array(Math.min(bytes.length + chunk.length, longestMessage))
      grown.set(bytes)
      grown.set(chunk.subarray(0, grown.length - bytes.length), bytes.length)
      bytes = grown
      if (bytes.length < 4) return
      const length = headerLength + new DataView(bytes.buffer).getUint16(2)
      if (length > longestMessage) return reject(natError('REPLY_TOO_LARGE', `a STUN message of ${length} bytes`))
      if (bytes.length >= length) resolve(bytes.subarray(0, length))
    })
    socket.on('error', (cause: Error) =>
      reject(natError('NO_REPLY', 'the connection to the STUN server broke', { cause }))
    )
    socket.on('close', () => reject(natError('NO_REPLY', 'the STUN server closed the connection')))
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** {@link ConnectTcp} with real sockets. */
const connectTcp: ConnectTcp = (to, from, { signal }) =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = systemConnect({
      host: to.address,
      port: to.port,
      ...(from.port === undefined ? {} : { localPort: from.port }),
      ...(from.address === undefined ? {} : { localAddress: from.address })
    })
    const stop = (): void => {
      socket.destroy()
      reject(signal.reason)
    }
    signal.addEventListener('abort', stop, { once: true })
    const failed = (error: Error): void => {
      signal.removeEventListener('abort', stop)
      reject(error)
    }
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.off('error', failed)
      signal.removeEventListener('abort', stop)
      resolve(socket)
    })
  })

function asNatError(error: unknown, { address, port }: StunAddress): NatError {
  if (isNatError(error)) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ECONNREFUSED')
    return natError('REFUSED', `nothing listens at ${address} TCP port ${port}`, { cause: error })
  if (code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL')
    return natError('PORT_TAKEN', 'the local port is in use', { cause: error })
  return natError('UNREACHABLE', `no connection to ${address} TCP port ${port}`, { cause: error })
}
