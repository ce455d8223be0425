/** The deviations that one router has shown. */
export interface Quirks {
  /** It grants only permanent mappings, or silently drops others. */
  permanent: boolean
  /** Its AddAnyPortMapping is missing or broken. */
  noAddAny: boolean
  /** It grants only short leases, and no permanent ones. */
  shortOnly: boolean
  /** When a mapping was last found missing before its end, on the monotonic clock. */
  lostMs: number
}

/** Returns the quirks of a router about which nothing is known. */
export const createQuirks = (): Quirks => ({
  permanent: false,
  noAddAny: false,
  shortOnly: false,
  lostMs: Number.NEGATIVE_INFINITY
})
