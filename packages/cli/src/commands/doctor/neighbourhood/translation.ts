import { Resolver } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import type { NeighbourhoodReport, Report } from '@postern/core'
import {
  type CallOptions,
  classOf,
  familyOf,
  isGlobal,
  type Network,
  orAborted,
  parseMultiaddr
} from '@postern/interface'
import type { Interfaces } from '@postern/net'
import { nat64Prefix } from './nat64-prefix.js'

/** How IPv4 is carried over a network that has IPv6 only. */
export type Translation = NonNullable<NeighbourhoodReport['translation']>

/** Resolves to the IPv6 addresses of a name. */
export type Resolve6 = (name: string, call: CallOptions) => Promise<readonly string[]>

/** The IPv6 addresses of this name show the prefix of a NAT64 (RFC 7050 §3). It has no real ones. */
const probeName = 'ipv4only.arpa'

/** How long the DNS servers of this machine have for an answer, in ms. Doctor does not wait for it: a server that takes longer
 * than everything else counts as one that has not answered. */
const dnsMs = 5000

/** {@link Resolve6} with the DNS servers of this machine. Asks them directly: the hosts file knows nothing of NAT64, and the
 * library of the system drops IPv6 addresses if it thinks that this machine has no IPv6. */
export const systemResolve6: Resolve6 = async (name, call) => {
  call.signal.throwIfAborted()
  const resolver = new Resolver({ timeout: dnsMs, tries: 1 })
  const cancel = (): void => resolver.cancel()
  call.signal.addEventListener('abort', cancel, { once: true })
  try {
    return await orAborted(resolver.resolve6(name), call)
  } finally {
    call.signal.removeEventListener('abort', cancel)
  }
}

/** Resolves to the prefix of the NAT64 that the DNS servers of this machine know; undefined if they know none, if none answers,
 * or if this machine has no IPv6 address beyond the link, so that a prefix would mean nothing: then nothing is asked. */
export async function findPrefix(
  { addresses }: Network,
  resolve6: Resolve6,
  call: CallOptions
): Promise<string | undefined> {
  const isRouted = (address: string): boolean => familyOf(address) === 6 && classOf(address) !== 'link-local'
  if (!addresses.some(isRouted)) return undefined
  // A server that knows no IPv6 address, or none that answers, shows no prefix either.
  const found = await resolve6(probeName, call).catch(() => [])
  return nat64Prefix(found)
}

/** What shows that IPv4 is carried over IPv6. */
export interface TranslationSigns {
  /** The prefix of the NAT64, as the DNS servers tell it. */
  readonly prefix: string | undefined
  /** The network interfaces. */
  readonly interfaces?: Interfaces
  /** The network position of this machine. */
  readonly network: Pick<Network, 'gateways'>
  /** What is known of the router. */
  readonly report: Pick<Report, 'candidates' | 'strategies'>
}

/** The address of the B4 element, the home end of the tunnel of DS-Lite, and that of the AFTR, the provider's end (RFC 6333
 * §5.7, §6.5). */
const b4 = '192.0.0.2'
const aftr = '192.0.0.1'

/** Matches 192.0.0.0/29, the addresses of DS-Lite (RFC 6333 §10) and of 464XLAT (RFC 7335). */
const continuity = /^192\.0\.0\.[0-7]$/

/** The names of the interface of a customer-side translator: `clat` of clatd and systemd, `v4-wlan0` of Android. */
const clatName = /^(?:clat|v4-)/

/**
 * Returns how IPv4 is carried over IPv6 here; null if nothing shows that it is. DS-Lite and 464XLAT use the same addresses
 * (RFC 7335): a NAT64 prefix or the name of the interface shows 464XLAT, and 192.0.0.2 without them is the address of DS-Lite.
 */
export function translationOf({
  prefix,
  interfaces = networkInterfaces(),
  network: { gateways },
  report
}: TranslationSigns): Translation | null {
  const known = prefix ?? null
  const held = Object.entries(interfaces).flatMap(([name, each = []]) =>
    each.flatMap(({ address, internal }) => (!internal && continuity.test(address) ? [{ name, address }] : []))
  )
  const outside = externalAddresses(report).filter((address) => continuity.test(address))
  if (held.some(({ name }) => clatName.test(name))) return { kind: '464xlat', prefix: known }
  const addresses = [...held.map(({ address }) => address), ...outside]
  const isBehindAftr = gateways.some(({ address }) => address === aftr)
  if (addresses.length > 0 || isBehindAftr) {
    const isTunnel = known === null && (isBehindAftr || addresses.includes(b4))
    return isTunnel ? { kind: 'ds-lite', prefix: null } : { kind: '464xlat', prefix: known }
  }
  return known === null ? null : { kind: 'nat64', prefix: known }
}

/** Returns the IPv4 addresses that the router has outside, as far as it tells them. A router that maps nothing because of its
 * address names it in its reason only. */
const externalAddresses = ({ candidates, strategies }: TranslationSigns['report']): readonly string[] => [
  ...candidates.flatMap(({ type, address }) => (type === 'mapped' ? (parseMultiaddr(address)?.address ?? []) : [])),
  ...strategies.flatMap(({ reason }) =>
    reason?.code === 'EXTERNAL_ADDRESS_RESERVED' ? (/\b192\.0\.0\.\d{1,3}\b/.exec(reason.message)?.[0] ?? []) : []
  )
]

const names = { nat64: 'NAT64', '464xlat': '464XLAT', 'ds-lite': 'DS-Lite' } as const

/** Formats the line about translated IPv4; none if IPv4 is not. */
export function translationLines(translation: Translation | null): readonly string[] {
  if (translation === null) return []
  const { kind, prefix } = translation
  const from = prefix === null ? '' : ` with the prefix ${prefix}, as the DNS server of this machine says`
  return [`IPv4: translated (${names[kind]}${from})`]
}

/** Returns what the translation means for port mappings: nothing to a machine with an IPv4 route of its own beside a NAT64, or with a
 * mapping at a global IPv4 address. */
export function translationAdvice(
  { kind }: Translation,
  { gateways }: Pick<Network, 'gateways'>,
  { candidates }: Pick<Report, 'candidates'>
): readonly string[] {
  // STUN servers see the address of the translator.
  const direct = candidates.flatMap(({ type, state, address }) =>
    type === 'relayed' || (type === 'observed' && state !== 'verified') ? [] : (parseMultiaddr(address) ?? [])
  )
  const isGlobalIn = (family: 4 | 6): boolean => direct.some((each) => each.family === family && isGlobal(each.address))
  const isOwn = kind === 'nat64' && gateways.some(({ address }) => familyOf(address) === 4)
  if (isOwn || isGlobalIn(4)) return []
  const why = `IPv4 is carried over IPv6 here (${names[kind]}), so no IPv4 port can be mapped`
  return [
    isGlobalIn(6)
      ? `For clients without IPv6, add a relay (libp2p) or a port of another host (ssh:<user>@<host>): ${why}.`
      : `Use IPv6, a relay (libp2p) or a port of another host (ssh:<user>@<host>): ${why}.`
  ]
}
