import {
  type CallOptions,
  type Endpoint,
  errorText,
  type ForwardLease,
  type ForwardRequest,
  formatMultiaddr,
  type Host,
  isNatError,
  type NatError,
  natError,
  type RemoteParty
} from '@postern/interface'
import { type Carrier, createCarrier } from '@postern/net'
import { placeOf } from './errors.js'
import type { Settings } from './options.js'
import type { Ports } from './ports.js'
import type { Session } from './session.js'
import type { Sessions } from './sessions.js'

/** What the forwards of one strategy share. */
export interface Shared {
  readonly settings: Settings
  readonly host: Host
  readonly party: RemoteParty
  readonly sessions: Sessions
  readonly ports: Ports
}

/** The lifetime of a lease in milliseconds: when the caller checks that the port still leads here. */
const lifetimeMs = 600_000
/** The same for another port than the wanted one, which is then tried again. */
const substituteMs = 60_000
/** How long connections may last after the release, in milliseconds. */
const drainMs = 30_000
const drainStepMs = 250

/** Takes a port of the other host for an endpoint. Resolves with the lease once a connection to the port has arrived. */
export async function forward(shared: Shared, request: ForwardRequest, call: CallOptions): Promise<ForwardLease> {
  const { settings, host, party, sessions, ports } = shared
  const { endpoint } = request
  if (endpoint.protocol !== 'tcp')
    throw natError('UNSUPPORTED', 'SSH forwards TCP only, and the endpoint is one of UDP')
  const { session, done } = await sessions.use(call)
  const carrier = createCarrier({ host, party, endpoint, maxConnections: settings.maxConnections })
  try {
    const port = await takeProven(shared, session, carrier, request, call)
    ports.remember(endpoint, port)
    return createForwarding(shared, { session, done, carrier, endpoint }, port)
  } catch (error) {
    carrier.close()
    if (isNatError(error) && error.code === 'CONFLICT') sessions.linger()
    done()
    throw session.ended.aborted ? cutShort(settings, error) : error
  }
}

/** Returns the error of a call during which the session ended. A server that lets this host log in and ends the session
 * each time would get a login every two seconds if it counted as one that is away. */
const cutShort = (settings: Settings, cause: unknown): unknown =>
  isNatError(cause) && cause.code === 'UNREACHABLE'
    ? natError('GATEWAY_FAULT', `${placeOf(settings)} ended the session after the login, before a port led here`, {
        cause
      })
    : cause

/** Takes a port to which a connection of this host has arrived. */
async function takeProven(
  shared: Shared,
  session: Session,
  carrier: Carrier,
  request: ForwardRequest,
  call: CallOptions
): Promise<number> {
  const port = await shared.ports.take(session, carrier, request, call)
  try {
    await tryOut(shared, session, carrier, port, call)
    return port
  } catch (error) {
    dropPort(session, port)
    // sshd opens a port also if another program has it on one of the host's addresses.
    if (!isElsewhere(error) || !shared.ports.mayTakeOther(request.endpoint)) throw error
  }
  const other = await session.listen(0, carrier.carry, call)
  try {
    await tryOut(shared, session, carrier, other, call)
    return other
  } catch (error) {
    dropPort(session, other)
    throw error
  }
}

/** Whether a connection to the port was accepted by another program. */
const isElsewhere = (error: unknown): boolean =>
  isNatError(error) && isNatError(error.cause) && error.cause.code === 'GRANT_INVALID'

/** Closes a port in the background. If that fails, the session is broken, and its end closes the port. */
const dropPort = (session: Session, port: number): void =>
  void session.unlisten(port, { signal: session.ended }).catch(() => undefined)

/** Connects to the port of the other host, as a client would, and rejects with what to do if that does not arrive. */
async function tryOut(
  { settings }: Shared,
  session: Session,
  carrier: Carrier,
  port: number,
  call: CallOptions
): Promise<void> {
  try {
    await carrier.tryOut({ address: session.serverAddress, port }, call)
  } catch (error) {
    call.signal.throwIfAborted()
    session.ended.throwIfAborted()
    if (!isNatError(error)) throw error
    if (error.code === 'REFUSED') throw loopbackOnly(settings, port, error)
    if (error.code === 'GRANT_INVALID') throw leadsElsewhere(settings, port, error)
    // If the server answers, the fault is on the way to that port.
    await session.ping(call)
    throw blocked(settings, port, error)
  }
}

const loopbackOnly = (settings: Settings, port: number, cause: NatError): NatError =>
  natError(
    'GRANT_INVALID',
    `${placeOf(settings)} says that it has opened port ${port}, but refuses connections to it: it listens on its loopback ` +
      'address only. Add `GatewayPorts clientspecified` to /etc/ssh/sshd_config there and reload sshd',
    { cause }
  )

const leadsElsewhere = (settings: Settings, port: number, cause: NatError): NatError =>
  natError(
    'GRANT_INVALID',
    `${placeOf(settings)} says that it has opened port ${port}, but another program answers there: choose another port`,
    { cause }
  )

const blocked = (settings: Settings, port: number, cause: NatError): NatError =>
  natError(
    'GRANT_INVALID',
    `${placeOf(settings)} has opened port ${port}, but a connection to it does not arrive (${errorText(cause)}): allow the ` +
      'port in the firewall of that host and of its provider',
    { cause }
  )

/** One forward, as long as it lives. */
interface Live {
  readonly session: Session
  readonly carrier: Carrier
  readonly endpoint: Endpoint
  done(): void
}

function createForwarding(shared: Shared, live: Live, first: number): ForwardLease {
  const { session, carrier, endpoint } = live
  const { clock } = shared.host
  const ended = new AbortController()
  let port = first
  let isOver = false

  const lose = (): void => {
    carrier.close()
    if (isOver) return
    isOver = true
    ended.abort(session.ended.reason)
    live.done()
  }
  if (session.ended.aborted) lose()
  else session.ended.addEventListener('abort', lose, { once: true })

  /** Lets connections end by themselves for a while. */
  async function drain(): Promise<void> {
    for (let waited = 0; carrier.count() > 0 && waited < drainMs; waited += drainStepMs)
      await clock.sleep(drainStepMs, { signal: session.ended })
  }

  async function release(call: CallOptions): Promise<void> {
    call.signal.throwIfAborted()
    if (isOver) return
    isOver = true
    const finish = (): void => {
      session.ended.removeEventListener('abort', lose)
      carrier.close()
      live.done()
    }
    try {
      await session.unlisten(port, call)
    } catch (error) {
      // The end of the session closes the port as well, unless other forwards still use it.
      finish()
      throw error
    }
    drain().then(finish, finish)
  }

  async function renew(call: CallOptions): Promise<ForwardLease> {
    call.signal.throwIfAborted()
    if (isOver) throw ended.signal.aborted ? ended.signal.reason : natError('MAPPING_LOST', 'the forward was released')
    const wanted = shared.ports.wantedOf(endpoint) ?? port
    if (wanted !== port) await moveTo(wanted, call)
    else await check(port, call)
    return lease()
  }

  async function check(at: number, call: CallOptions): Promise<void> {
    try {
      await tryOut(shared, session, carrier, at, call)
    } catch (error) {
      call.signal.throwIfAborted()
      if (!isNatError(error) || error.code !== 'GRANT_INVALID') throw error
      throw natError(
        'MAPPING_LOST',
        `port ${at} of ${placeOf(shared.settings)} no longer leads here: ${error.message}`,
        {
          cause: error
        }
      )
    }
  }

  /** Takes the wanted port instead of the substitute, if it is free by now. */
  async function moveTo(wanted: number, call: CallOptions): Promise<void> {
    try {
      await session.listen(wanted, carrier.carry, call)
    } catch (error) {
      if (!isNatError(error) || error.code !== 'CONFLICT') throw error
      return check(port, call)
    }
    try {
      await tryOut(shared, session, carrier, wanted, call)
    } catch {
      // The lease stays at the substitute, which is checked instead.
      dropPort(session, wanted)
      call.signal.throwIfAborted()
      return check(port, call)
    }
    dropPort(session, port)
    port = wanted
    shared.ports.remember(endpoint, port)
  }

  const lease = (): ForwardLease => ({
    addresses: [formatMultiaddr(session.serverAddress, 'tcp', port)],
    lifetimeMs: port === (shared.ports.wantedOf(endpoint) ?? port) ? lifetimeMs : substituteMs,
    ended: ended.signal,
    renew,
    release
  })
  return lease()
}
