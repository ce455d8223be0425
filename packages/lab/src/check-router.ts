import { isIPv4 } from 'node:net'
import type { RouterPlan } from './topology.js'

/** Throws a TypeError for options that a router cannot have. They become part of the nft rules and commands of the router. */
export function checkRouter(
  name: string,
  { portForwards = [], exposedHost, mappingLifetimeMs, captivePortal }: RouterPlan
): void {
  if (captivePortal !== undefined && !/^https?:\/\/[\w.:/?&=%+~-]{1,200}$/.test(captivePortal))
    throw new TypeError(`"${captivePortal}" is not the address of a login page of ${name}`)

  for (const { externalPort, address, internalPort = externalPort } of portForwards) {
    checkAddress(name, address)
    checkPort(name, externalPort)
    checkPort(name, internalPort)
  }
  const doubled = portForwards.find(({ externalPort }, index) =>
    portForwards.slice(0, index).some((other) => other.externalPort === externalPort)
  )
  if (doubled !== undefined) throw new TypeError(`${name} forwards port ${doubled.externalPort} twice`)
  if (exposedHost !== undefined) {
    checkAddress(name, exposedHost.address)
    if (exposedHost.ports?.length === 0) throw new TypeError(`The exposed host of ${name} needs at least one port`)
    for (const port of exposedHost.ports ?? []) checkPort(name, port)
  }
  if (
    mappingLifetimeMs !== undefined &&
    !(mappingLifetimeMs % 1000 === 0 && mappingLifetimeMs >= 1000 && mappingLifetimeMs <= maxLifetimeMs)
  )
    throw new TypeError(
      `mappingLifetimeMs of ${name} is whole seconds from 1000 to ${maxLifetimeMs} milliseconds, not ${mappingLifetimeMs}`
    )
}

export const maxLifetimeMs = 86_400_000

function checkAddress(router: string, address: string): void {
  if (!isIPv4(address)) throw new TypeError(`"${address}" is not an IPv4 address, to which ${router} can forward`)
}

function checkPort(router: string, port: number): void {
  if (!(Number.isInteger(port) && port >= 1 && port <= 65_535))
    throw new TypeError(`A port of ${router} is 1 to 65535, not ${port}`)
}
