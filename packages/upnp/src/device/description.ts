import { natError } from '@postern/interface'
import { type Described, readNames } from './device-names.js'
import { addressOf, isSanePort, standIn } from './trusted-location.js'
import { findElements, findText, parseXml, type XmlElement } from './xml.js'

/** A service of the device that can open ports. */
export interface Service {
  readonly kind: 'connection' | 'firewall'
  /** The service type as the device writes it. The SOAPAction header repeats it. */
  readonly type: string
  /** The version of the service; WANIPConnection:2 adds AddAnyPortMapping. */
  readonly version: number
  /** Whether the type is one of the DSL Forum; such a service is the last choice. */
  readonly isLegacy: boolean
  readonly controlUrl: URL
}

/** The usable parts of a device description. */
export interface Description {
  /** The name of the device, for display; empty if it has none. */
  readonly name: string
  readonly services: readonly Service[]
}

/** The maximum number of services. No real device has more. */
const maxServices = 16
/** How many other services are tried if the chosen one does not map. Each costs the time of an action. */
const maxAlternatives = 2

/**
 * Decodes a device description (UDA 1.1 §2.3). Throws `MALFORMED_REPLY` if it is not one, `NO_SERVICE` if none of its
 * services can open ports, and `UNTRUSTED_REPLY` if these are not on the device itself.
 *
 * @param described - called with the names of the device if it is a router, even if no service of it is of use
 */
export function decodeDescription(
  bytes: Uint8Array,
  location: URL,
  described: (names: Described) => void = () => undefined
): Description {
  const document = parseXml(bytes)
  if (findElements(document, 'device').length === 0) {
    throw natError('MALFORMED_REPLY', 'the description of the router does not contain a device')
  }
  const base = baseOf(document, location)
  const offered = findElements(document, 'service').flatMap((element) => readService(element, base) ?? [])
  const services = offered.filter(({ controlUrl }) => isOnDevice(controlUrl, location))
  const names = readNames(document, services.length > 0)
  if (names !== undefined) described(names)
  if (services.length === 0) {
    if (offered.length > 0) throw natError('UNTRUSTED_REPLY', 'the router wants to be controlled on another host')
    throw natError('NO_SERVICE', 'the device offers no service that opens ports')
  }
  // Some firmware lists the same service once for each of its interfaces.
  const different = new Map(services.map((service) => [`${service.type} ${service.controlUrl.href}`, service]))
  return {
    name: (findText(document, 'friendlyname') ?? '').replace(/[^\x20-\x7e]/g, '').slice(0, 64),
    services: [...different.values()].slice(0, maxServices)
  }
}

/** The service types. Those of the DSL Forum are used by early routers, and by TR-064, which requires a login. The
 * actions are the same. */
const types =
  /^urn:(schemas-upnp-org|dslforum-org):service:(WANIPConnection|WANPPPConnection|WANIPv6FirewallControl)(?::(\d)(?:\.\d)?)?$/i

/** Returns the services to try if the chosen one does not map. These are the other connection services: of two that are
 * up, for example PPP over a line with its own address, one may not map. Last comes the chosen service as version 1,
 * which is the only version that some devices implement although they list a later one. */
export function alternativesTo(chosen: Service | undefined, services: readonly Service[]): readonly Service[] {
  if (chosen === undefined) return []
  const others = services.filter((each) => each !== chosen)
  const first = { ...chosen, type: chosen.type.replace(/:[2-9][.\d]*$/, ':1'), version: 1 }
  return [...others, ...(chosen.version > 1 ? [first] : [])].slice(0, maxAlternatives)
}

function readService(element: XmlElement, base: URL): Service | undefined {
  const type = findText(element, 'servicetype') ?? ''
  const control = findText(element, 'controlurl') ?? ''
  const [, organisation, name, version] = types.exec(type) ?? []
  if (name === undefined || control === '' || !URL.canParse(control, base.href)) return undefined
  const controlUrl = new URL(control, base)
  standIn(controlUrl, addressOf(base) ?? '')
  return {
    kind: name.toLowerCase() === 'wanipv6firewallcontrol' ? 'firewall' : 'connection',
    type,
    version: Number(version ?? 1),
    isLegacy: organisation?.toLowerCase() === 'dslforum-org',
    controlUrl
  }
}

/** Returns the base URL. URLBase is deprecated since UDA 1.1, and some firmware writes another of its addresses
 * there. */
function baseOf(document: XmlElement, location: URL): URL {
  const text = findText(document, 'urlbase')
  if (text === undefined || !URL.canParse(text)) return location
  const base = new URL(text)
  return isOnDevice(base, location) ? base : location
}

/** The maximum length of a URL; no real service has a longer one. */
const maxUrlLength = 512

/** Returns whether a URL is on the device itself. The port may differ: some devices serve descriptions and control on
 * different ports. */
const isOnDevice = (url: URL, location: URL): boolean =>
  url.protocol === 'http:' &&
  url.username === '' &&
  url.password === '' &&
  url.href.length <= maxUrlLength &&
  isSanePort(url) &&
  addressOf(url) === addressOf(location)
