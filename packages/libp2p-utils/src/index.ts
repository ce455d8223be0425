/**
 * Helpers for NAT traversal protocols over libp2p. They exchange length-prefixed protobuf messages with untrusted
 * peers, read the host and the route of a multiaddr, tell direct connections from relayed ones, wait for identify, and
 * keep peers connected. They also
 * limit what a peer may send before its request is answered.
 *
 * @packageDocumentation
 */

import './node-version.js'

export { directRoute, isDialledDirectly, isDirect, isRelayed, relayOf } from './connection.js'
export { agentVersionOf, type IdentifyHost, type NextIdentify, nextIdentify, waitForAgentVersion } from './identify.js'
export { holdConnection, type KeepConnectedOptions, keepConnected } from './keep-connected.js'
export { decodeLength, type Messages, messagesOf } from './messages.js'
export { eachSinceLast, sinceLast } from './metrics.js'
export { hostOf, ipOf, peerIdOf, type Route, routeOf } from './multiaddr.js'
export { type Fields, type FieldValue, readFields } from './protobuf.js'
export { boundedRegistrar, createRequestBounds, type RequestBounds } from './requests.js'
export { hasEnded, whenEnded } from './stream-end.js'
export { boundMessages, carriesBytes } from './stream-messages.js'
export { finishStream, isUnsupported, type OpenStreamOptions, openStream } from './streams.js'
export { withOverrides } from './with-overrides.js'
export { gateOf, type StreamGate, untilWritable } from './writable.js'
