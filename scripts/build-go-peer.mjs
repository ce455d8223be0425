// The Go peer that interop tests run against, built where its sources changed. Where it cannot be, it says so and goes on.
import { canRunLab } from '@postern/lab'
import { buildGoPeer } from '../interop/build.mjs'

const support = await canRunLab()
const peer = support.ok ? await buildGoPeer((line) => console.log(line)) : support
if (!peer.ok) console.log(`Interop tests cannot run here: ${peer.reason}`)
