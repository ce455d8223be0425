import { type CallOptions, type Gateway, type Host, isNatError } from '@postern/interface'
import { spacedHints } from '@postern/net'
import type { Client } from './client.js'
import { type Device, examineDevice, checkDevice, type Web } from './device.js'
import { trustLocation } from './location.js'
import { concerns, hasRestarted, isNews } from './news.js'
import type { Seeking } from './seek.js'
import { decodeSsdp, isAboutGateway, type SsdpMessage } from './ssdp.js'

/** What is announced where nothing was found is looked for at once, then ever less often, in ms. */
const hurryMs = { first: 1000, longest: 30_000 } as const
/** A goodbye is asked about twice: a router that shuts down may answer the first time. */
const goodbyeQuestions = 2

/** A device that is in use. */
export interface InUse {
  readonly client: Client
  lose(): void
}

export interface HeedOptions<T extends InUse> {
  readonly host: Host
  readonly gateway: Gateway
  readonly web: Web
  /** The device in use now. */
  readonly inUse: () => T | undefined
  /** The search that is under way. */
  readonly seeking: () => Seeking | undefined
  /** The device has started again. */
  readonly restarted: (device: T) => void
  /** Gets an error that is not an answer of the network. */
  readonly fail: (error: unknown) => void
}

/** Takes announcements as the hints that they are: any host of the link can forge them. */
export interface Heed {
  /** Called by the socket. Never throws. */
  hear(bytes: Uint8Array): void
  /** A device is in use from now on: what was announced before is of the past. */
  begin(): void
  /** Resolves when no question is being asked. */
  settled(): Promise<void>
}

/** Asks the device before anything is said or done: one question at a time, at most one a second. */
export function heedAnnouncements<T extends InUse>(options: HeedOptions<T>, { signal }: CallOptions): Heed {
  const { host, gateway, web, inUse, seeking, restarted, fail } = options
  /** The last news of the device in use, and the last message while there was none. */
  let news: SsdpMessage | undefined
  let appeared: SsdpMessage | undefined
  /** Questions that are still to be asked because of a goodbye. */
  let farewells = 0
  let nextHurryMs: number = hurryMs.first

  async function recheck(): Promise<void> {
    const holding = inUse()
    if (holding === undefined) return
    const message = news
    news = undefined
    const known = holding.client.device
    if (message === undefined || !isNews(message, known)) return farewells > 0 ? askWhetherGone(holding) : undefined
    // Where it answers at its place, another place that is told is a forgery, or another of its addresses.
    const isSameBoot = message.bootId === undefined || message.bootId === known.bootId
    if (isSameBoot && (await isThere(known))) return
    const device = (await lookAt(message.location, message)) ?? (await lookAt(known.location.href, known))
    // Meanwhile the device may have been lost, and even found again: then this answer is about the past.
    if (holding !== inUse() || signal.aborted) return
    // It may be back and its internet connection not yet: then it is searched for until there is one.
    if (device === undefined || device.reason !== undefined) return holding.lose()
    const before = holding.client.device
    holding.client.move(device)
    if (!hasRestarted(device, before)) return
    host.log.info(`upnp: ${gateway.address} has started again`)
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

  /** Nothing was found so far, and the gateway seems to be there now. */
  async function hurry(): Promise<void> {
    const message = appeared
    const search = seeking()
    appeared = undefined
    if (message === undefined || search === undefined) return
    search.inspector.consider(message, gateway.address)
    search.hurry()
    // What is forged again and again makes the search no quicker than it is by itself.
    const waitMs = nextHurryMs - hurryMs.first
    nextHurryMs = Math.min(2 * nextHurryMs, hurryMs.longest)
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
