import { escapeXml, parseXml } from './strict-xml.js'

/** A SOAP call of UPnP (UDA 1.1 §3.1.1). */
export interface SoapCall {
  readonly serviceType: string
  readonly action: string
  /** The arguments in their order. */
  readonly values: ReadonlyMap<string, string>
}

/** An error of the device (UDA 1.1 §3.1.2). */
export interface SoapFault {
  readonly code: number
}

export type SoapResult = ReadonlyMap<string, string | number> | SoapFault

export const isSoapFault = (result: SoapResult): result is SoapFault => 'code' in result

/** Reads a call, or returns a text that describes the error. */
export function readCall(headers: Readonly<Record<string, string>>, body: string): SoapCall | string {
  const action = /^"([^"#]+)#([A-Za-z0-9_]+)"$/.exec(headers['soapaction'] ?? '')
  if (action === null) return `SOAPACTION is ${headers['soapaction'] ?? 'missing'}`
  if (!/^text\/xml\b/i.test(headers['content-type'] ?? ''))
    return `Content-Type is ${headers['content-type'] ?? 'missing'}`
  if (headers['content-length'] === undefined) return 'Content-Length is missing'
  if (headers['content-length'] !== String(Buffer.byteLength(body))) return 'Content-Length is not the length'
  const envelope = parseXml(body)
  if (typeof envelope === 'string') return `the body is not XML: ${envelope}`
  if (localName(envelope.name) !== 'Envelope') return 'the body is not a SOAP envelope'
  const soapBody = envelope.children.find((each) => localName(each.name) === 'Body')
  const call = soapBody?.children[0]
  const [, serviceType = '', name = ''] = action
  if (call === undefined || localName(call.name) !== name) return `SOAPACTION says ${name}, the body does not`
  if (!Object.values(call.attributes).includes(serviceType)) return `the namespace of ${name} is not ${serviceType}`
  return { serviceType, action: name, values: new Map(call.children.map((each) => [each.name, each.text])) }
}

export function encodeResult({ serviceType, action }: SoapCall, values: ReadonlyMap<string, string | number>): string {
  const fields = [...values].map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`)
  return envelope(`<u:${action}Response xmlns:u="${serviceType}">${fields.join('')}</u:${action}Response>`)
}

export function encodeFault(code: number): string {
  return envelope(
    `<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${code}</errorCode><errorDescription>${faultNames.get(code) ?? 'Error'}</errorDescription></UPnPError></detail></s:Fault>`
  )
}

const envelope = (body: string): string =>
  `<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>${body}</s:Body></s:Envelope>\r\n`

const localName = (name: string): string => name.replace(/^.*:/, '')

/** UDA 1.1 §3.1.2, WANIPConnection:2 §2.5, WANIPv6FirewallControl:1 §2.5. */
const faultNames: ReadonlyMap<number, string> = new Map([
  [401, 'Invalid Action'],
  [402, 'Invalid Args'],
  [501, 'Action Failed'],
  [606, 'Action not authorized'],
  [702, 'FirewallDisabled'],
  [703, 'InboundPinholeNotAllowed'],
  [704, 'NoSuchEntry'],
  [705, 'ProtocolNotSupported'],
  [706, 'InternalPortWildcardingNotAllowed'],
  [707, 'ProtocolWildcardingNotAllowed'],
  [708, 'WildCardNotPermittedInSrcIP'],
  [713, 'SpecifiedArrayIndexInvalid'],
  [714, 'NoSuchEntryInArray'],
  [715, 'WildCardNotPermittedInSrcIP'],
  [716, 'WildCardNotPermittedInExtPort'],
  [718, 'ConflictInMappingEntry'],
  [724, 'SamePortValuesRequired'],
  [725, 'OnlyPermanentLeasesSupported'],
  [726, 'RemoteHostOnlySupportsWildcard'],
  [727, 'ExternalPortOnlySupportsWildcard'],
  [728, 'NoPortMapsAvailable'],
  [729, 'ConflictWithOtherMechanisms'],
  [732, 'WildCardNotPermittedInIntPort']
])
