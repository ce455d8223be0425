/**
 * What NAT traversal needs of a network: gateways and routes, UDP requests with retransmission on connected sockets,
 * bounded HTTP exchanges, and a watcher that tells when any of it changes.
 *
 * @packageDocumentation
 */
export type { AnnouncementsOptions } from './announcements.js'
export { hearAnnouncements } from './announcements.js'
export { chooseGateways, interfaceOf } from './choose-gateways.js'
export type { FirstHopOptions } from './first-hop.js'
export { doubtBeyondFirstHop, isOnFirstHop, parseTimeExceeded } from './first-hop.js'
export type { Hints } from './hints.js'
export { spacedHints, untilAborted } from './hints.js'
export type { ExchangeHttp, HttpExchange, HttpReply } from './http.js'
export { exchangeHttp } from './http.js'
export type { FindNetworkOptions, Interfaces } from './network.js'
export { findNetwork } from './network.js'
export type { Queue } from './queue.js'
export { createQueue } from './queue.js'
export type { UdpRequest } from './request-udp.js'
export { requestUdp } from './request-udp.js'
export type { FindRoutes, Route } from './route.js'
export { parseNetstat } from './routes-darwin.js'
export { parseProcArp, parseProcIfInet6, parseProcIpv6Route, parseProcRoute } from './routes-linux.js'
export { parseGetNetRoute } from './routes-windows.js'
export type { SeekOptions } from './seek.js'
export { seek } from './seek.js'
export type { OpenTapOptions, OwnTap } from './tap.js'
export { openTap, ownTap, tapOf } from './tap.js'
export type { OpenUdp, SocketAddress, UdpOptions, UdpSocket } from './udp.js'
export { localAddressTowards, openUdp } from './udp.js'
export type { WatchNetworkOptions } from './watch-network.js'
export { watchNetwork } from './watch-network.js'
export { orAborted, within } from './within.js'
