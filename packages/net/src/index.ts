/**
 * What NAT traversal needs of a network: gateways and routes, UDP requests with retransmission on connected sockets,
 * bounded HTTP exchanges, and a watcher that tells when any of it changes.
 *
 * @packageDocumentation
 */
export type { AnnouncementsOptions } from './announcements.js'
export { hearAnnouncements } from './announcements.js'
export { chooseGateways, interfaceOf } from './choose-gateways.js'
export type { Hints } from './hints.js'
export { spacedHints, untilAborted } from './hints.js'
export type { ExchangeHttp, HttpExchange, HttpReply } from './http.js'
export { exchangeHttp } from './http.js'
export type { UdpRequest } from './request-udp.js'
export { requestUdp } from './request-udp.js'
export type { OpenUdp, SocketAddress, UdpOptions, UdpSocket } from './udp.js'
export { localAddressTowards, openUdp } from './udp.js'
