import type { IdentifyResult, Peer, PeerId } from '@libp2p/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type IdentifyHost, nextIdentify, waitForAgentVersion } from '../src/index.js'

const idOf = (name: string): PeerId =>
  ({ toString: () => name, equals: (other: unknown) => String(other) === name }) as unknown as PeerId
const peer = idOf('one')

/** A host whose peer store has the metadata, and whose identify the test completes. */
function setUp(stored: ReadonlyMap<string, Uint8Array> | undefined) {
  const clock = virtualClock()
  const events = new EventTarget()
  const listening = new Set<unknown>()
  const components = {
    events: {
      addEventListener(type: string, listener: () => void) {
        listening.add(listener)
        events.addEventListener(type, listener)
      },
      removeEventListener(type: string, listener: () => void) {
        listening.delete(listener)
        events.removeEventListener(type, listener)
      }
    },
    peerStore: {
      async get() {
        if (stored === undefined) throw new Error('not known')
        return { metadata: stored } as unknown as Peer
      }
    }
  } as unknown as IdentifyHost['components']
  const identified = (peerId: PeerId, agentVersion: string): void => {
    const detail = { peerId, agentVersion } as unknown as IdentifyResult
    events.dispatchEvent(new CustomEvent('peer:identify', { detail }))
  }
  return { clock, components, identified, listening }
}

const { signal } = new AbortController()

describe('waitForAgentVersion', () => {
  it('waitForAgentVersion resolves with the stored version', async () => {
    const host = setUp(new Map([['AgentVersion', new TextEncoder().encode('kubo/0.40')]]))
    expect(await waitForAgentVersion(host, peer, { signal })).toBe('kubo/0.40')
    expect(host.listening.size).toBe(0)
  })

  it('waitForAgentVersion resolves when the peer identifies itself, and ignores other peers', async () => {
    const host = setUp(undefined)
    const version = waitForAgentVersion(host, peer, { signal })
    host.identified(idOf('two'), 'other')
    host.identified(peer, 'go-libp2p')
    expect(await version).toBe('go-libp2p')
    expect(host.clock.pending).toBe(0)
  })

  it('waitForAgentVersion resolves with undefined after a second', async () => {
    const host = setUp(new Map())
    let isOver = false
    const version = waitForAgentVersion(host, peer, { signal }).finally(() => (isOver = true))
    await host.clock.advance(999)
    expect(isOver).toBe(false)
    await host.clock.advance(1)
    expect(await version).toBeUndefined()
    expect(host.listening.size).toBe(0)
  })

  it('waitForAgentVersion rejects with the reason of the signal', async () => {
    const host = setUp(new Map())
    const ended = new AbortController()
    const version = waitForAgentVersion(host, peer, ended)
    await host.clock.advance(500)
    ended.abort(new Error('enough'))
    await expect(version).rejects.toThrow('enough')
  })
})

it('nextIdentify reports nothing after stop', async () => {
  const { components, identified } = setUp(undefined)
  const next = nextIdentify(components.events, () => true)
  next.stop()
  next.stop()
  identified(peer, 'late')
  expect(await Promise.race([next.result, Promise.resolve('nothing')])).toBe('nothing')
})
