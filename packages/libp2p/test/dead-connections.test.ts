import type { Connection } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import type { Network } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createMoves, endDeadConnections } from '../src/dead-connections.js'

const gateway = (localAddress: string) => ({ address: '192.168.1.1', interface: 'eth0', localAddress })
const at = (...addresses: readonly string[]): Network => ({ gateways: addresses.slice(0, 1).map(gateway), addresses })
const offline: Network = { gateways: [], addresses: [] }

describe('a host has moved', () => {
  it.each([
    ['from nowhere', [at('192.168.1.2')], [false]],
    ['when an address is gone, and another is there', [at('192.168.1.2'), at('192.168.2.2')], [false, true]],
    ['not while it is without any network', [at('192.168.1.2'), offline], [false, false]],
    ['not when it comes back to the same one', [at('192.168.1.2'), offline, at('192.168.1.2')], [false, false, false]],
    ['when it comes back to another one', [at('192.168.1.2'), offline, at('10.0.0.2')], [false, false, true]],
    ['not when it has one address more', [at('192.168.1.2'), at('192.168.1.2', '2a00::2')], [false, false]]
  ])('%s', (_, networks, told) => {
    const moved = createMoves()
    expect(networks.map(moved)).toEqual(told)
  })
})

describe('a connection after a move', () => {
  it('is ended when nobody answers within 3 s, and only then', async () => {
    const clock = virtualClock()
    const ended: string[] = []
    const connection = (name: string, newStream: Connection['newStream']): Connection =>
      ({ status: 'open', newStream, abort: () => void ended.push(name) }) as unknown as Connection
    const never = new Promise<never>(() => undefined)
    const open = [
      connection('silent', async () => never),
      connection('answers', async () => ({ abort: () => undefined }) as never),
      connection('does not speak it', async () => Promise.reject(new Error('unsupported protocol'))),
      { ...connection('relayed', async () => never), limits: {} } as Connection
    ]
    const cut = new AbortController()
    const done = endDeadConnections(
      { connectionManager: { getConnections: () => open } as unknown as ConnectionManager },
      clock,
      cut
    )
    await clock.advance(2999)
    expect(ended).toEqual([])
    await clock.advance(1)
    await done
    expect(ended).toEqual(['silent'])
    expect(clock.pending).toBe(0)
  })

  it('is left alone when the node stops meanwhile', async () => {
    const clock = virtualClock()
    const cut = new AbortController()
    let isEnded = false
    const silent = {
      status: 'open',
      newStream: () => new Promise(() => undefined),
      abort: () => void (isEnded = true)
    } as unknown as Connection
    const done = endDeadConnections(
      { connectionManager: { getConnections: () => [silent] } as unknown as ConnectionManager },
      clock,
      cut
    )
    cut.abort()
    await done
    expect({ isEnded, pending: clock.pending }).toEqual({ isEnded: false, pending: 0 })
  })
})
