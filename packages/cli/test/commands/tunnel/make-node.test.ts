import { generateKeyPair } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it } from 'vitest'
import { makeNode } from '../../../src/commands/tunnel/make-node.js'

it('a node of a tunnel dials no second place behind the port that an address names', async () => {
  const privateKey = await generateKeyPair('Ed25519')
  const none = { mappers: [], relays: [], witnesses: [], reserves: false, trusted: new Set<string>() }
  const node = await makeNode({ ...none, privateKey, signal: new AbortController().signal })
  const address = (text: string): Promise<boolean> => node.isDialable(multiaddr(text))
  expect(await address('/ip4/127.0.0.1/tcp/4001')).toBe(true)
  expect(await address('/ip4/127.0.0.1/tcp/4001/ip4/127.0.0.1/tcp/22')).toBe(false)
  expect(await address('/ip4/127.0.0.1/tcp/4001/ws/tcp/22')).toBe(false)
})
