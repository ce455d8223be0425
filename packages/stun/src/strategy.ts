import {
  type CallOptions,
  type Discovery,
  type Finding,
  type Host,
  isNatError,
  type NatError,
  type Strategy
} from '@postern/interface'
import { addressesOf, slowLookup } from './lookup.js'
import { createObserver } from './observer.js'
import { readOptions, type StunOptions } from './options.js'
import type { ServerName } from './server-name.js'

/** The wait before a name that led nowhere is looked up again, in ms; doubles with every failure. */
const backOffMs = { first: 5000, most: 300_000 } as const

/** DNS servers answer within this time, in ms. The look-up goes on: resolvers try several servers, for up to 30 s. */
const lookupMs = 4000

/**
 * STUN (RFC 8489): observers that tell which external address a server sees, and how the NAT behaves where the server can
 * show it (RFC 5780). What they see is a hint, and never that anything can be reached.
 *
 * Throws a TypeError for a bad option; does nothing else until `discover` is called, which looks up names and asks nobody.
 */
export function stun(options: StunOptions): Strategy {
  const settings = readOptions(options)
  const { servers, lookup } = settings

  return (host: Host) => {
    const { clock, random, log } = host

    /** Waits for a look-up, and says so once it takes long. */
    async function whileTold<T>(tell: () => void, work: Promise<T>): Promise<T> {
      const over = new AbortController()
      clock.sleep(lookupMs, over).then(tell, () => undefined)
      return await work.finally(() => over.abort())
    }

    /** Looks up a name until it leads somewhere. */
    async function follow(server: ServerName, found: (finding: Finding) => void, call: CallOptions): Promise<void> {
      const absent = (reason: NatError): void => found({ kind: 'notice', what: 'absent', gateway: null, reason })
      for (let failures = 1; !call.signal.aborted; failures += 1) {
        try {
          const addresses = await whileTold(
            () => absent(slowLookup(server.host, lookupMs)),
            addressesOf(server, lookup, call)
          )
          if (call.signal.aborted) return
          for (const address of addresses) found(createObserver(host, address, settings))
          return
        } catch (error) {
          if (call.signal.aborted) return
          if (!isNatError(error)) throw error
          absent(error)
          log.debug(`stun: ${error.message}`)
        }
        const waitMs = Math.min(backOffMs.first * 2 ** (failures - 1), backOffMs.most)
        await clock.sleep(waitMs * (0.8 + 0.4 * random()), call).catch(() => undefined)
      }
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
