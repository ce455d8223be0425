import { canonicalAddress, type Finding, type Gateway, type Host, isNatError, type Mapper } from '@postern/interface'
import { hearAnnouncements, orAborted, spacedHints } from '@postern/net'
import { type Client, createClient } from './client.js'
import { type Device, examineDevice } from './device.js'
import { trustLocation } from './location.js'
import type { Settings } from './options.js'
import { createPortMapper } from './port-mapping.js'
import { seekDevice, type Seeking } from './seek.js'
import { concerns, hasRestarted, isNews } from './news.js'
import { decodeSsdp, isAboutGateway, ssdpGroup, type SsdpMessage } from './ssdp.js'

/** Within this time after a restart was told every mapping has been renewed. */
const sameRestartMs = 60_000

export interface WatchOptions {
  readonly host: Host
  readonly settings: Settings
  readonly gateway: Gateway
  /** Other next hops: each is searched for by itself. */
  readonly others: readonly Gateway[]
  readonly found: (finding: Finding) => void
  /** Looks for what the device can do besides mapping IPv4 ports. */
  readonly offerMore: (client: Client, found: (mapper: Mapper) => void) => Promise<void>
  readonly signal: AbortSignal
}

/** Finds the device of one gateway, again and again if need be, until the signal aborts. */
export async function watchGateway(options: WatchOptions): Promise<void> {
  const { host, settings, gateway, found, signal } = options
  const { exchangeHttp, ssdpPort, openUdp, description } = settings
  const web = { clock: host.clock, exchangeHttp }
  const router = canonicalAddress(gateway.address)
  const mappers = new Set<Mapper>()
  const strangers = new Set<string>()
  const extras: Promise<void>[] = []
  let seeking: Seeking | undefined
  let client: Client | undefined
  let lost: (() => void) | undefined
  let announced: SsdpMessage | undefined
  let restartedMs = Number.NEGATIVE_INFINITY

  const tell = (finding: Finding): void => {
    if (!signal.aborted) found(finding)
  }
  const tellAll = (what: 'gone' | 'restarted'): void => {
    if (what === 'restarted') restartedMs = host.clock.monotonicMs()
    for (const about of mappers) tell({ kind: 'notice', what, about })
  }

  function offer(mapper: Mapper): void {
    mappers.add(mapper)
    tell(mapper)
  }

  function clientOf(device: Device): Client {
    const made: Client = createClient({
      web,
      device,
      async lookAgain(call) {
        try {
          const again = await seek(1, nothing, call.signal).device
          // Where it moved it has started again, and may have lost everything.
          if (made === client && hasRestarted(again, made.device)) tellAll('restarted')
          return again
        } catch (error) {
          if (isNatError(error) && made === client) lost?.()
          throw error
        }
      }
    })
    return made
  }

  function seek(rounds: number, absent: Parameters<typeof seekDevice>[0]['absent'], until: AbortSignal): Seeking {
    const isSought = (device: Device, owner: string): boolean => {
      if (owner !== router) meetStranger(device, owner)
      else if (device.reason !== undefined) meetPinholesOnly(device)
      return owner === router && device.reason === undefined
    }
    return seekDevice({ host, settings, gateway, rounds, absent, isSought }, { signal: until })
  }

  /** A gateway that is not ours to use, unless the user names it. Core says so. */
  function meetStranger(device: Device, owner: string): void {
    const isOther = options.others.some(({ address }) => canonicalAddress(address) === owner)
    if (settings.named !== undefined || isOther || strangers.has(owner) || device.reason !== undefined) return
    strangers.add(owner)
    const itsGateway = { address: owner, interface: gateway.interface, localAddress: gateway.localAddress }
    const itsClient = createClient({
      web,
      device,
      lookAgain: (call) => {
        const isSought = (_again: Device, whose: string): boolean => whose === owner
        return seekDevice({ host, settings, gateway: itsGateway, rounds: 1, absent: nothing, isSought }, call).device
      }
    })
    host.log.info(`upnp: ${owner} maps ports too, and is no gateway of this host`)
    tell(
      createPortMapper(itsGateway, { client: itsClient, host, description, addressChanged: nothing, forgot: nothing })
    )
  }

  /** Without a usable IPv4 address IPv6 may still be all right. */
  function meetPinholesOnly(device: Device): void {
    if (client !== undefined || device.firewall === undefined) return
    client = clientOf(device)
    offerMore(client)
  }

  function offerMore(of: Client): void {
    const offered = options.offerMore(of, offer).catch((error: unknown) => {
      if (signal.aborted) return
      if (!isNatError(error)) throw error
      host.log.debug(`upnp: no IPv6 pinholes on ${gateway.address}: ${error.message}`)
    })
    // Awaited at the end; until then nobody must be told that nobody listens.
    offered.catch(() => undefined)
    extras.push(offered)
  }

  /** An announcement is a hint, and can be forged: the device is asked before anything is said. */
  async function recheck(): Promise<void> {
    const message = announced
    if (client === undefined || message === undefined || !isNews(message, client.device)) return
    const device =
      (await lookAt(message.location, message)) ?? (await lookAt(client.device.location.href, client.device))
    if (client === undefined || signal.aborted) return
    // It may be back and its internet connection not yet: then it is searched for until there is one.
    if (device === undefined || device.reason !== undefined) return lost?.()
    const before = client.device
    client.move(device)
    if (!hasRestarted(device, before)) return
    host.log.info(`upnp: ${gateway.address} has started again`)
    tellAll('restarted')
  }

  async function lookAt(
    text: string | undefined,
    identity: Parameters<typeof examineDevice>[2]
  ): Promise<Device | undefined> {
    try {
      const location = trustLocation(text, { sender: gateway.address, gateway })
      return await examineDevice(web, location, identity, { signal })
    } catch (error) {
      if (signal.aborted) return undefined
      if (!isNatError(error)) throw error
      host.log.debug(`upnp: ${gateway.address} announced itself and cannot be asked: ${error.message}`)
      return undefined
    }
  }

  function hear(bytes: Uint8Array, hint: () => void): void {
    let message: SsdpMessage | undefined
    try {
      message = decodeSsdp(bytes)
    } catch (error) {
      if (isNatError(error)) return
      throw error
    }
    if (message === undefined || message.kind === 'answer') return
    const device = client?.device
    if (lost === undefined || device === undefined) {
      if (message.kind === 'alive' && isAboutGateway(message)) {
        seeking?.inspector.consider(message, gateway.address)
        seeking?.hurry()
      }
    } else if (!concerns(message, device)) {
      return
    } else if (message.kind === 'byebye') {
      host.log.info(`upnp: ${gateway.address} says goodbye`)
      lost()
    } else if (isNews(message, device)) {
      announced = message
      hint()
    } else if (device.bootId === undefined) {
      client?.move({ ...device, bootId: message.bootId })
    }
  }

  const hints = spacedHints(recheck, host.clock, { signal })
  const hearing = hearAnnouncements(
    {
      gateway,
      family: 4,
      group: ssdpGroup,
      port: ssdpPort,
      heard: (bytes) => hear(bytes, () => hints.take()),
      open: openUdp
    },
    { signal }
  )
  hearing.then(
    (heard) => heard || host.log.debug(`upnp: port ${ssdpPort} is taken, so announcements are not heard`),
    () => undefined
  )

  try {
    for (;;) {
      seeking = seek(
        Number.POSITIVE_INFINITY,
        (reason) => {
          host.log.info(`upnp: nothing on ${gateway.address} so far: ${reason.message}`)
          tell({ kind: 'notice', what: 'absent', gateway, reason })
        },
        signal
      )
      const device = await seeking.device
      seeking = undefined
      const gone = Promise.withResolvers<void>()
      lost = () => gone.resolve()
      const isNew = client === undefined
      client ??= clientOf(device)
      client.move(device)
      host.log.info(`upnp: ${device.name || 'a router'} on ${gateway.address} maps ports`)
      const mapper: Mapper = createPortMapper(gateway, {
        client,
        host,
        description,
        addressChanged: () => tell({ kind: 'notice', what: 'address-changed', about: mapper }),
        forgot() {
          // What is renewed after a restart that was told already is gone for the same reason.
          if (host.clock.monotonicMs() - restartedMs > sameRestartMs) tellAll('restarted')
        }
      })
      offer(mapper)
      if (isNew) offerMore(client)
      await orAborted(gone.promise, { signal })
      lost = undefined
      tellAll('gone')
      mappers.clear()
      client = undefined
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    await Promise.allSettled([hearing, hints.settled()])
    await Promise.all(extras)
  }
}

const nothing = (): void => undefined
