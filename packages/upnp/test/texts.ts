/** Descriptions and answers like those of real routers. */

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const service = (type: string, control: string): string =>
  `<service><serviceType>urn:schemas-upnp-org:service:${type}</serviceType><serviceId>urn:upnp-org:serviceId:x</serviceId><SCPDURL>/x.xml</SCPDURL><controlURL>${control}</controlURL><eventSubURL>/evt</eventSubURL></service>`

/** Returns a description with these services in the innermost device. */
export const description = (services: string, head = ''): string =>
  `<?xml version="1.0"?>\n<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>${head}<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>Router</friendlyName><UDN>uuid:1</UDN><serviceList>${service('Layer3Forwarding:1', '/ctl/L3F')}</serviceList><deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><serviceList>${service('WANCommonInterfaceConfig:1', '/ctl/CmnIfCfg')}</serviceList><deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList>${services}</serviceList></device></deviceList></device></deviceList></device></root>`

export const ipConnection = (control = '/ctl/IPConn', version = 1): string =>
  service(`WANIPConnection:${version}`, control)
export const pppConnection = (control = '/ctl/PPPConn'): string => service('WANPPPConnection:1', control)
export const firewall = (control = '/ctl/IP6FCtl'): string => service('WANIPv6FirewallControl:1', control)

/** The style of SoftAtHome and similar firmware: prefixes everywhere, and a byte order mark. */
export const prefixed = `\uFEFF<?xml version="1.0" encoding="utf-8"?><d:root xmlns:d="urn:schemas-upnp-org:device-1-0"><d:device><d:friendlyName>Box</d:friendlyName><d:serviceList><d:service><d:serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</d:serviceType><d:controlURL>/0a3f/upnp/control/WANPPPConn1</d:controlURL></d:service></d:serviceList></d:device></d:root>`

/** Leading blank lines, bare ampersands, and the terminating zero of a C string after the root. */
export const sloppy = `\r\n\r\n${description(ipConnection('/upnp/control?WAN=1&CONN=2'), '<presentationURL>http://192.168.0.1/a?b&c</presentationURL>')}\u0000\u0000 0`

/** Missing closing tags, in the middle and at the end. */
export const unclosed = `<root><device><friendlyName>Cheap</friendlyName><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1<controlURL>/one</controlURL></service><service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType><controlURL>/two</controlURL></service></serviceList>`

export const envelope = (body: string): string =>
  `<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>${body}</s:Body></s:Envelope>`

export const fault = (code: number | string, text = 'Invalid'): string =>
  envelope(
    `<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${code}</errorCode><errorDescription>${text}</errorDescription></UPnPError></detail></s:Fault>`
  )
