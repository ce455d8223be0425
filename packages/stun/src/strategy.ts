import {
  type CallOptions,
  type Discovery,
  type Finding,
  type Host,
  type NatError,
  type Strategy
} from '@postern/interface'
import { followHost } from '@postern/net'
import { createObserver } from './observer.js'
import { readOptions, type StunOptions } from './options.js'
import type { ServerName } from './server-name.js'

/**
 * Creates a strategy for STUN (RFC 8489). Its observers report which external address a server sees, and how the NAT
 * behaves if the server supports RFC 5780. An observation is a hint, and never proves reachability.
 *
 * Throws a TypeError for an invalid option. Does nothing until `discover` is called, which only looks up names.
 */
export function stun(options: StunOptions): Strategy {
  const settings = readOptions(options)
  const { servers, lookup } = settings

  return (host: Host) => {
    const { clock, random, log } = host

    /** Looks up a server until it resolves, and reports its observers. */
    async function follow({ host: name, port }: ServerName, found: (finding: Finding) => void, call: CallOptions) {
      const absent = (reason: NatError): void => {
        found({ kind: 'notice', what: 'absent', gateway: null, reason })
        log.debug(`stun: ${reason.message}`)
      }
      const addresses = await followHost(name, { lookup, clock, random, absent }, call)
      if (call.signal.aborted) return
      for (const address of addresses) found(createObserver(host, { address, port }, settings))
    }

    const discovery: Discovery = {
      name: 'stun',
      kind: 'observer',
      async discover(_network, found, call) {
        await Promise.all(servers.map((server) => follow(server, found, call)))
      }
    }
    return discovery
  }
}
