import type { Report } from '@postern/core'
import { classOf, containerBridgeOf, familyOf, isWildcard, type Network, parseMultiaddr } from '@postern/interface'
import { lowPortOf } from './low-ports.js'
import type { Colors } from './terminal.js'

/** The command line of the user, and the network of the machine. */
export interface Situation {
  readonly command: 'doctor' | 'map'
  /** The text of `--via`. */
  readonly via: string
  readonly network: Network
  /** The port that should be reachable; undefined if the command uses any port. */
  readonly port: number | undefined
  /** @default tcp, which doctor tries */
  readonly protocol?: 'tcp' | 'udp'
  /** The options with which the user named witnesses or peers, as `--witness 203.0.113.9:4003`. */
  readonly asked?: readonly string[]
  /** The requested external port, if it differs. */
  readonly externalPort?: number | undefined
}

/**
 * Returns command lines that the user can run next, each after a few words. They contain the addresses of this machine
 * if these are known, and placeholders in capitals otherwise.
 */
export function nextSteps(
  report: Report,
  { command, via, network, port, protocol = 'tcp', asked = [], externalPort }: Situation
): readonly string[] {
  const { cause, verdict, gateway } = report
  const wrong = wrongGateway(report, via, network)
  if (wrong !== undefined) return [wrong]
  const steps: string[] = []
  const host = network.addresses.find((address) => familyOf(address) === 4)
  const known = publicAddress(report) ?? 'PUBLIC-ADDRESS'
  const there = port ?? 8080
  const suffix = protocol === 'udp' ? '/udp' : ''
  if (command === 'map' && port !== undefined && cause === 'gateway-refused') {
    if (lowPortOf(port, port) !== undefined) {
      steps.push(`Once the program listens on port ${port + 8000}: postern map ${port + 8000}${suffix}`)
    } else if (lowPortOf(port, externalPort ?? port) !== undefined) {
      steps.push(`With the same port outside: postern map ${port}${suffix}`)
    }
  }
  if (gateway !== null && protocol === 'tcp' && (cause === 'no-mapping-service' || cause === 'gateway-refused')) {
    const check = asked.length > 0 ? ['--port', String(there), ...asked].join(' ') : `--via manual:${known}:${there}`
    steps.push(
      `Once port ${there} is forwarded in the router (${gateway.address}) to ${host ?? 'this machine'}: postern doctor ${check}`
    )
    // A cloud, a DMZ or an older forward needs no mapping protocol, and no router tells.
    if (command === 'doctor' && asked.length === 0)
      steps.push(
        `If port ${there} may be open without that, have two servers that run \`postern witness\` try it: postern doctor --port ${there} --witness URL --witness URL`
      )
  }
  if (cause === 'container-bridge' && gateway !== null && containerBridgeOf(gateway) === 'Docker') {
    steps.push(`Start the container on the host's network: docker run --network host IMAGE`)
    steps.push(`Or publish the port and name it: docker run --publish ${there}:${there}${suffix} IMAGE`)
  }
  const isBehindAnother = cause === 'carrier-nat' || cause === 'double-nat' || cause === 'reserved-external-address'
  if (protocol === 'tcp' && isBehindAnother) {
    if (verdict === 'private' && cause === 'double-nat' && asked.length === 0)
      steps.push(
        `Once port ${there} is forwarded by hand as above: postern doctor --via manual:PUBLIC-ADDRESS:${there}`
      )
    if (verdict === 'private' && !/(?:^|,)\s*(?:ssh|bore):/.test(via))
      steps.push(
        `For every client, through a host of yours that has an SSH server: postern map ${there} --via ${via},ssh:USER@HOST`
      )
    steps.push(
      `For one peer of another home, through a relay: postern tunnel listen ${there} --relay RELAY --allow PEER-ID`
    )
  }
  // If peers were named, there is other advice about them.
  if (cause === 'unverified' && report.advice.some((text) => text.startsWith('Name a witness'))) {
    steps.push('Have two peers on other networks dial this machine: postern doctor --peer ADDRESS --peer ADDRESS')
  }
  if (cause === 'unverified' && protocol === 'tcp' && asked.length === 0 && hasUnknownAddress(report)) {
    const named = port === undefined || via.includes('manual') ? '' : ` --port ${there}`
    steps.push(
      `Have two servers that run \`postern witness\` find the address and try the port: postern doctor${quotedVia(via)}${named} --witness URL --witness URL`
    )
  }
  if (command !== 'doctor' && verdict !== 'public') steps.push(`For the whole report: postern doctor${quotedVia(via)}`)
  return steps
}

/** Removes the advice to turn port mapping on in a gateway that is not the router: {@link nextSteps} names the right
 * one. */
export function withRightGateway(report: Report, via: string, network: Network): Report {
  if (report.cause !== 'no-mapping-service' || wrongGateway(report, via, network) === undefined) return report
  return { ...report, advice: report.advice.slice(1) }
}

/** Returns a step for a named gateway that is silent and is not the router of this machine; undefined if there is
 * none. */
function wrongGateway({ candidates, strategies }: Report, via: string, { gateways }: Network): string | undefined {
  if (candidates.some(({ type }) => type === 'mapped')) return undefined
  if (strategies.some(({ waitingFor }) => waitingFor !== undefined)) return undefined
  const routers = gateways.map(({ address }) => address)
  for (const part of via.split(',')) {
    const [, name, named = ''] = /^\s*(pcp|nat-pmp|upnp):\[?([^\]]*)\]?\s*$/.exec(part) ?? []
    const router = routers.find((address) => familyOf(address) === familyOf(named))
    if (name === undefined || router === undefined || routers.includes(named)) continue
    // An IPv6 next hop is a link-local address, and may be the same router as the named address.
    if (familyOf(named) === 6 && classOf(named) !== classOf(router)) continue
    return `${named} does not map ports for this machine; its router is ${router}: postern doctor --via ${name}:${router}`
  }
  return undefined
}

/** Returns the public address, if a STUN server told it. */
function publicAddress({ candidates }: Report): string | undefined {
  const found = candidates.find(({ type }) => type === 'observed')
  return found === undefined ? undefined : parseMultiaddr(found.address)?.address
}

/** Whether a port is mapped or forwarded at an address that is not known. */
const hasUnknownAddress = ({ candidates }: Report): boolean =>
  candidates.some(({ address }) => isWildcard(parseMultiaddr(address)?.address ?? ''))

function quotedVia(via: string): string {
  if (via === 'any') return ''
  return ` --via ${/^[\w.:,-]+$/.test(via) ? via : `'${via.replaceAll("'", '')}'`}`
}

/** Formats the steps as lines of text. */
export const describeNext = (steps: readonly string[], colors: Colors): readonly string[] =>
  steps.map((step) => `${colors.cyan('$')} ${step}`)
