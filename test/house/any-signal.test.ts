import { expect, it } from 'vitest'
import { packages, read, sourcesOf } from './workspace.js'

it('sources combine signals with anySignal() only, which loses no abort on Node.js 24.16 and later', () => {
  const using = packages.flatMap(sourcesOf).filter((file) => read(file).includes('AbortSignal.any('))
  expect(using).toEqual(['packages/interface/src/any-signal.ts'])
})
