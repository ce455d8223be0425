import type { RouterPlan } from './topology.js'

/** The nft rules for traffic from outside that the user of the router has let in by hand. */
export interface InboundRules {
  /** The statements of the port forwards, in the chain that translates destinations. */
  readonly portForwards: readonly string[]
  /** The statement for the exposed host, in the same chain, after every other rule. */
  readonly exposedHost: string
  /** The statements of the chain that forwards. */
  readonly forward: readonly string[]
}

/** Returns the rules for a router. `unwanted` returns the rules for unsolicited packets that also match a condition. */
export function inboundRules(
  { wan, portForwards = [], exposedHost }: RouterPlan,
  unwanted: (condition: string) => readonly string[]
): InboundRules {
  const translated = `iifname ${wan} meta nfproto ipv4 fib daddr type local`
  const admitted = (address: string): string => `iifname ${wan} ip daddr ${address} ct status dnat`
  const forward = portForwards.map(
    ({ externalPort, address, internalPort = externalPort }) => `${admitted(address)} ${toPorts([internalPort])} accept`
  )
  if (exposedHost !== undefined) {
    const { address, ports } = exposedHost
    if (ports === undefined) forward.push(`${admitted(address)} accept`)
    else forward.push(`${admitted(address)} ${toPorts(ports)} accept`, ...unwanted(`ip daddr ${address}`))
  }
  return {
    portForwards: portForwards.map(
      ({ externalPort, address, internalPort = externalPort }) =>
        `${translated} ${toPorts([externalPort])} dnat ip to ${address}:${internalPort}`
    ),
    exposedHost: exposedHost === undefined ? '' : `${translated} dnat ip to ${exposedHost.address}`,
    forward
  }
}

const toPorts = (ports: readonly number[]): string => `meta l4proto { tcp, udp } th dport { ${ports.join(', ')} }`
