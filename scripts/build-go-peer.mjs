// The Go peers that interop tests run against, built where their sources changed. Where they cannot be, it says so and goes on.
import { canRunLab } from '@postern/lab'
import { buildGoPeer, buildGoPunch, punchVersions } from '../interop/build.mjs'

const builds = [buildGoPeer, ...punchVersions.map((version) => (progress) => buildGoPunch(version, progress))]
const support = await canRunLab()
for (const build of builds) {
  const peer = support.ok ? await build((line) => console.log(line)) : support
  if (peer.ok) continue
  console.log(`Interop tests cannot run here: ${peer.reason}`)
  break
}
