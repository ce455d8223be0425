import type * as Net from '@postern/net'
import { findNetwork, watchNetwork } from '@postern/net'
import { expect, it, vi } from 'vitest'
import { runTraversal } from '../src/index.js'

vi.mock('@postern/net', async (original) => {
  const net = await original<typeof Net>()
  return { ...net, watchNetwork: vi.fn<typeof Net.watchNetwork>(async () => undefined) }
})

it.each([undefined, findNetwork])('the default network is watched as such, named or not', (named) => {
  const run = runTraversal({ strategies: [], ...(named === undefined ? {} : { findNetwork: named }) })
  run.watch()
  // Only for this function, `watchNetwork()` compares the texts of /proc before it reads the network.
  expect(vi.mocked(watchNetwork).mock.lastCall?.[0].find).toBe(findNetwork)
})
