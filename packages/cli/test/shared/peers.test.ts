import { describe, expect, it } from 'vitest'
import { readPeerId } from '../../src/commands/tunnel/peer.js'
import { readAddress, readDialAddress } from '../../src/shared/peers.js'

const id = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'

describe('addresses and peer ids of the command line', () => {
  it('readAddress and readPeerId parse addresses and peer ids', () => {
    expect(readAddress(`/ip4/203.0.113.7/tcp/4001/p2p/${id}`).toString()).toContain(id)
    expect(readPeerId(id).toString()).toBe(id)
  })

  // Decoding takes time that grows with the square of the length: a million characters would take minutes.
  it.each([
    [
      'an address',
      () => readAddress(`/ip4/203.0.113.7/tcp/4001/p2p/${'1'.repeat(1_000_000)}`),
      /at most 1024 characters/
    ],
    ['an address to dial', () => readDialAddress(`/dns4/${'a'.repeat(1_000_000)}/tcp/1`), /at most 1024 characters/],
    ['a peer id', () => readPeerId('1'.repeat(1_000_000)), /not a peer id: 1{80}…/]
  ])('texts that are too long are rejected: %s', (_name, read, message) => {
    expect(read).toThrow(TypeError)
    expect(read).toThrow(message)
  })
})
