// Watches the network of a host in a lab: `node watch.mjs`. Polls once at the start and once for each line on standard
// input, and prints after each poll how often the network was read, how often a network was reported, and the last one.
// Prints after the end of the input which files of the network stayed open.

import { readdirSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { systemClock } from '@postern/interface'
import { findNetwork, openNetworkSnapshot, watchNetwork } from '@postern/net'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const end = new AbortController()
let reads = 0
let reported = 0
let network

const clock = {
  ...systemClock,
  async sleep() {
    console.log(JSON.stringify({ reads, reported, network }))
    const { done } = await lines.next()
    if (done) end.abort()
  }
}

await watchNetwork(
  {
    clock,
    find(call) {
      reads++
      return findNetwork(call)
    },
    snapshot: openNetworkSnapshot(),
    changed(next) {
      reported++
      network = next
    },
    failed: (error) => console.error(error)
  },
  end
)

const open = readdirSync('/proc/self/fd').flatMap((each) => {
  try {
    return [readlinkSync(`/proc/self/fd/${each}`)]
  } catch {
    // The descriptor of the folder itself is closed by now.
    return []
  }
})
console.log(JSON.stringify({ open: open.filter((each) => each.startsWith('/proc/')) }))
