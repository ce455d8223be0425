import { type Behaviour, type CallOptions, type Clock, type DatagramTap, isNatError } from '@postern/interface'
import type { OpenUdp } from '@postern/net'
import type { StunAddress } from './address-codec.js'
import { type Answer, askServer, isSame } from './ask.js'
import { tryHairpin } from './hairpin.js'
import { usableOther } from './plausible.js'
import { pacingMs, silenceWaitsMs, waitsFor } from './schedule.js'

export interface BehaviourOptions {
  readonly clock: Clock
  /** The socket whose mapping is looked at. For the filtering to show it must not have sent anything to the server's other
   * address for some minutes. */
  readonly tap: DatagramTap
  readonly server: StunAddress
  /** How often each question is sent (Rc of RFC 8489 §6.2.1).
   * @default 7 */
  readonly requests?: number
  /** Whether to find out whose datagrams come in: takes 3 s where few do.
   * @default true */
  readonly filtering?: boolean
  /** Whether to find out if datagrams to our own external address come back in: takes a second socket.
   * @default true */
  readonly hairpin?: boolean
  /** How that second socket is opened.
   * @default a real socket */
  readonly openUdp?: OpenUdp
}

/** What a server has shown of the NAT before a socket. A hint: the server may lie, and other sockets may fare otherwise. */
export interface NatBehaviour {
  /** The external address and port, as this server sees them. */
  readonly mapped: StunAddress
  /** The address from which the server can answer too (RFC 5780). Without one, only `mapped` is known. */
  readonly other?: StunAddress
  readonly mapping?: Behaviour
  readonly filtering?: Behaviour
  readonly hairpin?: 'works' | 'fails'
}

/**
 * Finds out how the NAT before a socket behaves (RFC 5780 §4.3 to §4.5), from one server with two addresses. With a server
 * that has one address only, tells what that one sees.
 *
 * Rejects as {@link askServer} does where the server does not tell the address; whatever else fails is left out.
 */
export async function discoverBehaviour(options: BehaviourOptions, call: CallOptions): Promise<NatBehaviour> {
  const { clock, tap, server, requests, filtering = true, hairpin = true } = options
  const waitsMs = waitsFor(requests)
  const first = await askServer({ clock, tap, server, waitsMs }, call)
  const other = usableOther(first.other, server)
  const { mapped } = first
  if (other === undefined) return { mapped }

  // First this: whoever is sent something by the other tests may answer from there on.
  const heard = filtering ? await filteringOf({ ...options, other }, call) : undefined
  const { mapping, isThere } = await mappingOf({ ...options, other, mapped, waitsMs }, call)
  // That an address which does not answer anyway was not heard says nothing.
  const filters = heard === 'endpoint-independent' || isThere ? heard : undefined
  const isTranslated = !isSame(mapped, tap.endpoint)
  // Towards itself the host has yet another mapping where mappings depend on the destination.
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

/** RFC 5780 §4.4: who is heard whom nothing was sent to. Undefined where the server does not do it after all. */
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

/** Whether there is an answer; undefined where there is another one than was asked for. */
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

/** RFC 5780 §4.3: which port other addresses see. */
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
