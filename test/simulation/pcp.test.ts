import { pcp } from '@postern/pcp'
import { expect, it } from 'vitest'
import { liveThrough } from './month.js'

it('a month in four hundred and ninety homes with PCP leaves no gap that the protocol does not force', {
  timeout: 400_000
}, async () => {
  await expect(liveThrough({ homes: 490, protocol: 'pcp', strategy: pcp })).resolves.toBeUndefined()
})
