import {
  type CallOptions,
  type Clock,
  classOf,
  type Family,
  familyOf,
  isGlobal,
  isNatError,
  networkPrefixOf,
  waitAtMost
} from '@postern/interface'
import { type Lookup, localAddressTowards, openTap, systemNames } from '@postern/net'
import { askServer, observeTcp, type ServerName, type StunAddress } from '@postern/stun'

/** What came of asking one address of a STUN server that the user named. */
export interface ServerProbe {
  /** The host, as the user named it. */
  readonly host: string
  /** The family of the address. */
  readonly family: Family
  /** Whether it is an IPv4 address behind the well-known prefix of a NAT64, which says nothing of IPv6 beyond that. */
  readonly isTranslated: boolean
  /** The network of the address: its /16 (IPv4) or /32 (IPv6) prefix. */
  readonly network: string
  /** `silent`: nothing came back. `failed`: this machine could not ask, or what came back was no answer. */
  readonly udp: 'answered' | 'silent' | 'failed'
  /** `open`: bytes came back that are not an answer. `untried`: it answered over UDP. */
  readonly tcp: 'answered' | 'open' | 'failed' | 'untried'
}

/** The options of {@link probeServers}. */
export interface ProbeOptions {
  readonly clock: Clock
  /** Looks up the names of servers.
   * @default the resolver of this machine */
  readonly lookup?: Lookup
}

/** The time limit for resolving a name, in ms: the strategy reports a slower one after 4 s, and doctor waits no longer either. */
const lookupMs = 4000
/** The waits after each transmission over UDP, in ms: three transmissions, so that one lost datagram does not decide. */
const udpWaitsMs = [500, 1000, 1500]
/** How long a server has for its answer over UDP before it is asked over TCP too, in ms. */
const headStartMs = 1000
/** The time limit over TCP, in ms. */
const tcpMs = 3000
/** The maximum number of servers that are asked, as in @postern/stun. */
const maxServers = 8

/**
 * Asks STUN servers over UDP whether they answer, and those that are slow to do so over TCP (RFC 8489 §6.2). Asks one address of
 * each family. A server at an address that is not global says nothing about the internet, and is not asked.
 *
 * Calls `told` with every outcome. Resolves when all are known, within 8 s. Rejects with the
 * signal's reason.
 */
export async function probeServers(
  servers: readonly ServerName[],
  { clock, lookup = systemNames }: ProbeOptions,
  told: (probe: ServerProbe) => void,
  call: CallOptions
): Promise<void> {
  await Promise.all(
    servers.slice(0, maxServers).map(async ({ host, port }) => {
      const isAddress = familyOf(host) !== undefined
      // The line of the strategy says why a name is not resolved.
      const found = isAddress ? [host] : await waitAtMost(clock, lookupMs, lookup(host), [], call).catch(() => [])
      call.signal.throwIfAborted()
      const firsts = ([4, 6] as const).flatMap((family) => found.find((each) => familyOf(each) === family) ?? [])
      await Promise.all(
        firsts.filter(isOutside).map(async (address) => {
          const outcome = await probe({ address, port }, clock, call)
          call.signal.throwIfAborted()
          const isTranslated = classOf(address) === 'translated'
          told({
            host,
            family: familyOf(address) ?? 4,
            isTranslated,
            network: networkPrefixOf(address) ?? '',
            ...outcome
          })
        })
      )
    })
  )
}

/** Returns whether a server at this address is reached over the internet. */
const isOutside = (address: string): boolean => isGlobal(address) || classOf(address) === 'translated'

async function probe(server: StunAddress, clock: Clock, call: CallOptions): Promise<Pick<ServerProbe, 'udp' | 'tcp'>> {
  const asking = askUdp(server, clock, call)
  const early = await waitAtMost(clock, headStartMs, asking, undefined, call)
  if (early === 'answered') return { udp: early, tcp: 'untried' }
  const [udp, tcp] = await Promise.all([asking, askTcp(server, clock, call)])
  return { udp, tcp }
}

async function askUdp(server: StunAddress, clock: Clock, call: CallOptions): Promise<ServerProbe['udp']> {
  try {
    const address = await localAddressTowards(server.address, call)
    const tap = await openTap({ family: familyOf(address) ?? 4, address }, call)
    try {
      await askServer({ clock, tap, server, waitsMs: udpWaitsMs }, call)
    } finally {
      tap.close()
    }
    return 'answered'
  } catch (error) {
    if (!isNatError(error)) return 'failed'
    // A refusal is an answer too, and so is an impossible address: a NAT64 translates the datagram, not the address in it.
    if (error.code === 'OBSERVER_REFUSED' || error.code === 'UNSUPPORTED' || error.code === 'UNTRUSTED_REPLY')
      return 'answered'
    return error.code === 'NO_REPLY' ? 'silent' : 'failed'
  }
}

async function askTcp(server: StunAddress, clock: Clock, call: CallOptions): Promise<ServerProbe['tcp']> {
  try {
    const { close } = await observeTcp({ server, clock, timeoutMs: tcpMs }, call)
    close()
    return 'answered'
  } catch (error) {
    if (!isNatError(error)) return 'failed'
    if (error.code === 'OBSERVER_REFUSED' || error.code === 'UNSUPPORTED') return 'answered'
    return isStrange(error.code) ? 'open' : 'failed'
  }
}

/** Returns whether an error code says that bytes came back which no STUN server sends. */
const isStrange = (code: string): boolean =>
  code === 'MALFORMED_REPLY' || code === 'REPLY_TOO_LARGE' || code === 'UNTRUSTED_REPLY'
