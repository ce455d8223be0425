import { classOf, hasNextHop, parseMultiaddr } from '@postern/interface'
import type { Facts } from './facts.js'
import { type Forward, forwardsOf, nextOf } from './forward-advice.js'

const orBridge = 'Or put one of the two routers into bridge mode.'

/**
 * Returns what to enter in both routers, with their addresses, where this host is behind two of them; undefined if the
 * external address of the next hop is not known. Pure.
 */
export function doubleNatAdvice(facts: Facts): string | undefined {
  const { network, beyond } = facts
  const [nextHop] = network.gateways
  if (nextHop === undefined || !hasNextHop(nextHop)) return undefined
  const third = thirdRouterAdvice(facts)
  if (third !== undefined) return third
  const mapped = nearAddress(facts)
  const address = mapped ?? toldAddress(facts)
  const forwards = forwardsOf(facts)
  if (address === undefined || forwards.length === 0) return undefined
  const outer = `the outer router (${beyond?.gateway ?? `probably ${routerIn(address)}`})`
  const byHand = (where: string): string =>
    `${forwards.map((each) => ruleTo(each, address)).join(', and ')}, by hand in ${where}, and ${forwards.map(rule).join(', and ')}, in those of ${nextHop.address}, ${nextOf(facts)}`
  if (mapped === undefined)
    return `Forward ${byHand(`the settings of ${outer}`)}: ${nextHop.address} does not map ports behind another router. ${orBridge}`
  const first = beyond?.gateway === undefined ? 'Turn on UPnP, NAT-PMP or PCP' : 'Allow port mapping for other routers'
  return `${first} in ${outer}, or forward ${byHand('its settings')}. ${orBridge}`
}

/** Advice where the second router is behind a third one. */
function thirdRouterAdvice({ candidates, beyond }: Facts): string | undefined {
  const outer = candidates.find(({ type, through }) => type === 'mapped' && through !== undefined)
  const external = parseMultiaddr(outer?.address ?? '')
  if (external === undefined || classOf(external.address) !== 'private') return undefined
  const { address, port, protocol } = external
  return `Put one of the routers into bridge mode, or forward ${protocol.toUpperCase()} port ${port} to ${address}, port ${port}, by hand in the third one (probably ${routerIn(address)}): ${beyond?.gateway ?? 'the second one'} is behind it, and only two routers in a row are mapped.`
}

/** The external address of the next hop, where it maps the port. */
function nearAddress({ candidates }: Facts): string | undefined {
  const near = candidates.find(({ type, through }) => type === 'mapped' && through === undefined)
  const address = parseMultiaddr(near?.address ?? '')?.address
  return address !== undefined && classOf(address) === 'private' ? address : undefined
}

/** The external address of the next hop, where it told it with a refusal. */
const toldAddress = ({ entries }: Facts): string | undefined =>
  entries.map(({ status, absence }) => (status.failure ?? absence)?.externalAddress).find((each) => each !== undefined)

const rule = ({ host, port, external, protocol }: Forward): string =>
  `${protocol} port ${external} to ${host ?? 'this machine'}, port ${port}`

const ruleTo = ({ external, protocol }: Forward, address: string): string =>
  `${protocol} port ${external} to ${address}, port ${external}`

/** Returns the address that a router most often has in the network of a host. */
const routerIn = (address: string): string => address.replace(/\d+$/, '1')
