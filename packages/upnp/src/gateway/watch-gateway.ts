import {
  type CallOptions,
  type Finding,
  type Gateway,
  type Host,
  isNatError,
  type Mapper,
  type NatError,
  type Notice,
  orAborted
} from '@postern/interface'
import { createStrangers, hearAnnouncements, type TaskGroup, taskGroup } from '@postern/net'
import { type Client, createClient } from '../device/client.js'
import type { Device } from '../device/device.js'
import type { Described } from '../device/device-names.js'
import { createPortMapper } from '../mapping/port-mapping.js'
import type { Settings } from '../settings.js'
import { createPace, type Pace, type Seeking, seekDevice } from '../ssdp/find-device.js'
import { ssdpGroup } from '../ssdp/message.js'
import { heedAnnouncements } from './announcements.js'
import { hasRestarted } from './news.js'

/** The time after a reported restart within which core has renewed every mapping, in ms. */
const sameRestartMs = 60_000

/** The options of {@link watchGateway}. */
export interface WatchOptions {
  readonly host: Host
  readonly settings: Settings
  readonly gateway: Gateway
  /** The pace of the search for a device. */
  readonly pace: Pace
  /** All next hops. Each of them has its own search. */
  readonly others: readonly Gateway[]
  readonly found: (finding: Finding) => void
  /** Offers what the device can do besides mapping IPv4 ports. */
  readonly offerMore: (
    client: Client,
    found: (mapper: Mapper) => void,
    notice: (notice: Notice) => void,
    call: CallOptions
  ) => Promise<void>
  readonly signal: AbortSignal
}

/** A device in use, from its discovery until it is lost. Asynchronous code keeps the one that it started with, and
 * compares it with the current one afterwards. */
interface Holding {
  readonly client: Client
  readonly mappers: Set<Mapper>
  /** Resolves when the device is lost. */
  readonly gone: Promise<void>
  lose(): void
}

/** Finds the device of one gateway, and finds it again whenever it is lost, until the signal aborts. Rejects with the
 * first error that the network did not cause, after all its tasks have ended. */
export async function watchGateway(options: WatchOptions): Promise<void> {
  try {
    await taskGroup(options, (group) => watch(options, group))
  } catch (error) {
    if (!options.signal.aborted) throw error
  }
}

async function watch(options: WatchOptions, group: TaskGroup): Promise<void> {
  const { host, settings, gateway, found } = options
  const { signal, fail } = group
  const { exchangeHttp, ssdpPort, openUdp, description } = settings
  const web = { clock: host.clock, exchangeHttp, ...settings.lineOf(gateway.address) }
  let seeking: Seeking | undefined
  /** The device that maps IPv4 ports. `pinholes` is a device that only opens IPv6 pinholes; there is at most one of the
   * two. */
  let held: Holding | undefined
  let pinholes: Holding | undefined
  let restartedMs = Number.NEGATIVE_INFINITY
  /** How certain the names are that were reported. */
  let named = 0

  const tell = (finding: Finding): void => {
    if (!signal.aborted) found(finding)
  }
  const meetStranger =
    settings.named === undefined
      ? createStrangers({ strategy: 'upnp', host, gateway, family: 4, others: options.others, found: tell })
      : nothing
  const isCurrent = (holding: Holding): boolean => !signal.aborted && (holding === held || holding === pinholes)
  const tellAll = (holding: Holding, what: 'gone' | 'restarted'): void => {
    if (what === 'restarted') restartedMs = host.clock.monotonicMs()
    for (const about of holding.mappers) tell({ kind: 'notice', what, about })
  }

  function offer(holding: Holding, mapper: Mapper): void {
    holding.mappers.add(mapper)
    tell(mapper)
  }

  function hold(device: Device): Holding {
    const { promise: gone, resolve: lose } = Promise.withResolvers<void>()
    const client = createClient({
      localAddress: gateway.localAddress,
      web,
      device,
      async lookAgain(call) {
        try {
          const again = await seek(1, nothing, call.signal).device
          // A device that moved has restarted, and may have lost its mappings.
          if (isCurrent(holding) && hasRestarted(again, client.device)) tellAll(holding, 'restarted')
          return again
        } catch (error) {
          if (isNatError(error) && holding === held) lose()
          throw error
        }
      }
    })
    const holding: Holding = { client, mappers: new Set(), gone, lose }
    return holding
  }

  function seek(
    rounds: number,
    absent: Parameters<typeof seekDevice>[0]['absent'],
    until: AbortSignal,
    pace?: Pace
  ): Seeking {
    const isSought = (device: Device): boolean => {
      if (device.reason !== undefined) meetPinholesOnly(device)
      return device.reason === undefined
    }
    const wish = { host, pace, settings, gateway, rounds, absent, isSought, met: meetStranger, described }
    return seekDevice(wish, { signal: until })
  }

  /** Reports how the router names itself: once, and again if a more certain description follows. */
  function described({ device, certainty }: Described): void {
    if (certainty <= named) return
    named = certainty
    tell({ kind: 'notice', what: 'described', gateway, device })
  }

  /** Uses a device that cannot map IPv4 ports for IPv6 pinholes. */
  function meetPinholesOnly(device: Device): void {
    if (held !== undefined || pinholes !== undefined || device.firewall === undefined) return
    pinholes = hold(device)
    offerMore(pinholes)
  }

  /** Starts to offer further abilities of the device in the background. Offers nothing if the device was lost
   * meanwhile. */
  function offerMore(holding: Holding): void {
    group.start(async () => {
      try {
        await options.offerMore(
          holding.client,
          (mapper) => isCurrent(holding) && offer(holding, mapper),
          (notice) => isCurrent(holding) && tell(notice),
          { signal }
        )
      } catch (error) {
        if (signal.aborted) return
        if (!isNatError(error)) throw error
        host.log.debug(`upnp: no IPv6 pinholes on ${gateway.address}: ${error.message}`)
      }
    })
  }

  const heed = heedAnnouncements<Holding>(
    {
      host,
      gateway,
      web,
      inUse: () => held,
      seeking: () => seeking,
      restarted: (holding) => tellAll(holding, 'restarted'),
      fail
    },
    { signal }
  )
  group.start(async () => {
    const announcements = {
      gateway,
      family: 4,
      group: ssdpGroup,
      port: ssdpPort,
      heard: (bytes: Uint8Array) => heed.hear(bytes),
      unheard: (reason: NatError) => tell({ kind: 'notice', what: 'unheard', gateway, reason }),
      open: openUdp
    } as const
    await hearAnnouncements(announcements, { signal })
  })

  try {
    for (;;) {
      seeking = seek(
        Number.POSITIVE_INFINITY,
        (reason) => {
          host.log.info(`upnp: nothing found on ${gateway.address} so far: ${reason.message}`)
          tell({ kind: 'notice', what: 'absent', gateway, reason })
        },
        signal,
        options.pace
      )
      const device = await seeking.device
      Object.assign(options.pace, createPace())
      seeking = undefined
      const isNew = pinholes === undefined
      const holding = pinholes ?? hold(device)
      held = holding
      pinholes = undefined
      heed.begin()
      holding.client.move(device)
      host.log.info(`upnp: ${device.name || 'a router'} on ${gateway.address} maps ports`)
      const mapper: Mapper = createPortMapper(gateway, {
        client: holding.client,
        host,
        description,
        addressChanged: () => tell({ kind: 'notice', what: 'address-changed', about: mapper }),
        forgot() {
          // Mappings that are missing shortly after a reported restart were lost in that restart.
          if (host.clock.monotonicMs() - restartedMs > sameRestartMs) tellAll(holding, 'restarted')
        }
      })
      offer(holding, mapper)
      if (isNew) offerMore(holding)
      await orAborted(holding.gone, { signal })
      held = undefined
      tellAll(holding, 'gone')
    }
  } finally {
    await heed.settled()
  }
}

const nothing = (): void => undefined
