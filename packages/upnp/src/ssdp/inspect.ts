import { canonicalAddress, classOf, type Gateway, isNatError, type NatError, waitAtMost } from '@postern/interface'
import { type Device, examineDevice, type Web } from '../device/device.js'
import type { Described } from '../device/device-names.js'
import { addressOf, trustLocation } from '../device/trusted-location.js'
import { decodeSsdp, isAboutGateway, type SsdpMessage } from './message.js'

/** The maximum number of different locations that are examined in one round. An ordinary network has one or two. */
const maxLocations = 10
/** How many of these may come from an answer to a multicast or an announcement, which any host of the network can send.
 * The others stay free for direct answers of the router. */
const maxWideLocations = 5
/** How long one location delays the next one, in ms. A slower examination continues beside the next one. */
const patienceMs = 3000

/** The options of {@link createInspector}. */
export interface InspectorOptions {
  readonly web: Web
  /** The router that was asked. */
  readonly gateway: Gateway
  readonly signal: AbortSignal
  /** Called with a device of the router that answered and can be controlled. */
  readonly found: (device: Device) => void
  /** Called with the address of another host on the link that claims to be a gateway. Nothing was sent to it. */
  readonly met: (address: string) => void
  /** Called with the reason why a message from the router, or one in its name, is useless. */
  readonly failed: (reason: NatError) => void
  /** Called with the names of a device of the router, whether it can be controlled or not. */
  readonly described?: ((names: Described) => void) | undefined
  /** Called with any other error while a location is examined in the background. */
  readonly broke: (error: unknown) => void
}

/** Examines the devices that SSDP messages name. */
export interface Inspector {
  /** Takes a datagram. `isDirect`: it arrived on a port that only the router knows. */
  hear(bytes: Uint8Array, sender: string, isDirect: boolean): void
  /** Takes a decoded message. */
  consider(message: SsdpMessage, sender: string): void
  /** Returns what the router is being asked for; undefined if there is no request in progress. */
  waitsFor(): string | undefined
  /** Lets locations be examined again that were examined before. */
  forget(): void
  /** Resolves when no location is being examined. */
  settled(): Promise<void>
}

/** Creates the inspector of one search. */
export function createInspector(options: InspectorOptions): Inspector {
  const { web, gateway, signal, found, met, failed, broke } = options
  const router = canonicalAddress(gateway.address)
  /** The locations that were examined. A multicast search tells every host on the link where to send forged answers, so
   * its answers may use only half of the places; the rest is for direct answers of the router. */
  const seen = { direct: new Set<string>(), wide: new Set<string>() }
  const waiting: { readonly message: SsdpMessage; readonly location: URL; readonly isDirect: boolean }[] = []
  /** The locations that are being examined, and what is requested from them. */
  const underWay = new Map<string, { readonly step: string; readonly sinceMs: number }>()
  const running = new Set<Promise<void>>()
  /** Examines one location after the other, but a slow one does not delay the next one for long. */
  let turn = Promise.resolve()

  async function takeTurn(): Promise<void> {
    const examined = examineNext().catch(broke)
    running.add(examined)
    const done = examined.then(() => void running.delete(examined))
    await waitAtMost(web.clock, patienceMs, done, undefined)
  }

  /** Examines the next location. Direct answers of the router come first. */
  async function examineNext(): Promise<void> {
    const index = Math.max(
      0,
      waiting.findIndex(({ isDirect }) => isDirect)
    )
    const [next] = waiting.splice(index, 1)
    if (next === undefined || signal.aborted) return
    const { message, location } = next
    const sinceMs = web.clock.monotonicMs()
    const step = (what: string): void => void underWay.set(location.href, { step: what, sinceMs })
    const described = (names: Described): void => {
      if (!signal.aborted) options.described?.(names)
    }
    try {
      found(await examineDevice(web, location, message, { signal }, { step, described }))
    } catch (error) {
      if (signal.aborted) return
      if (!isNatError(error)) throw error
      failed(error)
    } finally {
      underWay.delete(location.href)
    }
  }

  /** Returns whether a location is being examined. After 3 s the request may be lost, so it may be repeated. */
  function isBeingAsked(href: string): boolean {
    const asked = underWay.get(href)
    return asked !== undefined && web.clock.monotonicMs() - asked.sinceMs < patienceMs
  }

  function consider(message: SsdpMessage, sender: string, isDirect = false): void {
    const source = canonicalAddress(sender)
    // Televisions and printers also answer a search for everything.
    if (source !== router && !isAboutGateway(message)) return
    let location: URL
    try {
      location = trustLocation(message.location, { sender, gateway })
    } catch (error) {
      if (!isNatError(error)) throw error
      const owner = ownerOf(message.location)
      if (source !== router && owner !== undefined && owner === source) met(owner)
      else failed(error)
      return
    }
    // Only accepted locations take a place.
    const { href } = location
    const places = isDirect ? seen.direct : seen.wide
    const isFull = seen.direct.size + seen.wide.size >= maxLocations || (!isDirect && places.size >= maxWideLocations)
    if (seen.direct.has(href) || places.has(href) || isFull || isBeingAsked(href)) return
    places.add(href)
    const same = waiting.findIndex((each) => each.location.href === href)
    if (same >= 0) waiting.splice(same, 1)
    else if (isDirect && seen.wide.has(href)) return
    waiting.push({ message, location, isDirect })
    turn = turn.then(takeTurn).catch(broke)
  }

  return {
    consider,
    hear(bytes, sender, isDirect) {
      if (signal.aborted) return
      try {
        const message = decodeSsdp(bytes)
        if (message?.kind === 'answer') consider(message, sender, isDirect)
      } catch (error) {
        if (!isNatError(error)) broke(error)
        else if (canonicalAddress(sender) === router) failed(error)
      }
    },
    forget() {
      seen.direct.clear()
      seen.wide.clear()
    },
    waitsFor: () => [...underWay.values()].at(-1)?.step,
    async settled() {
      await turn
      await Promise.all(running)
    }
  }
}

/** Returns the address in a location, if it is one of a host on the local network. */
function ownerOf(location: string | undefined): string | undefined {
  if (location === undefined || !URL.canParse(location)) return undefined
  const owner = addressOf(new URL(location))
  const kind = owner === undefined ? undefined : classOf(owner)
  return kind === 'private' || kind === 'link-local' ? owner : undefined
}
