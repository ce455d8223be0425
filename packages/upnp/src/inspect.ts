import { canonicalAddress, type Gateway, isNatError, type NatError } from '@postern/interface'
import { type Device, examineDevice, type Web } from './device.js'
import { addressOf, trustLocation } from './location.js'
import { decodeSsdp, isAboutGateway, type SsdpMessage } from './ssdp.js'

/** So many different locations of one round are looked at. An ordinary network has one or two. */
const maxLocations = 10

export interface InspectorOptions {
  readonly web: Web
  /** The router that was asked. */
  readonly gateway: Gateway
  readonly signal: AbortSignal
  /** A device of the router, or of somebody else on the link, that answered and can be talked to. */
  readonly found: (device: Device, owner: string) => void
  /** Why something that came from the router, or claims to, is of no use. */
  readonly failed: (reason: NatError) => void
  /** Gets whatever else is thrown while a location is looked at, which nothing awaits. */
  readonly broke: (error: unknown) => void
}

/** Makes devices out of datagrams. */
export interface Inspector {
  hear(bytes: Uint8Array, sender: string): void
  consider(message: SsdpMessage, sender: string): void
  /** Looks at locations again that were looked at before. */
  forget(): void
  /** Resolves when nothing is being looked at. */
  settled(): Promise<void>
}

export function createInspector({ web, gateway, signal, found, failed, broke }: InspectorOptions): Inspector {
  const router = canonicalAddress(gateway.address)
  const seen = new Set<string>()
  /** One device answers one request at a time; a slow one does not hold up the others. */
  const turns = new Map<string, Promise<void>>()

  async function examine(message: SsdpMessage, location: URL, owner: string): Promise<void> {
    if (signal.aborted) return
    try {
      found(await examineDevice(web, location, message, { signal }), owner)
    } catch (error) {
      if (signal.aborted) return
      if (!isNatError(error)) throw error
      if (owner === router) failed(error)
    }
  }

  function consider(message: SsdpMessage, sender: string): void {
    const source = canonicalAddress(sender)
    // Televisions and printers answer too when everything is searched for.
    if (source !== router && !isAboutGateway(message)) return
    const key = message.location ?? ''
    if (seen.has(key) || seen.size >= maxLocations) return
    seen.add(key)
    let location: URL
    try {
      location = trustLocation(message.location, { sender, gateway })
    } catch (error) {
      if (!isNatError(error)) throw error
      return failed(error)
    }
    const host = addressOf(location) ?? ''
    // Some answer from another address than they serve on; the rules for locations have checked the two.
    const owner = source === router || host === router ? (router ?? '') : host
    turns.set(host, (turns.get(host) ?? Promise.resolve()).then(() => examine(message, location, owner)).catch(broke))
  }

  return {
    consider,
    hear(bytes, sender) {
      if (signal.aborted) return
      try {
        const message = decodeSsdp(bytes)
        if (message?.kind === 'answer') consider(message, sender)
      } catch (error) {
        if (!isNatError(error)) broke(error)
        else if (canonicalAddress(sender) === router) failed(error)
      }
    },
    forget: () => seen.clear(),
    async settled() {
      await Promise.all(turns.values())
    }
  }
}
