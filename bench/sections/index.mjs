import { absence } from './absence.mjs'
import { exchanges } from './exchanges.mjs'
import { flow } from './flow.mjs'
import { imports } from './imports.mjs'
import { leases } from './leases.mjs'
import { mapping } from './mapping.mjs'
import { wholeProcess } from './process.mjs'
import { punch } from './punch.mjs'
import { reach } from './reach.mjs'
import { recovery } from './recovery.mjs'
import { sizes } from './sizes.mjs'
import { stop } from './stop.mjs'
import { tunnel } from './tunnel.mjs'
import { witness } from './witness.mjs'

/** The sections, in the order in which they run. */
export const sections = [
  { name: 'mapping', needsLab: true, run: mapping },
  { name: 'absence', needsLab: true, run: absence },
  { name: 'stop', needsLab: true, run: stop },
  { name: 'reach', needsLab: true, run: reach },
  { name: 'witness', needsLab: true, run: witness },
  { name: 'recovery', needsLab: true, run: recovery },
  { name: 'punch', needsLab: true, run: punch },
  { name: 'flow', needsLab: true, run: flow },
  { name: 'tunnel', needsLab: true, run: tunnel },
  { name: 'process', needsLab: true, run: wholeProcess },
  { name: 'exchanges', needsLab: false, run: exchanges },
  { name: 'leases', needsLab: false, run: leases },
  { name: 'imports', needsLab: false, run: imports },
  { name: 'sizes', needsLab: false, run: sizes }
]
