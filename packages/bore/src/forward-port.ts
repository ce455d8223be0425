import {
  abortReason,
  anySignal,
  type CallOptions,
  type Endpoint,
  errorText,
  type Host,
  isNatError,
  natError,
  type RemoteParty
} from '@postern/interface'
import { type Carrier, createCarrier } from '@postern/net'
import { acceptClient } from './accept.js'
import { type Control, openControl } from './control.js'
import type { ServerAddress } from './dial.js'
import type { Settings } from './options.js'

/** A port of the server that leads to an endpoint of this host. */
export interface Port {
  readonly address: string
  readonly port: number
  /** Aborts with a NatError when the port is lost. */
  readonly ended: AbortSignal
  /** Whether it was lost or given back. */
  readonly isOver: () => boolean
  /** Checks that the port still leads here. */
  check(call: CallOptions): Promise<void>
  /** Gives the port back. Its established connections go on for at most 30 s. Idempotent. */
  release(): void
}

/** What a port is taken for. */
export interface PortRequest {
  readonly host: Host
  readonly settings: Settings
  readonly party: RemoteParty
  readonly endpoint: Endpoint
  readonly server: ServerAddress
  /** The port to ask for; 0 leaves the choice to the server. */
  readonly port: number
}

/** This many clients more than `maxConnections` are accepted: one of them can be the trial of this host. */
const spare = 16
/** How long established connections go on after the release, in milliseconds, and how often to look for them. */
const drain = { maxMs: 30_000, lookMs: 500 } as const

const released = abortReason('the port was given back')

/** Takes a port of the server, and tries it out. Rejects with the signal's reason or with the codes of
 * `Forwarder.forward`; nothing is left then. */
export async function forwardPort(request: PortRequest, call: CallOptions): Promise<Port> {
  const { host, settings, party, endpoint, server, port } = request
  const { secret, maxConnections } = settings
  const carrier = createCarrier({ host, party, endpoint, maxConnections })
  const over = new AbortController()
  let accepting = 0

  /** Accepts a client that waits at the server, if there is a place for it. The server drops it after 10 s if not. */
  async function accept(id: string): Promise<void> {
    if (accepting + carrier.count() >= maxConnections + spare) return
    accepting += 1
    try {
      carrier.carry({ stream: await acceptClient(server, secret, id, host.clock, over), client: null })
    } catch (error) {
      if (!over.signal.aborted) host.log.debug(`bore: a client was not accepted: ${errorText(error)}`)
    } finally {
      accepting -= 1
    }
  }

  let control: Control
  try {
    control = await openControl({ server, secret, port, waits: (id) => void accept(id) }, host.clock, call)
  } catch (error) {
    over.abort(released)
    throw error
  }

  function release(): void {
    control.close()
    if (over.signal.aborted) return
    over.abort(released)
    void drained(carrier, host)
  }

  async function check({ signal }: CallOptions): Promise<void> {
    if (over.signal.aborted) throw natError('MAPPING_LOST', `port ${control.port} was given back`)
    await carrier.tryOut(
      { address: server.address, port: control.port },
      { signal: anySignal([signal, control.ended]) }
    )
  }

  control.ended.addEventListener('abort', () => over.abort(released), { once: true })
  try {
    await check(call)
  } catch (error) {
    release()
    carrier.close()
    if (call.signal.aborted || control.ended.aborted || !isNatError(error)) throw error
    throw natError(
      'GRANT_INVALID',
      `the bore server ${party.id} lends port ${control.port}, but no connection to it arrives here: does a firewall there let in only port ${server.port}? (${error.message})`,
      { cause: error }
    )
  }
  return {
    address: server.address,
    port: control.port,
    ended: control.ended,
    isOver: () => over.signal.aborted,
    check,
    release
  }
}

/** Closes the carrier when the last connection has ended, and after 30 s at the latest. */
async function drained(carrier: Carrier, { clock }: Host): Promise<void> {
  const never = new AbortController()
  for (let waitedMs = 0; carrier.count() > 0 && waitedMs < drain.maxMs; waitedMs += drain.lookMs)
    await clock.sleep(drain.lookMs, never)
  carrier.close()
}
