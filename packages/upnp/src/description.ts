import { natError } from '@postern/interface'
import { addressOf, isSanePort, standIn } from './location.js'
import { findElements, findText, parseXml, type XmlElement } from './xml.js'

/** A service of the device that can open ports. */
export interface Service {
  readonly kind: 'connection' | 'firewall'
  /** As the device writes it: it goes back to it in the SOAPAction header. */
  readonly type: string
  /** WANIPConnection:2 has AddAnyPortMapping. */
  readonly version: number
  /** It has a name of the DSL Forum: the last choice. */
  readonly isLegacy: boolean
  readonly controlUrl: URL
}

export interface Description {
  /** For people; empty if the device has none. */
  readonly name: string
  readonly services: readonly Service[]
}

/** No device has more; the list is walked for each of them. */
const maxServices = 16
/** So many services are tried in the place of one that maps nothing. */
const maxAlternatives = 2

/** UDA 1.1 §2.3. Throws `MALFORMED_REPLY` for what is no description, `NO_SERVICE` where nothing in it can open ports,
 * `UNTRUSTED_REPLY` where that is not on the device itself. */
export function decodeDescription(bytes: Uint8Array, location: URL): Description {
  const document = parseXml(bytes)
  if (findElements(document, 'device').length === 0) {
    throw natError('MALFORMED_REPLY', 'the description of the router describes no device')
  }
  const base = baseOf(document, location)
  const offered = findElements(document, 'service').flatMap((element) => readService(element, base) ?? [])
  const services = offered.filter(({ controlUrl }) => isOnDevice(controlUrl, location))
  if (services.length === 0) {
    if (offered.length > 0) throw natError('UNTRUSTED_REPLY', 'the router wants to be controlled on another host')
    throw natError('NO_SERVICE', 'the device offers no service that opens ports')
  }
  // Firmware that lists a service once for each of its interfaces means the same service all the same.
  const different = new Map(services.map((service) => [`${service.type} ${service.controlUrl.href}`, service]))
  return {
    name: (findText(document, 'friendlyname') ?? '').replace(/[^\x20-\x7e]/g, '').slice(0, 64),
    services: [...different.values()].slice(0, maxServices)
  }
}

/** The DSL Forum's names are those of the first routers, and of TR-064, which wants a login. The actions are the same. */
const types =
  /^urn:(schemas-upnp-org|dslforum-org):service:(WANIPConnection|WANPPPConnection|WANIPv6FirewallControl)(?::(\d)(?:\.\d)?)?$/i

/** The other services of the kind: of two that are up, as with PPP over a line that has an address too, one may map nothing.
 * Last the service itself as the first version of it, which some devices that list a later one speak alone. */
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

/** URLBase is deprecated since UDA 1.1, and wrong in firmware that writes another of its addresses there. */
function baseOf(document: XmlElement, location: URL): URL {
  const text = findText(document, 'urlbase')
  if (text === undefined || !URL.canParse(text)) return location
  const base = new URL(text)
  return isOnDevice(base, location) ? base : location
}

/** Longer than the path of any service. */
const maxUrlLength = 512

/** The port may be another one: some serve descriptions and control apart. */
const isOnDevice = (url: URL, location: URL): boolean =>
  url.protocol === 'http:' &&
  url.username === '' &&
  url.password === '' &&
  url.href.length <= maxUrlLength &&
  isSanePort(url) &&
  addressOf(url) === addressOf(location)
