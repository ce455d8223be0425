import { familyOf } from '@postern/interface'
import type { Engine } from './engine.js'
import type { GatewayProtocol } from './mapping-table.js'
import { encodeExternalAddress } from './nat-pmp-server.js'
import { encodeAnnouncement } from './pcp-server.js'
import { encodeNotifications } from './ssdp-server.js'
import type { DatagramPort, Outlet, Sender } from './transport.js'

/** Options of `FakeGateway.announce`. */
export interface AnnounceOptions {
  /** The protocols to announce. @default every protocol of the gateway */
  readonly protocols?: readonly GatewayProtocol[]
  /** The SSDP notification. @default 'alive' */
  readonly upnp?: 'alive' | 'byebye'
}

/** Sends the announcements of a state change on one link. */
export function announceOn(engine: Engine, outlet: Outlet, options: AnnounceOptions): void {
  const { protocols = engine.protocols, upnp = 'alive' } = options
  const speaks = (protocol: GatewayProtocol): boolean =>
    protocols.includes(protocol) && engine.protocols.includes(protocol)
  const send = (from: DatagramPort, to: Sender, bytes: Uint8Array): void =>
    outlet.send({ bytes, to, from, disguise: undefined, cast: 'multicast' })

  const family = familyOf(outlet.address) ?? 4
  // RFC 6886 §3.2.1 and RFC 6887 §14.1.2: announcements go to all hosts on the link, port 5350.
  const allHosts = { address: family === 4 ? '224.0.0.1' : 'ff02::1', port: 5350 }
  if (family === 4 && speaks('nat-pmp')) send('port-mapping', allHosts, encodeExternalAddress(engine))
  if (speaks('pcp')) send('port-mapping', allHosts, encodeAnnouncement(engine))
  if (!speaks('upnp')) return
  const group = family === 4 ? '239.255.255.250' : 'ff02::c'
  const place = { address: outlet.address, port: outlet.httpPort() }
  const host = family === 4 ? `${group}:1900` : `[${group}]:1900`
  for (const bytes of encodeNotifications(engine, upnp, host, place))
    send('ssdp', { address: group, port: 1900 }, bytes)
}
