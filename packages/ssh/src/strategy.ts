import {
  type Discovery,
  type Forwarder,
  type NatError,
  networkPrefixOf,
  type Strategy,
  untilAborted
} from '@postern/interface'
import { followHost } from '@postern/net'
import { placeOf } from './errors.js'
import { forward } from './forwarding.js'
import { readOptions, type SshOptions } from './options.js'
import { createPorts } from './ports.js'
import { createSessions } from './sessions.js'

/** How long one call of `forward` may take, in milliseconds: a login, a port that becomes free, and a trial of it. */
const timeoutMs = 60_000
/** The same if a person may have to type the password. */
const typingTimeoutMs = 160_000

/**
 * Creates a strategy that takes ports of another host through SSH (RFC 4254 §7).
 *
 * Throws a TypeError for an invalid option. `discover` looks up the name of the host and finds one forwarder; it connects to
 * nothing. The first `forward` logs in, and all endpoints share that session, which ends soon after the last lease. It
 * needs the package ssh2, and rejects with `UNSUPPORTED` without it.
 *
 * `forward` resolves once a connection to the port of the other host has arrived here. It rejects with `UNTRUSTED_REPLY`
 * for a host key that is not the known one, `NOT_AUTHORIZED` if the login is refused, `CONFLICT` if the host does not open
 * the port, `GRANT_INVALID` if the port cannot be reached from outside, `REFUSED`, `UNREACHABLE`, `NO_REPLY`,
 * `MALFORMED_REPLY`, `GATEWAY_FAULT` or `UNSUPPORTED`, or with the signal's reason.
 */
export function ssh(options: SshOptions): Strategy {
  const settings = readOptions(options)

  return (host) => {
    const { clock, random, log } = host
    const sessions = createSessions(settings, host)
    const ports = createPorts(settings, clock)
    const id = placeOf(settings)

    const discovery: Discovery = {
      name: 'ssh',
      kind: 'forwarder',
      async discover(_network, found, call) {
        const absent = (reason: NatError): void => {
          if (!call.signal.aborted) found({ kind: 'notice', what: 'absent', gateway: null, reason })
          log.debug(`ssh: ${reason.message}`)
        }
        const { lookup } = settings
        const addresses = await followHost(settings.host, { lookup, clock, random, absent }, call)
        const [first] = addresses
        if (first === undefined || call.signal.aborted) return
        sessions.addresses = addresses
        const party = { id, network: networkPrefixOf(first) ?? '' }
        const shared = { settings, host, party, sessions, ports }
        const forwarder: Forwarder = {
          kind: 'forwarder',
          party,
          protocols: ['tcp'],
          isEncrypted: true,
          tellsClients: true,
          timeoutMs: settings.password === undefined ? timeoutMs : typingTimeoutMs,
          forward: (request, asked) => forward(shared, request, asked)
        }
        found(forwarder)
        await untilAborted(call.signal)
        sessions.stop()
      }
    }
    return discovery
  }
}
