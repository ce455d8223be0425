import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { formatMultiaddr, type Lease, type Network, type Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type DiagnosticsMessage, diagnosticsChannels, runTraversal, type TraversalRun } from '../src/index.js'

const gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }
const home: Network = { gateways: [gateway], addresses: ['192.168.1.2'] }

/** Returns a run with a router that maps. */
function setUp(): { readonly clock: ReturnType<typeof virtualClock>; readonly run: TraversalRun } {
  const clock = virtualClock()
  const router: Strategy = () => ({
    name: 'pcp',
    kind: 'mapper',
    async discover(_network, found, call) {
      found({
        kind: 'mapper',
        gateway,
        family: 4,
        protocols: ['tcp'],
        async map({ endpoint, lifetimeMs }) {
          const lease: Lease = {
            addresses: [formatMultiaddr('11.0.0.2', endpoint.protocol, endpoint.port)],
            lifetimeMs,
            renew: async () => lease,
            release: async () => undefined
          }
          return lease
        }
      })
      await clock.sleep(1e12, call).catch(() => undefined)
    }
  })
  const host = { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
  const run = runTraversal({
    strategies: [router],
    host,
    findNetwork: async () => home,
    checkExternalAddress: async () => undefined,
    socket: false
  })
  run.traversal.addEndpoint({ protocol: 'tcp', family: 4, address: '0.0.0.0', port: 8080 })
  return { clock, run }
}

/** Runs until the endpoint is mapped, and stops. */
async function runOnce(): Promise<TraversalRun> {
  const { clock, run } = setUp()
  const ready = run.ready()
  await clock.advance(2000)
  await ready
  const stopped = run.stop()
  await clock.advance(1000)
  await stopped
  return run
}

/** Subscribes to a channel until the end of the test, and returns the messages. */
function heard(name: string): readonly DiagnosticsMessage<object>[] {
  const messages: DiagnosticsMessage<object>[] = []
  const listener = (message: unknown): void => void messages.push(message as DiagnosticsMessage<object>)
  subscribe(name, listener)
  onTestFinished(() => void unsubscribe(name, listener))
  return messages
}

describe('node:diagnostics_channel', () => {
  it('a subscriber hears requests, leases, mapping events and verdicts, and of which traversal they are', async () => {
    const { request, lease, mapping, verdict, strategy } = diagnosticsChannels
    const [requests, leases, mappings, verdicts, strategies] = [request, lease, mapping, verdict, strategy].map(heard)
    const { traversal } = await runOnce()
    expect(requests?.map(({ detail }) => detail)).toMatchObject([
      { strategy: 'pcp', verb: 'discover', outcome: 'success', code: null, durationMs: 0 },
      { strategy: 'pcp', verb: 'map', outcome: 'success', code: null },
      { strategy: 'pcp', verb: 'release', outcome: 'success', code: null }
    ])
    expect(leases?.map(({ detail }) => detail)).toEqual([
      { strategy: 'pcp', change: 'granted', code: null },
      { strategy: 'pcp', change: 'released', code: null }
    ])
    expect(mappings?.map(({ detail }) => detail)).toMatchObject([{ event: 'mapped' }, { event: 'released' }])
    expect(verdicts?.map(({ detail }) => detail)).toContainEqual(expect.objectContaining({ verdict: 'public' }))
    expect(strategies?.at(0)?.detail).toMatchObject({ name: 'pcp' })
    expect(new Set(requests?.map((message) => message.traversal))).toEqual(new Set([traversal]))
  })

  it('nothing is published without a subscriber, and none is left by a traversal', async () => {
    const published: string[] = []
    const originals = Object.values(diagnosticsChannels).map((name) => {
      const each = channel(name)
      const { publish } = each
      each.publish = (): void => void published.push(name)
      return () => {
        each.publish = publish
      }
    })
    onTestFinished(() => {
      for (const restore of originals) restore()
    })
    await runOnce()
    expect(published).toEqual([])
    expect(Object.values(diagnosticsChannels).map((name) => channel(name).hasSubscribers)).toEqual(
      Object.values(diagnosticsChannels).map(() => false)
    )
  })
})
