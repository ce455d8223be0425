import type { HttpReply } from '@postern/net'
import { expect } from 'vitest'
import { createGateway, type GatewayOptions, memoryNetwork, virtualClock } from '../src/index.js'
import { never } from './helpers.js'

export const igd1 = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'
export const igd2 = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2'
export const wan1 = 'urn:schemas-upnp-org:service:WANIPConnection:1'
export const wan2 = 'urn:schemas-upnp-org:service:WANIPConnection:2'
export const firewall = 'urn:schemas-upnp-org:service:WANIPv6FirewallControl:1'

/** Creates a UPnP gateway at 192.168.1.1 and hosts that send it requests. */
export function home(options: GatewayOptions = {}) {
  const clock = virtualClock()
  const network = memoryNetwork({ clock })
  const gateway = createGateway({ clock, externalAddress: '203.0.113.9', random: () => 0.5, ...options })
  network.attach(gateway, '192.168.1.1')
  network.attach(gateway, 'fe80::1')
  const host = (address = '192.168.1.10') => {
    const { openUdp, exchangeHttp } = network.host(address)
    const base = address.includes(':') ? 'http://[fe80::1]:49000' : 'http://192.168.1.1:49000'
    const get = (path: string, maxBytes = 65_536): Promise<HttpReply> =>
      exchangeHttp({ url: new URL(`${base}${path}`), maxBytes, timeoutMs: 5000, clock }, { signal: never })
    /** Resolves with the values of the answer, or with its error code. */
    async function call(path: string, type: string, action: string, values: Record<string, string | number> = {}) {
      const fields = Object.entries(values).map(([name, value]) => `<${name}>${value}</${name}>`)
      const { status, body } = await exchangeHttp(
        {
          url: new URL(`${base}${path}`),
          method: 'POST',
          headers: { 'Content-Type': 'text/xml; charset="utf-8"', SOAPAction: `"${type}#${action}"` },
          body: `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:${action} xmlns:u="${type}">${fields.join('')}</u:${action}></s:Body></s:Envelope>`,
          maxBytes: 16_384,
          timeoutMs: 5000,
          clock
        },
        { signal: never }
      )
      const document = Buffer.from(body).toString()
      if (status === 500) return Number(/<errorCode>(\d+)</.exec(document)?.[1])
      expect(document).toContain(`<u:${action}Response xmlns:u="${type}">`)
      return Object.fromEntries([...document.matchAll(/<(\w+)>([^<]*)<\/\1>/g)].map(([, name, value]) => [name, value]))
    }
    const wan = (action: string, values?: Record<string, string | number>) => call('/ctl/wan0', wan2, action, values)
    async function search(target: string, to = '192.168.1.1', lines = 'MAN: "ssdp:discover"\r\nMX: 1\r\n') {
      const replies: string[] = []
      const socket = await openUdp(
        { family: 4, onMessage: (bytes) => replies.push(Buffer.from(bytes).toString()), onError: () => undefined },
        { signal: never }
      )
      socket.send(Buffer.from(`M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n${lines}ST: ${target}\r\n\r\n`), {
        address: to,
        port: 1900
      })
      await clock.advance(0)
      socket.close()
      return replies
    }
    return { get, call, wan, search, openUdp }
  }
  return { clock, network, gateway, host }
}

/** Returns the arguments of AddPortMapping. */
export const entry = (change: Record<string, string | number> = {}): Record<string, string | number> => ({
  NewRemoteHost: '',
  NewExternalPort: 8080,
  NewProtocol: 'TCP',
  NewInternalPort: 8080,
  NewInternalClient: '192.168.1.10',
  NewEnabled: 1,
  NewPortMappingDescription: 'test',
  NewLeaseDuration: 3600,
  ...change
})
/** Returns the arguments that identify a mapping. */
export const key = { NewRemoteHost: '', NewExternalPort: 8080, NewProtocol: 'TCP' }
