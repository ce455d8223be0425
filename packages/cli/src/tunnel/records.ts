import { natError } from '@postern/interface'
import { Uint8ArrayList } from 'uint8arraylist'

/**
 * How the bytes of one direction go through a stream: in records, each a length in four bytes, the highest first, and as many
 * bytes. A record of length 0 says that there are no more. A stream that ends without it was cut: libp2p ends streams in good
 * order, too, when the connection below is closed.
 */
const headerBytes = 4
/** As much as Node reads of a socket at once. */
export const mostRecordBytes: number = 64 * 1024

const headerOf = (length: number): Uint8Array => {
  const header = new Uint8Array(headerBytes)
  new DataView(header.buffer).setUint32(0, length)
  return header
}

/** Records with these bytes, which are not copied. */
export function recordsOf(bytes: Uint8Array): readonly Uint8ArrayList[] {
  const records: Uint8ArrayList[] = []
  for (let from = 0; from < bytes.byteLength; from += mostRecordBytes) {
    const part = bytes.subarray(from, from + mostRecordBytes)
    records.push(new Uint8ArrayList(headerOf(part.byteLength), part))
  }
  return records
}

/** The record that says that there are no more. */
export const endRecord = (): Uint8Array => headerOf(0)

export interface RecordReader {
  /** What the records carry, as far as it has come, in any number of parts. Throws `MALFORMED_REPLY` for a record that is too
   * long, and for whatever follows the end. */
  read(bytes: Uint8Array): readonly Uint8Array[]
  /** Whether the other side has said that there are no more. */
  readonly hasEnded: boolean
}

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
        if (header > mostRecordBytes)
          throw natError('MALFORMED_REPLY', `a record of a tunnel has ${header} bytes, above ${mostRecordBytes}`)
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
