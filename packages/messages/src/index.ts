/**
 * Length-prefixed protobuf messages over libp2p streams. The package opens a stream, limits the size of its messages,
 * decodes their fields from untrusted peers, and closes the stream at both ends.
 *
 * @packageDocumentation
 */
export { decodeLength, type Messages, messagesOf } from './messages.js'
export { type Fields, type FieldValue, readFields } from './protobuf.js'
export { finishStream, isUnsupported, type OpenStreamOptions, openStream } from './streams.js'
export { gateOf, type StreamGate, untilWritable } from './writable.js'
