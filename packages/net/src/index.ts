/**
 * The network functions that NAT traversal needs: gateways and routes, UDP requests with retransmission on connected
 * sockets, bounded HTTP exchanges, and a watcher that reports changes of the network.
 *
 * @packageDocumentation
 */

export type { Handle, HandleList } from './async/handles.js'
export { addHandle, withHandles } from './async/handles.js'
export type { TaskGroup } from './async/task-group.js'
export { taskGroup } from './async/task-group.js'
export type { Arrived, Carrier, CarrierOptions } from './carry/carrier.js'
export { createCarrier } from './carry/carrier.js'
export type { EarlyConnection } from './http/early-connection.js'
export { openEarly } from './http/early-connection.js'
export type { ExchangeHttp, HttpExchange, HttpReply } from './http/exchange.js'
export { exchangeHttp } from './http/exchange.js'
export type { LocalHttpOptions, LocalHttpServer } from './http/local-http.js'
export { localHttpServer } from './http/local-http.js'
export { isHostName } from './names/host-name.js'
export type { FollowHostOptions, Lookup } from './names/lookup.js'
export { followHost, systemNames } from './names/lookup.js'
export type { StrangersOptions } from './network/answers-from-elsewhere.js'
export { createStrangers } from './network/answers-from-elsewhere.js'
export { byGateway } from './network/by-gateway.js'
export { chooseGateways, interfaceOf } from './network/choose-gateways.js'
export type { FindNetworkOptions, Interfaces } from './network/find-network.js'
export { findNetwork } from './network/find-network.js'
export type { FirstHopOptions } from './network/first-hop.js'
export { checkFirstHop, isOnFirstHop, parseTimeExceeded } from './network/first-hop.js'
export type { NetworkSnapshot, NetworkSnapshotOptions } from './network/network-snapshot.js'
export { openNetworkSnapshot } from './network/network-snapshot.js'
export type { PlaceLevel, PlaceLimits, PlaceRefusal, Places, Rate, RemoteParty } from './network/places.js'
export { createPlaces, createRate } from './network/places.js'
export type { Prefixes } from './network/prefixes.js'
export { prefixesOf } from './network/prefixes.js'
export type { WatchNetworkOptions } from './network/watch-network.js'
export { watchNetwork } from './network/watch-network.js'
export type { AskBeyondOptions } from './probe/ask-beyond.js'
export { askBeyond, openBeyond } from './probe/ask-beyond.js'
export type { Hints } from './probe/hints.js'
export { spacedHints } from './probe/hints.js'
export type { SeekOptions } from './probe/probe-service.js'
export { seek } from './probe/probe-service.js'
export { isUndone, type Undo, undoAtOnce } from './probe/undo.js'
export { parseNetstat } from './routes/darwin.js'
export { parseProcArp, parseProcIfInet6, parseProcIpv6Route, parseProcRoute } from './routes/linux.js'
export type { FindRoutes, Route } from './routes/route.js'
export { parseGetNetRoute } from './routes/windows.js'
export { fingerprintOf } from './stun/fingerprint.js'
export { decodeBindingIndication, encodeBindingIndication, isStunMessage, magicCookie } from './stun/message.js'
export type { AnnouncementsOptions } from './udp/announcements.js'
export { hearAnnouncements } from './udp/announcements.js'
export type { AnswerTimes } from './udp/answer-times.js'
export { createAnswerTimes, longerWaits, waitsFor } from './udp/answer-times.js'
export type { UdpRequest } from './udp/request.js'
export { requestUdp } from './udp/request.js'
export type { OpenTapOptions, OwnTap } from './udp/shared-socket.js'
export {
  openSharedSocket,
  openTap,
  shareSocketOf,
  /** @deprecated The earlier name of `shareSocketOf`. */
  shareSocketOf as tapOf
} from './udp/shared-socket.js'
export type { SpacedUdp, UdpLine } from './udp/spaced-requests.js'
export { createUdpLine, spacedUdp } from './udp/spaced-requests.js'
export type { OpenUdp, SocketAddress, UdpOptions, UdpSocket } from './udp/udp.js'
export { localAddressTowards, openUdp } from './udp/udp.js'
