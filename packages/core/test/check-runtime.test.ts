import { expect, it } from 'vitest'
import { checkRuntime } from '../src/check-runtime.js'

it('an old Node.js is told which version is needed, and which one it is', () => {
  const versions = { node: '20.20.2' }
  expect(() => checkRuntime({ Promise: {}, process: { versions } })).toThrow(
    /^Postern needs Node\.js 22 or later.*this is Node\.js 20\.20\.2/
  )
})

it('an old browser has no version to tell', () => {
  expect(() => checkRuntime({ Promise: {} })).toThrow(/Promise\.withResolvers\(\), and this runtime is older/)
})

it('this runtime is new enough', () => {
  expect(() => checkRuntime()).not.toThrow()
})
