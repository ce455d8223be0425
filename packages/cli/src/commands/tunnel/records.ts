import { natError } from '@postern/interface'
import { Uint8ArrayList } from 'uint8arraylist'

/**
 * The length of a record header in bytes. The bytes of one direction are sent in records: a length of four bytes in
 * big-endian order, and that number of bytes. A record of length 0 is the end. A stream that ends without it was cut:
 * libp2p also ends streams regularly when the connection is closed.
 */
const headerBytes = 4
/** The maximum length of a record that is accepted. */
export const maxRecordBytes: number = 64 * 1024
/** The maximum length of a record that is sent: half of what Node.js reads from a socket at once. A record of 64 KiB
 * with its headers takes two noise messages, the second with only a few bytes, and fills the write buffer of a
 * socket, so that the next record has to wait. */
const maxSentBytes = 32 * 1024

const headerOf = (length: number): Uint8Array => {
  const header = new Uint8Array(headerBytes)
  new DataView(header.buffer).setUint32(0, length)
  return header
}

/** Returns records that contain the bytes, without copying them. */
export function recordsOf(bytes: Uint8Array): readonly Uint8ArrayList[] {
  const records: Uint8ArrayList[] = []
  for (let from = 0; from < bytes.byteLength; from += maxSentBytes) {
    const part = bytes.subarray(from, from + maxSentBytes)
    records.push(new Uint8ArrayList(headerOf(part.byteLength), part))
  }
  return records
}

/** Returns the record that marks the end. */
export const endRecord = (): Uint8Array => headerOf(0)

/** Decodes the records of one direction. */
export interface RecordReader {
  /** Returns the content of the records that has arrived, in any number of parts. Throws `MALFORMED_REPLY` for a record
   * that is too long, and for data after the end. */
  read(bytes: Uint8Array): readonly Uint8Array[]
  /** Whether the end record has arrived. */
  readonly hasEnded: boolean
}

/** Creates a reader. */
export function createRecordReader(): RecordReader {
  let header = 0
  let headerLeft = headerBytes
  let bodyLeft = 0
  let hasEnded = false

  return {
    read(bytes) {
      const parts: Uint8Array[] = []
      for (let at = 0; at < bytes.byteLength; ) {
        if (hasEnded) throw natError('MALFORMED_REPLY', 'a tunnel goes on after its end')
        if (bodyLeft > 0) {
          const part = bytes.subarray(at, at + bodyLeft)
          parts.push(part)
          at += part.byteLength
          bodyLeft -= part.byteLength
          continue
        }
        header = header * 256 + (bytes[at++] ?? 0)
        if (--headerLeft > 0) continue
        if (header > maxRecordBytes)
          throw natError('MALFORMED_REPLY', `a record of a tunnel has ${header} bytes, above ${maxRecordBytes}`)
        bodyLeft = header
        hasEnded = header === 0
        header = 0
        headerLeft = headerBytes
      }
      return parts
    },
    get hasEnded() {
      return hasEnded
    }
  }
}
