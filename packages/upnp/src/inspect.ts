import { canonicalAddress, classOf, type Gateway, isNatError, type NatError } from '@postern/interface'
import { type Device, examineDevice, type Web } from './device.js'
import { addressOf, trustLocation } from './location.js'
import { decodeSsdp, isAboutGateway, type SsdpMessage } from './ssdp.js'

/** So many different locations of one round are looked at. An ordinary network has one or two. */
const maxLocations = 10
/** Of these, so many that came in answer to a multicast, or in an announcement. */
const maxWideLocations = 5
/** How long one location holds up the next one, in ms. */
const patienceMs = 3000

export interface InspectorOptions {
  readonly web: Web
  /** The router that was asked. */
  readonly gateway: Gateway
  readonly signal: AbortSignal
  /** A device of the router that answered and can be talked to. */
  readonly found: (device: Device) => void
  /** Another host of the link claims to be a gateway, or another host claims so for it: nothing of it has been asked. */
  readonly met: (address: string) => void
  /** Why something that came from the router, or claims to, is of no use. */
  readonly failed: (reason: NatError) => void
  /** Gets whatever else is thrown while a location is looked at, which nothing awaits. */
  readonly broke: (error: unknown) => void
}

/** Makes devices out of datagrams. */
export interface Inspector {
  /** `isDirect`: it came to a port that only the router has been told of. */
  hear(bytes: Uint8Array, sender: string, isDirect: boolean): void
  consider(message: SsdpMessage, sender: string): void
  /** What the router is being asked for; undefined while nothing is. */
  waitsFor(): string | undefined
  /** Looks at locations again that were looked at before. */
  forget(): void
  /** Resolves when nothing is being looked at. */
  settled(): Promise<void>
}

export function createInspector({ web, gateway, signal, found, met, failed, broke }: InspectorOptions): Inspector {
  const router = canonicalAddress(gateway.address)
  /** Locations that were looked at. A multicast search tells every host of the link where to send an answer in the router's
   * name, so that what comes there leaves half of the places to the router's direct answers. */
  const seen = { direct: new Set<string>(), wide: new Set<string>() }
  const waiting: { readonly message: SsdpMessage; readonly location: URL; readonly isDirect: boolean }[] = []
  /** Locations that are being looked at, and what they are asked for. */
  const underWay = new Map<string, { readonly step: string; readonly sinceMs: number }>()
  const running = new Set<Promise<void>>()
  /** The router answers one request at a time; a location that takes long does not hold up the next one. */
  let turn = Promise.resolve()

  async function takeTurn(): Promise<void> {
    const examined = examineNext().catch(broke)
    running.add(examined)
    const over = new AbortController()
    const end = (): void => {
      running.delete(examined)
      over.abort()
    }
    const done = examined.then(end)
    await Promise.race([done, web.clock.sleep(patienceMs, over).catch(() => undefined)])
  }

  /** Looks at what the router has answered directly before all else. */
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
    try {
      found(await examineDevice(web, location, message, { signal }, step))
    } catch (error) {
      if (signal.aborted) return
      if (!isNatError(error)) throw error
      failed(error)
    } finally {
      underWay.delete(location.href)
    }
  }

  /** One that has taken long may have been lost, and is asked again. */
  function isBeingAsked(href: string): boolean {
    const asked = underWay.get(href)
    return asked !== undefined && web.clock.monotonicMs() - asked.sinceMs < patienceMs
  }

  function consider(message: SsdpMessage, sender: string, isDirect = false): void {
    const source = canonicalAddress(sender)
    // Televisions and printers answer too when everything is searched for.
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
    // What is refused costs nothing, and takes no place of what is not.
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

/** The host of the link that a location is on. */
function ownerOf(location: string | undefined): string | undefined {
  if (location === undefined || !URL.canParse(location)) return undefined
  const owner = addressOf(new URL(location))
  const kind = owner === undefined ? undefined : classOf(owner)
  return kind === 'private' || kind === 'link-local' ? owner : undefined
}
