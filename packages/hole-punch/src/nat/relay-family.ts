import type { Connection } from '@libp2p/interface'
import { type Family, familyOf } from '@postern/interface'
import { ipOf } from '@postern/libp2p-utils'

/** Returns the family of the address at which the relay was dialled, by either side; undefined for a DNS name. */
export const familyOfRelay = ({ remoteAddr }: Connection): Family | undefined => familyOf(ipOf(remoteAddr) ?? '')
