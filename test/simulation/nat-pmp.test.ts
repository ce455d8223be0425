import { natPmp } from '@postern/nat-pmp'
import { expect, it } from 'vitest'
import { liveThrough } from './month.js'

it('a month in four hundred and ninety homes with NAT-PMP leaves no gap that the protocol does not force', {
  timeout: 400_000
}, async () => {
  await expect(liveThrough({ homes: 490, protocol: 'nat-pmp', strategy: natPmp })).resolves.toBeUndefined()
})
