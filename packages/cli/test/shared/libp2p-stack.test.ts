import { describe, expect, it } from 'vitest'
import { listenFailure, reasonOf } from '../../src/shared/libp2p-stack.js'

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

describe('listenFailure', () => {
  it('listenFailure names each address, and what to do', () => {
    const text = `Some configured addresses failed to be listened on:

  /ip4/0.0.0.0/tcp/4001: Error: listen EADDRINUSE: address already in use 0.0.0.0:4001
      at Server.setupListenHandle [as _listen2] (node:net:2328:16)

  /ip4/7.7.7.7/tcp/80/ws: Error: listen EADDRNOTAVAIL: address not available 7.7.7.7:80
`
    expect(listenFailure(new Error(text))).toBe(
      [
        'cannot listen on /ip4/0.0.0.0/tcp/4001: another program has the port. End that one, or choose another port',
        '  cannot listen on /ip4/7.7.7.7/tcp/80/ws: this machine does not have that address'
      ].join('\n')
    )
  })

  it('listenFailure names the port of the metrics', () => {
    const error = new Error('listen EADDRINUSE: address already in use 127.0.0.1:9464')
    expect(listenFailure(error)).toMatch(/^cannot listen on 127\.0\.0\.1:9464: another program has the port\./)
  })
})
