import { type CallOptions, type Gateway, type Host, isNatError } from '@postern/interface'
import { spacedHints } from '@postern/net'
import type { Client } from '../device/client.js'
import { checkDevice, type Device, examineDevice, type Web } from '../device/device.js'
import { trustLocation } from '../device/trusted-location.js'
import type { Seeking } from '../ssdp/find-device.js'
import { decodeSsdp, isAboutGateway, type SsdpMessage } from '../ssdp/message.js'
import { concerns, hasRestarted, isNews } from './news.js'

/** The delay between searches that announcements cause while no device is in use, in ms; it grows with each one. */
const hurryMs = { first: 1000, max: 30_000 } as const
/** The number of checks after a goodbye: a router that shuts down may still answer the first one. */
const goodbyeQuestions = 2

/** A device that is in use. */
export interface InUse {
  readonly client: Client
  /** Gives the device up. */
  lose(): void
}

/** The options of {@link heedAnnouncements}. */
export interface HeedOptions<T extends InUse> {
  readonly host: Host
  readonly gateway: Gateway
  readonly web: Web
  /** Returns the device in use now. */
  readonly inUse: () => T | undefined
  /** Returns the search in progress. */
  readonly seeking: () => Seeking | undefined
  /** Called when the device has restarted. */
  readonly restarted: (device: T) => void
  /** Called with an error that the network did not cause. */
  readonly fail: (error: unknown) => void
}

/** Treats announcements as hints, because any host on the link can forge them. */
export interface Heed {
  /** Takes a datagram from the socket. Never throws. */
  hear(bytes: Uint8Array): void
  /** Discards earlier announcements, because a device is in use from now on. */
  begin(): void
  /** Resolves when no question is being asked. */
  settled(): Promise<void>
}

/** Handles the announcements of a gateway. Asks the device before it acts on one: one question at a time, at most one a
 * second. */
export function heedAnnouncements<T extends InUse>(options: HeedOptions<T>, { signal }: CallOptions): Heed {
  const { host, gateway, web, inUse, seeking, restarted, fail } = options
  /** The last news about the device in use, and the last announcement while there was none. */
  let news: SsdpMessage | undefined
  let appeared: SsdpMessage | undefined
  /** The number of checks that remain after a goodbye. */
  let farewells = 0
  let nextHurryMs: number = hurryMs.first

  async function recheck(): Promise<void> {
    const holding = inUse()
    if (holding === undefined) return
    const message = news
    news = undefined
    const known = holding.client.device
    if (message === undefined || !isNews(message, known)) return farewells > 0 ? askWhetherGone(holding) : undefined
    // If the device still answers at its location, another announced location is forged, or is another of its
    // addresses.
    const isSameBoot = message.bootId === undefined || message.bootId === known.bootId
    if (isSameBoot && (await isThere(known))) return
    const device = (await lookAt(message.location, message)) ?? (await lookAt(known.location.href, known))
    // If the device was lost meanwhile, or even found again, this answer is outdated.
    if (holding !== inUse() || signal.aborted) return
    // The device may be back without its internet connection; then search until it has one.
    if (device === undefined || device.reason !== undefined) return holding.lose()
    const before = holding.client.device
    holding.client.move(device)
    if (!hasRestarted(device, before)) return
    host.log.info(`upnp: ${gateway.address} has restarted`)
    restarted(holding)
  }

  async function askWhetherGone(holding: T): Promise<void> {
    farewells--
    const isStill = await isThere(holding.client.device)
    if (holding !== inUse() || signal.aborted) return
    if (isStill) return farewells > 0 ? hints.take() : undefined
    host.log.info(`upnp: ${gateway.address} has said goodbye`)
    holding.lose()
  }

  async function isThere({ location }: Device): Promise<boolean> {
    try {
      await checkDevice(web, location, { signal })
      return true
    } catch (error) {
      if (!signal.aborted && !isNatError(error)) throw error
      return false
    }
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

  /** Speeds up the search after the gateway announced itself. */
  async function hurry(): Promise<void> {
    const message = appeared
    const search = seeking()
    appeared = undefined
    if (message === undefined || search === undefined) return
    search.inspector.consider(message, gateway.address)
    search.hurry()
    // Repeated forgeries must not keep the search fast.
    const waitMs = nextHurryMs - hurryMs.first
    nextHurryMs = Math.min(2 * nextHurryMs, hurryMs.max)
    if (waitMs > 0) await host.clock.sleep(waitMs, { signal }).catch(() => undefined)
  }

  function heard(message: SsdpMessage): void {
    const client = inUse()?.client
    if (client === undefined) {
      if (message.kind !== 'alive' || !isAboutGateway(message)) return
      appeared = message
      return hurries.take()
    }
    const { device } = client
    if (!concerns(message, device)) return
    if (message.kind === 'byebye') {
      farewells = goodbyeQuestions
      hints.take()
    } else if (isNews(message, device)) {
      news = message
      hints.take()
    } else if (device.bootId === undefined) {
      client.move({ ...device, bootId: message.bootId })
    }
  }

  const hints = spacedHints(recheck, host.clock, { signal }, fail)
  const hurries = spacedHints(hurry, host.clock, { signal }, fail)
  return {
    hear(bytes) {
      try {
        const message = decodeSsdp(bytes)
        if (message !== undefined && message.kind !== 'answer') heard(message)
      } catch (error) {
        if (!isNatError(error)) fail(error)
      }
    },
    begin() {
      news = undefined
      appeared = undefined
      farewells = 0
      nextHurryMs = hurryMs.first
    },
    async settled() {
      await Promise.all([hints.settled(), hurries.settled()])
    }
  }
}
