// Builds the peers for the interop tests if their sources have changed. If they cannot be built, it says so and goes
// on.
import { canRunLab } from '@postern/lab'
import { buildBore, buildGoPeer, buildGoPunch, buildRustPunch, punchVersions } from '../interop/build.mjs'
import { buildWebTorrent } from '../interop/webtorrent/build.mjs'

const goPunches = punchVersions.map((version) => (progress) => buildGoPunch(version, progress))
const builds = [buildGoPeer, ...goPunches, buildRustPunch, buildBore]
const support = await canRunLab()
const reasons = new Set()
for (const build of builds) {
  const peer = support.ok ? await build((line) => console.log(line)) : support
  if (!peer.ok) reasons.add(peer.reason)
}
for (const reason of reasons) console.log(`Some interop tests cannot run here: ${reason}`)

// Its tests fail without it: each machine that has installed the repository can install it.
if (support.ok) {
  await buildWebTorrent((line) => console.log(line)).catch((error) =>
    console.log(`WebTorrent cannot be installed: ${error.message}`)
  )
}
