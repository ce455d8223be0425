/**
 * Length-prefixed protobuf messages over streams of libp2p: opened, bounded, read from peers that may send anything, and
 * ended in a way that both sides agree on.
 *
 * @packageDocumentation
 */
export { decodeLength, type Messages, messagesOf } from './messages.js'
export { type Fields, type FieldValue, readFields } from './protobuf.js'
export { finishStream, isUnsupported, type OpenStreamOptions, openStream } from './streams.js'
export { gateOf, type StreamGate, untilWritable } from './writable.js'
