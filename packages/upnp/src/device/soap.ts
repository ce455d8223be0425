import { type ErrorCode, isNatError, type NatError, natError } from '@postern/interface'
import { escapeXml, findElements, findText, parseXml, type XmlElement } from './xml.js'

/** The arguments of an action, in the order of the standard. */
export type SoapArguments = Readonly<Record<string, string | number>>

/** The answer to an action: its values (with names in lower case), or a fault with the number of the standard. */
export type SoapReply =
  | { readonly ok: true; readonly values: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly fault: number; readonly description: string }

/** Encodes an action call (UDA 1.1 §3.1.2). The prefixes are `s` and `u`: some parsers in routers accept no others. */
export function encodeCall(serviceType: string, action: string, values: SoapArguments): string {
  const inner = Object.entries(values).map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`)
  return [
    '<?xml version="1.0"?>\r\n',
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"',
    ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>',
    `<u:${action} xmlns:u="${escapeXml(serviceType)}">${inner.join('')}</u:${action}>`,
    '</s:Body></s:Envelope>\r\n'
  ].join('')
}

/** Decodes the answer to {@link encodeCall}. Throws `MALFORMED_REPLY` if it is not one. */
export function decodeReply(bytes: Uint8Array, action: string): SoapReply {
  const document = parseXml(bytes)
  const [error] = findElements(document, 'upnperror')
  if (error !== undefined) {
    const code = Number(findText(error, 'errorcode') ?? Number.NaN)
    // Some firmware sends a fault without a number; it counts as Action Failed (UDA 1.1 §3.1.4).
    return {
      ok: false,
      fault: Number.isInteger(code) ? code : actionFailed,
      description: findText(error, 'errordescription') ?? ''
    }
  }
  const [fault] = findElements(document, 'fault')
  if (fault !== undefined) {
    return { ok: false, fault: actionFailed, description: findText(fault, 'faultstring') ?? '' }
  }
  const response = responseOf(document, action.toLowerCase())
  if (response === undefined) throw natError('MALFORMED_REPLY', `the router's answer to ${action} contains no response`)
  return { ok: true, values: new Map(response.children.map(({ name, text }) => [name, text])) }
}

/** Reads the fault from an answer with an unexpected HTTP status; undefined if it contains none. */
export function readFault(bytes: Uint8Array, action: string): SoapReply | undefined {
  try {
    const reply = decodeReply(bytes, action)
    return reply.ok ? undefined : reply
  } catch (error) {
    if (isNatError(error)) return undefined
    throw error
  }
}

/** Returns the response element. Some firmware omits `Response` or the name of the action in its name. */
function responseOf(document: XmlElement, action: string): XmlElement | undefined {
  const [response] = findElements(document, `${action}response`)
  const inBody = findElements(document, 'body')[0]?.children ?? []
  return response ?? inBody.find(({ name }) => name === action || name === 'response')
}

const actionFailed = 501

/** The faults of WANIPConnection:1 §2.4, :2 §2.5 and WANIPv6FirewallControl:1 §2.5. Their numbers do not overlap. */
const faultCodes: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  401: ['UNSUPPORTED', 'the router does not know this action'],
  402: ['MALFORMED_REQUEST', 'the router does not accept the arguments'],
  [actionFailed]: ['GATEWAY_FAULT', 'the action failed, and the router gives no reason'],
  602: ['UNSUPPORTED', 'the router does not implement this action'],
  604: ['NOT_AUTHORIZED', 'the router requires a person to allow it'],
  605: ['MALFORMED_REQUEST', 'the router rejects an argument as too long'],
  606: ['NOT_AUTHORIZED', 'the router does not allow this to this host'],
  701: ['OUT_OF_RESOURCES', 'the router has no resources for another pinhole'],
  702: ['PINHOLES_DISABLED', 'the IPv6 firewall of the router is off'],
  703: ['PINHOLES_DISABLED', 'the router allows no pinholes'],
  704: ['MAPPING_LOST', 'the router does not know the pinhole'],
  705: ['UNSUPPORTED', 'the router opens no pinholes for this protocol'],
  713: ['MAPPING_LOST', 'the router has no such mapping'],
  714: ['MAPPING_LOST', 'the router has no such mapping'],
  718: ['CONFLICT', 'the external port is mapped to another host'],
  724: ['SAME_PORT_REQUIRED', 'the router maps a port only to the same port'],
  725: ['ONLY_PERMANENT_LEASES', 'the router grants only permanent mappings'],
  // Requests always have the wildcard host, and never the wildcard port, which would open every port.
  726: ['UNSUPPORTED', 'the router requires a wildcard for the remote host although it got one'],
  727: ['UNSUPPORTED', 'the router maps only all ports at once'],
  728: ['OUT_OF_RESOURCES', 'the router has no resources for another mapping'],
  729: ['CONFLICT', 'the external port is in use by another service of the router'],
  730: ['MAPPING_LOST', 'the router has no such mapping'],
  732: ['MALFORMED_REQUEST', 'the router treats the internal port as a wildcard'],
  733: ['MALFORMED_REQUEST', 'the router rejects the arguments as inconsistent']
}

/** Converts a fault to a NatError. */
export function faultError(action: string, fault: number, description: string): NatError {
  const [code, meaning] = faultCodes[fault] ?? ['GATEWAY_FAULT', 'the router fails with an unknown fault']
  const said = description.replace(/[^\x20-\x7e]/g, '').slice(0, 80)
  return natError(code, `${action}: ${meaning} (${fault}${said === '' ? '' : `, ${said}`})`)
}
