import type { Report } from '@postern/core'
import { containerBridgeOf, familyOf, type Network, parseMultiaddr } from '@postern/interface'
import type { Colors } from './terminal.js'

/** What the person has typed, and where the machine stands. */
export interface Situation {
  readonly command: 'doctor' | 'map'
  /** What `--via` was given. */
  readonly via: string
  readonly network: Network
  /** The port that the person wants to be reachable; undefined where a command tries any. */
  readonly port: number | undefined
}

/**
 * The command lines that a person can run next, each with a few words before it. They hold this machine's addresses where
 * these are known, and a word in capitals where only the person knows.
 */
export function nextSteps(report: Report, { command, via, network, port }: Situation): readonly string[] {
  const { cause, verdict, gateway } = report
  const wrong = wrongGateway(report, via, network)
  if (wrong !== undefined) return [wrong]
  const steps: string[] = []
  const host = network.addresses.find((address) => familyOf(address) === 4)
  const known = publicAddress(report) ?? 'PUBLIC-ADDRESS'
  const there = port ?? 8080
  if (gateway !== null && (cause === 'no-mapping-service' || cause === 'gateway-refused')) {
    steps.push(
      `Once port ${there} is forwarded in the router (${gateway.address}) to ${host ?? 'this machine'}: postern doctor --via manual:${known}:${there}`
    )
  }
  if (cause === 'container-bridge' && gateway !== null && containerBridgeOf(gateway) === 'Docker') {
    steps.push(`Start the container on the host's network: docker run --network host IMAGE`)
    steps.push(`Or publish the port and name it: docker run --publish ${there}:${there} IMAGE`)
  }
  if (cause === 'carrier-nat' || cause === 'double-nat') {
    steps.push(
      `For one peer of another home, through a relay: postern tunnel listen ${there} --relay RELAY --allow PEER-ID`
    )
  }
  if (cause === 'unverified') {
    steps.push('Have two peers on other networks dial this machine: postern doctor --peer ADDRESS --peer ADDRESS')
  }
  if (command !== 'doctor' && verdict !== 'public') steps.push(`For the whole report: postern doctor${quotedVia(via)}`)
  return steps
}

/** A gateway that was named, is silent, and is not the router of this machine. */
function wrongGateway({ candidates }: Report, via: string, { gateways }: Network): string | undefined {
  if (candidates.some(({ type }) => type === 'mapped')) return undefined
  const routers = gateways.map(({ address }) => address)
  for (const part of via.split(',')) {
    const [, name, named = ''] = /^\s*(pcp|nat-pmp|upnp):\[?([^\]]*)\]?\s*$/.exec(part) ?? []
    const router = routers.find((address) => familyOf(address) === familyOf(named))
    if (name === undefined || router === undefined || routers.includes(named)) continue
    return `${named} does not map ports for this machine, whose router is ${router}: postern doctor --via ${name}:${router}`
  }
  return undefined
}

/** Where it is known: from what a STUN server or a router told. */
function publicAddress({ candidates }: Report): string | undefined {
  const found = candidates.find(({ type }) => type === 'observed')
  return found === undefined ? undefined : parseMultiaddr(found.address)?.address
}

function quotedVia(via: string): string {
  if (via === 'any') return ''
  return ` --via ${/^[\w.:,-]+$/.test(via) ? via : `'${via.replaceAll("'", '')}'`}`
}

/** As lines for people. */
export const describeNext = (steps: readonly string[], colors: Colors): readonly string[] =>
  steps.map((step) => `${colors.cyan('$')} ${step}`)
