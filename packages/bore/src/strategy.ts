import {
  type CallOptions,
  type Discovery,
  familyOf,
  type Host,
  type NatError,
  type Strategy,
  waitAtMost
} from '@postern/interface'
import { followHost } from '@postern/net'
import { createForwarder } from './forwarder.js'
import { type BoreOptions, readOptions } from './options.js'

/** How long a look-up may take before the earlier addresses of the server are used, in milliseconds. */
const lookupMs = 2000

/**
 * Creates a strategy for a bore server, a forwarder that lends one of its ports for each endpoint. The connection to
 * the server is not encrypted, and the server does not tell the addresses of clients.
 *
 * Throws a TypeError for an invalid option. Does nothing until `discover` is called, which only looks up the name.
 *
 * `forward` rejects with the signal's reason, or with `NO_REPLY`, `REFUSED`, `UNREACHABLE`, `MALFORMED_REPLY`,
 * `REPLY_TOO_LARGE`, `UNSUPPORTED`, `NOT_AUTHORIZED`, `CONFLICT`, `OUT_OF_RESOURCES`, `GRANT_INVALID` or
 * `GATEWAY_FAULT`.
 */
export function bore(options: BoreOptions): Strategy {
  const settings = readOptions(options)
  const { host: name, lookup } = settings

  return (host: Host) => {
    const { clock, random, log } = host
    const discovery: Discovery = {
      name: 'bore',
      kind: 'forwarder',
      async discover(_network, found, call) {
        const absent = (reason: NatError): void => {
          if (call.signal.aborted) return
          found({ kind: 'notice', what: 'absent', gateway: null, reason })
          log.debug(`bore: ${reason.message}`)
        }
        const [first, ...others] = await followHost(name, { lookup, clock, random, absent }, call)
        if (first === undefined || call.signal.aborted) return
        let known: readonly string[] = [first, ...others]

        /** The name may have another address since: that of a server at home does. */
        async function current(asked: CallOptions): Promise<readonly string[]> {
          if (familyOf(name) !== undefined) return known
          const looked = lookup(name).catch(() => [])
          const addresses = await waitAtMost(clock, lookupMs, looked, [], asked)
          asked.signal.throwIfAborted()
          const usable = ([4, 6] as const).flatMap(
            (family) => addresses.find((each) => familyOf(each) === family) ?? []
          )
          if (usable.length > 0) known = usable
          return known
        }

        found(createForwarder(host, settings, [first, ...others], current))
      }
    }
    return discovery
  }
}
