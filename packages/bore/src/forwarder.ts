import {
  type CallOptions,
  type Endpoint,
  errorText,
  type Forwarder,
  type ForwardLease,
  formatMultiaddr,
  type Host,
  isNatError,
  type NatError,
  natError,
  networkPrefixOf,
  type RemoteParty
} from '@postern/interface'
import { forwardPort, type Port } from './forward-port.js'
import type { Settings } from './options.js'

/** How long one call may take, in milliseconds: two control connections and two trials on a slow path. */
const timeoutMs = 30_000
/** How often a port that is in use is asked for, and how long to wait in between, in milliseconds: the server notices
 * after two heartbeats of 0.5 s that an earlier connection of this host has ended. */
const attempts = { max: 4, waitMs: 500 } as const
/** The lifetime of a lease at another port than the wanted one, in milliseconds: its renewal tries the wanted one again. */
const substituteMs = 60_000

/** Creates the forwarder of a server.
 *
 * @param current - returns the addresses that the server has now */
export function createForwarder(
  host: Host,
  settings: Settings,
  addresses: readonly [string, ...string[]],
  current: (call: CallOptions) => Promise<readonly string[]>
): Forwarder {
  const { controlPort, externalPort, allowOtherPort } = settings
  const { clock, log } = host
  const name = settings.host.includes(':') ? `[${settings.host}]` : settings.host
  const party: RemoteParty = { id: `${name}:${controlPort}`, network: networkPrefixOf(addresses[0]) ?? '' }
  /** The endpoints that had a port: their address may be known to others. */
  const served = new Set<string>()

  /** Takes a port, at the first address of the server that can be reached. */
  async function take(endpoint: Endpoint, port: number, call: CallOptions): Promise<Port> {
    let failure: NatError | undefined
    for (const address of await current(call)) {
      try {
        return await forwardPort(
          { host, settings, party, endpoint, server: { address, port: controlPort }, port },
          call
        )
      } catch (error) {
        call.signal.throwIfAborted()
        if (!isNatError(error)) throw error
        failure ??= error
        if (!awayCodes.has(error.code)) throw error
      }
    }
    throw failure ?? natError('UNREACHABLE', `${settings.host} has no IP address`)
  }

  /** Takes a port that may be in use for another second. */
  async function takeSoon(endpoint: Endpoint, port: number, call: CallOptions): Promise<Port> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await take(endpoint, port, call)
      } catch (error) {
        if (!isNatError(error) || error.code !== 'CONFLICT' || attempt === attempts.max) throw error
        await clock.sleep(attempts.waitMs, call)
      }
    }
  }

  function leaseOf(endpoint: Endpoint, port: Port, wanted: number | undefined): ForwardLease {
    const lease: ForwardLease = {
      addresses: [formatMultiaddr(port.address, 'tcp', port.port)],
      lifetimeMs: wanted === undefined ? Number.POSITIVE_INFINITY : substituteMs,
      ended: port.ended,
      async renew(call) {
        call.signal.throwIfAborted()
        if (wanted !== undefined && !port.isOver()) {
          const better = await take(endpoint, wanted, call).catch((error: unknown) => {
            call.signal.throwIfAborted()
            log.debug(`bore: port ${wanted} is not free yet: ${errorText(error)}`)
          })
          if (better !== undefined) {
            port.release()
            return leaseOf(endpoint, better, undefined)
          }
        }
        await port.check(call)
        return wanted === undefined ? lease : leaseOf(endpoint, port, wanted)
      },
      async release({ signal }) {
        signal.throwIfAborted()
        port.release()
      }
    }
    return lease
  }

  return {
    kind: 'forwarder',
    party,
    protocols: ['tcp'],
    isEncrypted: false,
    tellsClients: false,
    timeoutMs,
    async forward({ endpoint, suggestedExternalPort }, call) {
      call.signal.throwIfAborted()
      if (endpoint.protocol !== 'tcp') throw natError('UNSUPPORTED', 'bore carries TCP only')
      const key = `${endpoint.address} ${endpoint.port}`
      const wanted = externalPort ?? suggestedExternalPort
      const isChosen = externalPort !== undefined || suggestedExternalPort !== endpoint.port || served.has(key)
      const mayBeOther = allowOtherPort || !isChosen
      try {
        const port = await takeSoon(endpoint, wanted, call)
        served.add(key)
        return leaseOf(endpoint, port, undefined)
      } catch (error) {
        call.signal.throwIfAborted()
        const code = isNatError(error) ? error.code : undefined
        if (!mayBeOther || (code !== 'CONFLICT' && code !== 'UNSUPPORTED')) throw error
        const port = await take(endpoint, 0, call)
        log.info(`bore: ${party.id} lends port ${port.port} instead of ${wanted}: ${errorText(error)}`)
        served.add(key)
        // A port that the server never lends is not tried again.
        return leaseOf(endpoint, port, code === 'CONFLICT' ? wanted : undefined)
      }
    }
  }
}

/** The codes after which the next address of the server is tried. */
const awayCodes: ReadonlySet<string> = new Set(['NO_REPLY', 'REFUSED', 'UNREACHABLE'])
