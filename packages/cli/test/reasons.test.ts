import { expect, it } from 'vitest'
import { reasonOf } from '../src/shared/libp2p-stack.js'

it.each([
  [
    'each reason once',
    new AggregateError([new Error('no route'), new Error('no route'), new Error('refused')]),
    'no route; refused'
  ],
  ['the first line', new Error('all failed:\n  /ip4/…: refused'), 'all failed:'],
  ['the end of a stream, which libp2p gives as an event', new Event('close'), 'the connection was closed'],
  ['what an event was caused by', Object.assign(new Event('close'), { error: new Error('reset') }), 'reset'],
  ['what is no error at all', 'why not', 'why not']
])('reasonOf returns one line: %s', (_, error, text) => {
  expect(reasonOf(error)).toBe(text)
})
