import type { Connection } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import type { Network } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createMoveDetector, endDeadConnections } from '../src/dead-connections.js'

const gateway = (localAddress: string) => ({ address: '192.168.1.1', interface: 'eth0', localAddress })
const at = (...addresses: readonly string[]): Network => ({ gateways: addresses.slice(0, 1).map(gateway), addresses })
const offline: Network = { gateways: [], addresses: [] }

describe('createMoveDetector', () => {
  it.each([
    ['no move at the first network', [at('192.168.1.2')], [false]],
    ['a move when another address replaces the previous one', [at('192.168.1.2'), at('192.168.2.2')], [false, true]],
    ['no move while there is no network', [at('192.168.1.2'), offline], [false, false]],
    ['no move when the same network returns', [at('192.168.1.2'), offline, at('192.168.1.2')], [false, false, false]],
    ['a move when another network follows', [at('192.168.1.2'), offline, at('10.0.0.2')], [false, false, true]],
    ['no move when an address is added', [at('192.168.1.2'), at('192.168.1.2', '2a00::2')], [false, false]]
  ])('the move detector reports %s', (_, networks, told) => {
    const moved = createMoveDetector()
    expect(networks.map(moved)).toEqual(told)
  })
})

describe('a connection after a move', () => {
  it('endDeadConnections ends exactly the connections without an answer within 3 s', async () => {
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

  it('endDeadConnections ends no connection when the node stops meanwhile', async () => {
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
