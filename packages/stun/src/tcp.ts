import type { Socket } from 'node:net'
import {
  type CallOptions,
  type Clock,
  familyOf,
  isNatError,
  type NatError,
  natError,
  systemClock,
  within
} from '@postern/interface'
import { nodeNet } from '@postern/net'
import type { StunAddress } from './address-codec.js'
import { type Answer, answers, newId, readAnswer } from './ask.js'
import { encodeBindingRequest, headerLength, maxMessageBytes } from './codec.js'
import { checkMapped } from './plausible.js'

/** Opens a TCP connection from a local address and port. Resolves when it is established. Rejects with the error of the
 * system, or with the signal's reason. */
export type ConnectTcp = (
  to: StunAddress,
  from: Partial<StunAddress>,
  call: CallOptions
) => Promise<Pick<Socket, 'on' | 'write' | 'destroy' | 'localAddress' | 'localPort'>>

/** The options of {@link observeTcp}. */
export interface ObserveTcpOptions {
  /** The server to ask. */
  readonly server: StunAddress
  /** The local port to connect from. Sockets that allow it can share the port (`SO_REUSEADDR`, which Node.js sets on
   * Unix). The next connection from it gets the same external port if the mapping of the NAT is endpoint-independent.
   * @default a random one */
  readonly localPort?: number
  /** The local address to connect from.
   * @default the address of the route */
  readonly localAddress?: string
  /** The time limit for the connection and the answer, in ms.
   * @default 39_500 (RFC 8489 §6.2.2) */
  readonly timeoutMs?: number
  /** The clock for the time limit.
   * @default the system clock */
  readonly clock?: Clock
  /** Opens the connection.
   * @default a real socket */
  readonly connect?: ConnectTcp
}

/** The answer of a server over TCP, with the open connection. */
export interface TcpObservation extends Answer {
  /** The local end of the connection. */
  readonly local: StunAddress
  /** Closes the connection, which keeps the mapping in the NAT until then. Idempotent. */
  close(): void
}

/**
 * Asks a STUN server over TCP which address it sees (RFC 8489 §6.2.2). This shows to which external port a TCP port is
 * mapped, before a hole is punched from it. The connection stays open until `close` is called; it is closed if this
 * rejects.
 *
 * Rejects with `REFUSED`, `UNREACHABLE` or `PORT_TAKEN` if there is no connection; with `NO_REPLY`, `MALFORMED_REPLY`,
 * `REPLY_TOO_LARGE`, `OBSERVER_REFUSED`, `UNSUPPORTED` or `UNTRUSTED_REPLY` as over UDP; or with the signal's reason.
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

/** Reads the first message of the stream; its header contains the length (RFC 8489 §5). */
function readMessage(socket: Awaited<ReturnType<ConnectTcp>>, { signal }: CallOptions): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let bytes = new Uint8Array(0)
    socket.on('data', (chunk: Uint8Array) => {
      const grown = new Uint8Array(Math.min(bytes.length + chunk.length, maxMessageBytes))
      grown.set(bytes)
      grown.set(chunk.subarray(0, grown.length - bytes.length), bytes.length)
      bytes = grown
      if (bytes.length < 4) return
      const length = headerLength + new DataView(bytes.buffer).getUint16(2)
      if (length > maxMessageBytes) return reject(natError('REPLY_TOO_LARGE', `a STUN message of ${length} bytes`))
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
    const socket = nodeNet().connect({
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
