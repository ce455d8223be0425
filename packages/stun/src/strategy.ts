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

/** The wait before a name is looked up again after a failure, in ms; it doubles with every failure. */
const backOffMs = { first: 5000, max: 300_000 } as const

/** The time after which a slow look-up is reported, in ms. It continues: resolvers try several servers, for up to 30
 * s. */
const lookupMs = 4000

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

    /** Awaits a look-up, and calls `tell` if it takes long. */
    async function whileTold<T>(tell: () => void, work: Promise<T>): Promise<T> {
      const over = new AbortController()
      clock.sleep(lookupMs, over).then(tell, () => undefined)
      return await work.finally(() => over.abort())
    }

    /** Looks up a name until it resolves, and reports its observers. */
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
        const waitMs = Math.min(backOffMs.first * 2 ** (failures - 1), backOffMs.max)
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
