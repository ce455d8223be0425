import { type ErrorCode, isNatError, type NatError, natError } from '@postern/interface'
import { escapeXml, findElements, findText, parseXml, type XmlElement } from './xml.js'

export type SoapArguments = Readonly<Record<string, string | number>>

/** What a device says to an action: its values (names in lower case), or a fault of the standard's numbering. */
export type SoapReply =
  | { readonly ok: true; readonly values: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly fault: number; readonly description: string }

/** UDA 1.1 §3.1.2. The prefixes are `s` and `u`: some parsers in routers know no others. */
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

/** Reads the answer to {@link encodeCall}. Throws `MALFORMED_REPLY` for what is none. */
export function decodeReply(bytes: Uint8Array, action: string): SoapReply {
  const document = parseXml(bytes)
  const [error] = findElements(document, 'upnperror')
  if (error !== undefined) {
    const code = Number(findText(error, 'errorcode') ?? Number.NaN)
    // Some firmware sends a fault without a number: it is an Action Failed then (UDA 1.1 §3.1.4).
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
  if (response === undefined) throw natError('MALFORMED_REPLY', `the router's answer to ${action} holds no answer`)
  return { ok: true, values: new Map(response.children.map(({ name, text }) => [name, text])) }
}

/** The fault in an answer with a status that says nothing of SOAP; undefined where there is none. */
export function readFault(bytes: Uint8Array, action: string): SoapReply | undefined {
  try {
    const reply = decodeReply(bytes, action)
    return reply.ok ? undefined : reply
  } catch (error) {
    if (isNatError(error)) return undefined
    throw error
  }
}

/** Some firmware leaves `Response` out, or the name of the action: what stands in the body is the answer then. */
function responseOf(document: XmlElement, action: string): XmlElement | undefined {
  const [response] = findElements(document, `${action}response`)
  const inBody = findElements(document, 'body')[0]?.children ?? []
  return response ?? inBody.find(({ name }) => name === action || name === 'response')
}

const actionFailed = 501

/** WANIPConnection:1 §2.4, :2 §2.5 and WANIPv6FirewallControl:1 §2.5: their numbers do not overlap. */
const faultCodes: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  401: ['UNSUPPORTED', 'the router does not know this action'],
  402: ['MALFORMED_REQUEST', 'the router does not accept the arguments'],
  [actionFailed]: ['GATEWAY_FAULT', 'the router says that the action failed, and not why'],
  602: ['UNSUPPORTED', 'the router does not implement this action'],
  604: ['NOT_AUTHORIZED', 'the router wants a person to allow it'],
  605: ['MALFORMED_REQUEST', 'the router finds an argument too long'],
  606: ['NOT_AUTHORIZED', 'the router does not allow this to this host'],
  701: ['OUT_OF_RESOURCES', 'the router has no room for another pinhole'],
  702: ['PINHOLES_DISABLED', 'the IPv6 firewall of the router is off'],
  703: ['PINHOLES_DISABLED', 'the router allows no pinholes'],
  704: ['MAPPING_LOST', 'the router does not know the pinhole (any more)'],
  705: ['UNSUPPORTED', 'the router opens no pinholes for this protocol'],
  713: ['MAPPING_LOST', 'the router has no such mapping'],
  714: ['MAPPING_LOST', 'the router has no such mapping'],
  718: ['CONFLICT', 'the external port is mapped to another host'],
  724: ['SAME_PORT_REQUIRED', 'the router maps a port only to the same port'],
  725: ['ONLY_PERMANENT_LEASES', 'the router grants mappings only without an end'],
  // We never ask for anything but the wildcard host, and never for the wildcard port, which would open every port.
  726: ['UNSUPPORTED', 'the router wants a wildcard for the remote host although it got one'],
  727: ['UNSUPPORTED', 'the router maps only all ports at once'],
  728: ['OUT_OF_RESOURCES', 'the router has no room for another mapping'],
  729: ['CONFLICT', 'the external port is in use by another service of the router'],
  730: ['MAPPING_LOST', 'the router has no such mapping'],
  732: ['MALFORMED_REQUEST', 'the router takes the internal port for a wildcard'],
  733: ['MALFORMED_REQUEST', 'the router finds the arguments inconsistent']
}

/** A fault as an error. */
export function faultError(action: string, fault: number, description: string): NatError {
  const [code, meaning] = faultCodes[fault] ?? ['GATEWAY_FAULT', 'the router fails in a way of its own']
  const said = description.replace(/[^\x20-\x7e]/g, '').slice(0, 80)
  return natError(code, `${action}: ${meaning} (${fault}${said === '' ? '' : `, ${said}`})`)
}
