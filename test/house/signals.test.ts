import { expect, it } from 'vitest'
import { packages, read, sourcesOf } from './workspace.js'

/** Returns the sources that match. */
const using = (pattern: RegExp): readonly string[] =>
  packages.flatMap(sourcesOf).filter((file) => pattern.test(read(file)))

it('sources combine signals with anySignal() only, which loses no abort on Node.js 24.16 and later', () => {
  expect(using(/AbortSignal\.any\(/)).toEqual(['packages/interface/src/any-signal.ts'])
})

it('sources wait for an abort with untilAborted() only', () => {
  expect(using(/addEventListener\('abort', (?:\(\) => resolve\(\)|resolve|go),/)).toEqual([
    'packages/interface/src/async/abort.ts'
  ])
})

it('sources create the reason for an abort with abortReason() only', () => {
  expect(using(/^(?:export )?const \w+ = new Error\(/m)).toEqual([])
  expect(using(/[Cc]reated once[^*]*stack/)).toEqual([])
})
