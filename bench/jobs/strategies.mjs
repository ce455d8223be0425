import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { upnp } from '@postern/upnp'

/** Postern's strategies by name. */
export const strategies = { pcp, 'nat-pmp': natPmp, upnp }
