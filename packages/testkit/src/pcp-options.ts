/** PCP options (RFC 6887 §7.3 and §13). */
const optionCodes = { thirdParty: 1, preferFailure: 2, filter: 3 } as const

interface PcpOptions {
  readonly preferFailure: boolean
  /** The understood options as received. The answer repeats them. */
  readonly processed: Uint8Array
}

/** Reads the options of a MAP request, or returns the kind of error. */
export function readOptions(bytes: Uint8Array): PcpOptions | 'malformed' | 'unsupported' {
  const seen = new Set<number>()
  const processed: Uint8Array[] = []
  let preferFailure = false
  for (let offset = 0; offset < bytes.length; ) {
    const code = bytes[offset]
    const high = bytes[offset + 2]
    const low = bytes[offset + 3]
    if (code === undefined || high === undefined || low === undefined) return 'malformed'
    const length = high * 256 + low
    const end = offset + 4 + Math.ceil(length / 4) * 4
    if (end > bytes.length) return 'malformed'
    const wanted = lengths.get(code)
    // §7.3: options from 128 may be skipped; an unknown option below 128 makes the request fail.
    if (wanted === undefined) {
      if (code < 128) return 'unsupported'
    } else {
      if (length !== wanted) return 'malformed'
      if (seen.has(code) && code !== optionCodes.filter) return 'malformed'
      seen.add(code)
      if (code === optionCodes.preferFailure) preferFailure = true
      if (code === optionCodes.filter && (bytes[offset + 5] ?? 0) > 128) return 'malformed'
      processed.push(bytes.subarray(offset, end))
    }
    offset = end
  }
  return { preferFailure, processed: Uint8Array.from(processed.flatMap((each) => [...each])) }
}

/** The lengths of the supported options. THIRD_PARTY is not supported, since §13.1 disables it by default. */
const lengths: ReadonlyMap<number, number> = new Map([
  [optionCodes.preferFailure, 0],
  [optionCodes.filter, 20]
])
