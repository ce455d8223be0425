import { type Behaviour, type CallOptions, type Clock, type DatagramTap, isNatError } from '@postern/interface'
import type { OpenUdp } from '@postern/net'
import type { StunAddress } from './address-codec.js'
import { type Answer, askServer, isSame } from './ask.js'
import { tryHairpin } from './hairpin.js'
import { usableOther } from './plausible.js'
import { pacingMs, silenceWaitsMs, waitsFor } from './schedule.js'

/** The options of {@link discoverBehaviour}. */
export interface BehaviourOptions {
  /** The clock for the waits. */
  readonly clock: Clock
  /** The socket to test. To test the filtering, it must not have sent anything to the server's other address for some
   * minutes. */
  readonly tap: DatagramTap
  /** The server, which needs two addresses for all tests but the address itself. */
  readonly server: StunAddress
  /** How often each request is sent (Rc of RFC 8489 §6.2.1).
   * @default 7 */
  readonly requests?: number
  /** Whether to test which datagrams the NAT lets in. Takes 3 s if it filters.
   * @default true */
  readonly filtering?: boolean
  /** Whether to test if the NAT returns datagrams that this host sends to its own external address. Needs a second
   * socket.
   * @default true */
  readonly hairpin?: boolean
  /** Opens that second socket.
   * @default a real socket */
  readonly openUdp?: OpenUdp
}

/** The behaviour of the NAT in front of a socket, as a server has shown it. A hint: the server may lie, and the NAT may
 * treat other sockets differently. */
export interface NatBehaviour {
  /** The external address and port, as this server sees them. */
  readonly mapped: StunAddress
  /** The other address from which the server can answer (RFC 5780). Without one, only `mapped` is known. */
  readonly other?: StunAddress
  /** How the external port depends on the destination. */
  readonly mapping?: Behaviour
  /** Which senders' datagrams the NAT lets in. */
  readonly filtering?: Behaviour
  /** Whether the NAT returns datagrams that this host sends to its own external address. */
  readonly hairpin?: 'works' | 'fails'
}

/**
 * Finds out how the NAT in front of a socket behaves (RFC 5780 §4.3 to §4.5), with one server that has two addresses.
 * With a server that has only one address, resolves to the external address only.
 *
 * Rejects like {@link askServer} if the server does not tell the external address. Results of other tests that fail are
 * absent.
 */
export async function discoverBehaviour(options: BehaviourOptions, call: CallOptions): Promise<NatBehaviour> {
  const { clock, tap, server, requests, filtering = true, hairpin = true } = options
  const waitsMs = waitsFor(requests)
  const first = await askServer({ clock, tap, server, waitsMs }, call)
  const other = usableOther(first.other, server)
  const { mapped } = first
  if (other === undefined) return { mapped }

  // Filtering first: the other tests send to further addresses, which the NAT then lets in.
  const heard = filtering ? await filteringOf({ ...options, other }, call) : undefined
  const { mapping, isThere } = await mappingOf({ ...options, other, mapped, waitsMs }, call)
  // Silence means nothing if the other address does not answer at all.
  const filters = heard === 'endpoint-independent' || isThere ? heard : undefined
  const isTranslated = !isSame(mapped, tap.endpoint)
  // Only for endpoint-independent mapping: otherwise the host has another mapping towards its own external address.
  const hairpins =
    hairpin && isTranslated && mapping === 'endpoint-independent'
      ? await tryHairpin({ ...options, mapped }, call)
      : undefined
  return {
    mapped,
    other,
    ...(mapping === undefined ? {} : { mapping }),
    ...(filters === undefined ? {} : { filtering: filters }),
    ...(hairpins === undefined ? {} : { hairpin: hairpins })
  }
}

interface Testing extends BehaviourOptions {
  readonly other: StunAddress
}

/** Tests whether the NAT lets in datagrams of addresses to which nothing was sent (RFC 5780 §4.4). Resolves to
 * undefined if the server does not support it. */
async function filteringOf({ clock, tap, server, other }: Testing, call: CallOptions): Promise<Behaviour | undefined> {
  const ask = { clock, tap, server, waitsMs: silenceWaitsMs }
  const elsewhere = hears(() => askServer({ ...ask, from: other, change: { ip: true, port: true } }, call))
  await clock.sleep(pacingMs, call)
  const from = { address: server.address, port: other.port }
  const otherPort = hears(() => askServer({ ...ask, from, change: { ip: false, port: true } }, call))
  const [isAny, isAddress] = await Promise.all([elsewhere, otherPort])
  call.signal.throwIfAborted()
  if (isAny === undefined || isAddress === undefined) return undefined
  if (isAny) return 'endpoint-independent'
  return isAddress ? 'address-dependent' : 'address-and-port-dependent'
}

/** Resolves to whether there is an answer; undefined if it is not the requested one. */
async function hears(ask: () => Promise<Answer>): Promise<boolean | undefined> {
  try {
    await ask()
    return true
  } catch (error) {
    return isNatError(error) && error.code === 'NO_REPLY' ? false : undefined
  }
}

interface MappingTesting extends Testing {
  readonly mapped: StunAddress
  readonly waitsMs: readonly number[]
}

/** Tests which external port other addresses see (RFC 5780 §4.3). `isThere`: whether the other address answers. */
async function mappingOf(
  { clock, tap, server, other, mapped, waitsMs }: MappingTesting,
  call: CallOptions
): Promise<{ readonly mapping?: Behaviour; readonly isThere: boolean }> {
  const ask = async (address: string, port: number): Promise<StunAddress | undefined> => {
    await clock.sleep(pacingMs, call)
    try {
      return (await askServer({ clock, tap, server: { address, port }, waitsMs }, call)).mapped
    } catch (error) {
      call.signal.throwIfAborted()
      if (isNatError(error)) return undefined
      throw error
    }
  }
  const second = await ask(other.address, server.port)
  if (second === undefined) return { isThere: false }
  if (isSame(second, mapped)) return { mapping: 'endpoint-independent', isThere: true }
  const third = await ask(other.address, other.port)
  if (third === undefined) return { isThere: false }
  return { mapping: isSame(third, second) ? 'address-dependent' : 'address-and-port-dependent', isThere: true }
}
