import type { MapRequest } from '@postern/interface'
import type { ExternalAddress, ExternalAddressOptions } from './external-address.js'
import type { OpenEnds } from './open-ends.js'
import type { Quirks } from './quirks.js'

/** The options of {@link createPortMapper}. */
export interface PortMapping extends ExternalAddressOptions {
  /** The description of the entries in the router's list. */
  readonly description: string
  /** Called when an entry was missing before its end: the router has restarted, or lost its list. */
  readonly forgot: () => void
}

/** A request for a mapping with its state. */
export interface Wish extends PortMapping {
  readonly external: ExternalAddress
  readonly quirks: Quirks
  readonly openEnds: OpenEnds
  readonly request: MapRequest
  /** The external port to try first. */
  readonly externalPort: number
  /** Whether it was granted, and its lifetime has not ended. */
  readonly isHeld: boolean
  /** Whether entries that the router calls absent may exist. */
  readonly isConfused?: boolean
  /** The lease in the router's list when the mapping was created, in seconds; 0 if there was none. */
  readonly fullLeaseSeconds: number
  /** The name that the router uses for this host instead of an address. */
  readonly knownAs: string | undefined
}
