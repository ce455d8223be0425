import type { Duplex } from 'node:stream'
import {
  type CallOptions,
  canonicalAddress,
  type Endpoint,
  type Host,
  isWildcard,
  type RemoteParty
} from '@postern/interface'
import { nodeNet } from '../async/builtins.js'
import { addHandle } from '../async/handles.js'
import { copyBothWays, reset } from './copy.js'
import { firstBytes } from './first-bytes.js'
import { createTrials } from './trials.js'

/** A connection that arrived at another host: a stream both ways. */
export interface Arrived {
  /** The bytes of the connection. It must allow half-open connections. */
  readonly stream: Duplex
  /** The address and port of the client, as the other host tells them; null if it does not. */
  readonly client: { readonly address: string; readonly port: number } | null
}

/** The options of {@link createCarrier}. */
export interface CarrierOptions {
  /** Hears of each connection before the listener accepts it. Its clock is for the time limits of trials. */
  readonly host: Pick<Host, 'carried' | 'log' | 'clock'>
  /** The other host. */
  readonly party: RemoteParty
  /** The only place that connections are carried to. */
  readonly endpoint: Endpoint
  /** The maximum number of connections at a time. Further ones are closed.
   * @default 256 */
  readonly maxConnections?: number
}

/** Carries the connections that arrive at another host to one endpoint of this host. */
export interface Carrier {
  /** Takes over an arrived connection: connects to the endpoint and copies both ways, with back-pressure. An end is
   * handed on; a cut resets the other side. Closes the connection if there are too many, or if the endpoint does not
   * accept it. */
  carry(arrived: Arrived): void
  /** Connects to the external port. Resolves when that connection has arrived here; the application does not get it.
   *
   * While it runs, each arriving connection waits for its first bytes, but not longer than the trial takes.
   *
   * Rejects with the signal's reason, or with `REFUSED`, `UNREACHABLE`, `NO_REPLY` (the port does not answer) or
   * `GRANT_INVALID` (the port leads to another program). */
  tryOut(external: { readonly address: string; readonly port: number }, call: CallOptions): Promise<void>
  /** Returns the number of connections that are carried at present. */
  readonly count: () => number
  /** Resets all connections and fails the trials. Further connections are closed. Idempotent. */
  close(): void
}

/** While a trial runs, this many connections more may wait for their first bytes: one of them is that of the trial. */
const spare = 16

/** Creates a carrier. It opens nothing before a connection arrives. */
export function createCarrier(options: CarrierOptions): Carrier {
  const { host, party, endpoint, maxConnections = 256 } = options
  if (!Number.isInteger(maxConnections) || maxConnections < 1)
    throw new TypeError(`maxConnections must be a positive integer, not ${maxConnections}`)
  const trials = createTrials(host.clock)
  /** The connections that are carried, with what ends each, and those that wait for their first bytes. */
  const carried = new Map<Duplex, () => void>()
  const held = new Set<Duplex>()
  let isClosed = false
  let isFull = false

  function carry(arrived: Arrived): void {
    const { stream } = arrived
    // Without a listener, an error would end the process.
    stream.on('error', () => undefined)
    if (isClosed) return reset(stream)
    if (trials.areRunning()) void hold(arrived)
    else begin(arrived, undefined)
  }

  async function hold(arrived: Arrived): Promise<void> {
    const { stream } = arrived
    held.add(stream)
    const [oldest] = held
    if (held.size > spare && oldest !== undefined) reset(oldest)
    const bytes = await firstBytes(stream, trials.isDecided, { signal: trials.ended() })
    held.delete(stream)
    if (bytes === undefined || isClosed || trials.take(bytes)) return reset(stream)
    begin(arrived, bytes)
  }

  function begin({ stream, client }: Arrived, bytes: Buffer | undefined): void {
    if (carried.size >= maxConnections) {
      if (!isFull) host.log.info(`${party.id}: ${maxConnections} connections at a time are the limit, more are closed`)
      isFull = true
      return reset(stream)
    }
    const socket = nodeNet().connect({ host: endpoint.address, port: endpoint.port, allowHalfOpen: true })
    carried.set(stream, () => {
      reset(socket)
      reset(stream)
    })
    socket.once('close', addHandle(socket)).once('close', () => {
      carried.delete(stream)
      if (carried.size < maxConnections / 2) isFull = false
    })
    let isTold = false
    const tell = (): void => {
      const localAddress = sourceAddress(socket.localAddress, endpoint.address)
      if (isTold || localAddress === undefined || socket.localPort === undefined) return
      isTold = true
      host.carried?.({ localAddress, localPort: socket.localPort, client, party })
    }
    // `connect` has bound the socket one tick later, long before the listener can accept the connection.
    process.nextTick(tell)
    socket.once('connect', tell)
    if (bytes !== undefined && bytes.length > 0) socket.write(bytes)
    copyBothWays(socket, stream)
  }

  return {
    carry,
    tryOut: (external, call) => trials.run(external, call),
    count: () => carried.size,
    close() {
      isClosed = true
      trials.close()
      for (const end of carried.values()) end()
    }
  }
}

/** Returns the address from which the listener sees the socket. Before the connection is established, Windows has bound
 * it to all addresses; a connection to an address of this host comes from that same address. */
function sourceAddress(bound: string | undefined, endpoint: string): string | undefined {
  const address = bound === undefined ? undefined : canonicalAddress(bound)
  return address !== undefined && isWildcard(address) ? canonicalAddress(endpoint) : address
}
