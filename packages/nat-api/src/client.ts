import type { NatError } from '@postern/interface'
import { isGlobal } from '@postern/interface'
import { runTraversal } from '@postern/runtime'
import { createBell } from './bell.js'
import { type Entry, externalOf } from './entry.js'
import { createMappings } from './mappings.js'
import type { Settings } from './options.js'
import type { PortFilter, PortRequest } from './port-arguments.js'

/** The part of a client that talks to routers. */
export interface Client {
  /** Maps a port with each protocol. Resolves with the reasons of those that are not mapped. */
  map(request: PortRequest): Promise<readonly NatError[]>
  /** Releases ports. Resolves with how many there were, and with the reasons of those that the router has not deleted. */
  unmap(filter: PortFilter): Promise<{ readonly count: number; readonly errors: readonly NatError[] }>
  /** Resolves with the external address; undefined if none is known that hosts on the internet can reach. */
  externalAddress(): Promise<string | undefined>
  /** Releases everything, and closes the store. */
  close(): Promise<void>
}

/** How long an external address is reused while nothing is mapped (ms), since asking for it maps a port. */
const addressMs = 60_000
/** The lifetime of a mapping that is made to learn the address, in case it cannot be deleted (ms). */
const momentMs = 120_000

/** Creates the client of a `NatAPI`, with the description of all its mappings. */
export function openClient(settings: Settings, description: string): Client {
  const { host, findNetwork, autoUpdate } = settings
  const { clock, random } = host
  const { store, closeStore } = settings.openStore()
  const bell = createBell(clock)
  const contradicted = new Map<string, NatError>()
  const run = runTraversal({
    strategies: settings.strategies(description),
    host,
    store,
    owners: settings.owners(),
    socket: false,
    ...(findNetwork === undefined ? {} : { findNetwork }),
    changed: () => contradicted.clear(),
    async checkExternalAddress(address, call) {
      const doubt = await settings.checkExternalAddress(address, call)
      if (doubt === undefined) contradicted.delete(address)
      else contradicted.set(address, doubt)
      bell.ring()
      return doubt
    }
  })
  const mappings = createMappings({ run, clock, bell, contradicted })
  let asking: Promise<string | undefined> | undefined
  let told: { readonly address: string; readonly atMs: number } | undefined

  /** Returns the external address of a mapping that hosts on the internet can reach. */
  function addressOf(entry: Entry): string | undefined {
    const { address = '' } = externalOf(entry) ?? {}
    const isGood = isGlobal(address) && (entry.beyond !== null || !contradicted.has(address))
    return entry.state === 'mapped' && isGood ? address : undefined
  }

  const liveAddress = (): string | undefined =>
    mappings
      .all()
      .map(addressOf)
      .find((address) => address !== undefined)

  async function askForAddress(): Promise<string | undefined> {
    const privatePort = 49_152 + Math.floor(random() * 16_384)
    await mappings.map({ publicPort: undefined, privatePort, protocol: 'udp', lifetimeMs: momentMs }, true)
    const address = liveAddress()
    if (address !== undefined) told = { address, atMs: clock.monotonicMs() }
    const probes = mappings.all().filter(({ publicPort }) => publicPort === undefined)
    await Promise.all(probes.map(mappings.release))
    return address
  }

  return {
    async map({ publicPort, privatePort, protocols, lifetimeMs }) {
      const map = (protocol: (typeof protocols)[number]): Promise<NatError | undefined> =>
        mappings.map({ publicPort, privatePort, protocol, lifetimeMs }, autoUpdate)
      const errors = await Promise.all(protocols.map(map))
      return errors.filter((error) => error !== undefined)
    },
    async unmap({ publicPort, privatePort, protocols }) {
      const found = mappings
        .all()
        .filter(
          (entry) =>
            entry.publicPort === (publicPort ?? entry.publicPort ?? 0) &&
            entry.privatePort === (privatePort ?? entry.privatePort) &&
            protocols.includes(entry.protocol)
        )
      const errors = await Promise.all(found.map(mappings.release))
      return { count: found.length, errors: errors.filter((error) => error !== undefined) }
    },
    async externalAddress() {
      const live = liveAddress()
      if (live !== undefined) return live
      if (told !== undefined && clock.monotonicMs() - told.atMs < addressMs) return told.address
      asking ??= askForAddress().finally(() => {
        asking = undefined
      })
      return asking
    },
    async close() {
      await mappings.close()
      await closeStore()
    }
  }
}
