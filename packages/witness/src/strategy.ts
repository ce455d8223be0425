import {
  type CallOptions,
  type Discovery,
  errorText,
  type Finding,
  type NatError,
  natError,
  type ServerHost,
  type Strategy,
  type Witness
} from '@postern/interface'
import { type EarlyConnection, followHost, openEarly } from '@postern/net'
import { observe } from './client/observe.js'
import { type Asking, createWitness } from './client/witness.js'
import { readOptions, type WitnessOptions } from './options.js'
import type { ServerUrl } from './server-url.js'

/** How long a connection is held for a first question, in milliseconds. Servers close it after 5 s. */
const earlyMs = 4000

/**
 * Creates a strategy that finds witnesses: servers on the internet that connect to this host when they are asked. The
 * proof is that the connection arrives at the server of this program, so the strategy needs its host: `expose()` of
 * `@postern/node` has one.
 *
 * Throws a TypeError for an invalid option, and the strategy throws one for a host without `arrivals`. Does nothing until
 * `discover` is called, which looks up names, asks the servers at which address they see this host, and connects to them: a
 * question that follows within 4 s needs one round trip less.
 *
 * `verify` of a witness resolves with evidence, and reports `NO_REPLY`, `REFUSED`, `UNREACHABLE`, `MALFORMED_REPLY`,
 * `REPLY_TOO_LARGE`, `UNTRUSTED_REPLY`, `UNSUPPORTED`, `WITNESS_REFUSED` or `WITNESS_UNPROVEN` as the reason of an
 * inconclusive outcome. It rejects with `ADDRESS_NOT_ROUTABLE` for an address that is not public and direct, or with the
 * signal's reason.
 */
export function witness(options: WitnessOptions): Strategy<ServerHost> {
  const settings = readOptions(options)
  const { servers, lookup, mayAsk } = settings

  return (host: ServerHost) => {
    if (typeof host.arrivals !== 'function')
      throw new TypeError('witness() needs the server of the program as proof: pass it to expose() of @postern/node')
    const { clock, random, log } = host

    /** Looks up a server until it resolves, and reports one witness for each family. */
    async function follow(
      server: ServerUrl,
      asking: Asking,
      tell: (finding: Finding) => void,
      call: CallOptions
    ): Promise<void> {
      const absent = (reason: NatError): void => {
        tell({ kind: 'notice', what: 'absent', gateway: null, reason })
        log.debug(`witness: ${reason.message}`)
      }
      const addresses = await followHost(server.host, { lookup, clock, random, absent }, call)
      const usable = addresses.filter(mayAsk)
      if (call.signal.aborted) return
      const early: EarlyConnection[] = []
      const looks: Promise<void>[] = []
      for (const address of usable) {
        const connection = settings.connectsEarly ? openEarly(new URL(server.base), address) : undefined
        if (connection !== undefined) early.push(connection)
        const seesAnother = (asked: CallOptions): Promise<void> => tellObserved(server, found, address, tell, asked)
        const found = createWitness(asking, server, address, { early: connection, seesAnother })
        tell(found)
        looks.push(tellObserved(server, found, address, tell, call))
      }
      if (early.length > 0) await clock.sleep(earlyMs, call).catch(() => undefined)
      for (const each of early) each.close()
      await Promise.all(looks)
      if (usable.length > 0 || addresses.length === 0) return
      absent(natError('NAME_NOT_RESOLVED', `${server.host} has no address outside of the local network`))
    }

    /** Reports at which address a server sees this host. Does not reject: a server may be older, and still dials. */
    async function tellObserved(
      server: ServerUrl,
      { party }: Witness,
      serverAddress: string,
      tell: (finding: Finding) => void,
      call: CallOptions
    ): Promise<void> {
      try {
        tell(await observe(server, { party, serverAddress }, settings, clock, call))
      } catch (error) {
        log.debug(`witness: ${server.host} does not tell at which address it sees this host: ${errorText(error)}`)
      }
    }

    const discovery: Discovery = {
      name: 'witness',
      kind: 'witness',
      async discover(network, found, call) {
        const tell = (finding: Finding): void => {
          if (!call.signal.aborted) found(finding)
        }
        await Promise.all(servers.map((server) => follow(server, { host, settings, network }, tell, call)))
      }
    }
    return discovery
  }
}
