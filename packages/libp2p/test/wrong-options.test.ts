import { autonat, autonatServer } from '@postern/autonat'
import { holePunch } from '@postern/hole-punch'
import { natTraversal, portMappingClient } from '@postern/libp2p'
import { relay } from '@postern/relay'
import { createLibp2p } from 'libp2p'
import { describe, expect, it } from 'vitest'

/** The functions, with options as a caller without a compiler may pass them. */
type Call = (options: never) => unknown

const makers: Readonly<Record<string, Call>> = {
  'natTraversal()': natTraversal,
  'portMappingClient()': portMappingClient,
  'relay()': relay,
  'autonat()': autonat,
  'autonatServer()': autonatServer,
  'holePunch()': holePunch
}

function messageOf(call: Call, options: unknown): string {
  try {
    call(options as never)
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return String(error)
  }
  return 'nothing was thrown'
}

describe.each(Object.keys(makers))('%s', (name) => {
  const call = makers[name] ?? expect.fail()

  it.each([null, 'pcp', 5, true, []])(
    `${name} throws for %j instead of options, and names the accepted options`,
    (options) => {
      expect(messageOf(call, options)).toContain(`${name} takes an object of options`)
    }
  )

  it(`${name} throws for an option with an unknown name`, () => {
    expect(messageOf(call, { unheardOf: 1 })).toContain(`${name} has no option "unheardOf"`)
  })
})

describe('wrong options', () => {
  it.each<readonly [string, unknown, string]>([
    ['natTraversal()', { strategy: [] }, 'Did you mean "strategies"?'],
    ['natTraversal()', { policy: null }, 'policy is not an object'],
    ['natTraversal()', { findNetwork: 1 }, 'findNetwork is not a function'],
    ['portMappingClient()', { policy: { quorom: 1 } }, 'Did you mean "quorum"?'],
    ['portMappingClient()', { host: {} }, 'host.clock.monotonicMs is not a function'],
    ['relay()', { relay: [] }, 'Did you mean "relays"?'],
    ['autonat()', { peer: [] }, 'Did you mean "peers"?'],
    ['holePunch()', { maxPeer: 3 }, 'Did you mean "maxPeers"?'],
    ['autonatServer()', { requestPerPeer: 3 }, 'Did you mean "requestsPerPeer"?']
  ])('%s throws for %j', (name, options, text) => {
    expect(messageOf(makers[name] ?? expect.fail(), options)).toContain(text)
  })

  it.each<readonly [unknown, unknown, string]>([
    ['12D3KooWGsCPRnRSvDkF7fkoAX6xVGgWhbLzJyGHzzRvFqAz9mHg', { signal: AbortSignal.abort() }, 'peerIdFromString(text)'],
    [undefined, { signal: AbortSignal.abort() }, 'direct() takes a peer id'],
    ['own', undefined, 'direct(peer, { signal })'],
    ['own', { signal: 5 }, 'direct(peer, { signal })']
  ])('direct() rejects wrong arguments: %#', async (peer, call, text) => {
    const nat = natTraversal({ strategies: [] })
    const node = await createLibp2p({ start: false, services: { nat } })
    const wrong = node.services.nat.direct((peer === 'own' ? node.peerId : peer) as never, call as never)
    const error: unknown = await wrong.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain(text)
  })

  it.each([
    [{ nat: natTraversal }, 'call natTraversal()'],
    [{ autonat: autonatServer }, 'call autonatServer()'],
    [{ nat: natTraversal({ strategies: [relay as never] }) }, 'call relay()'],
    [{ nat: natTraversal({ strategies: 'pcp' as never }) }, 'strategies is not an array of strategies'],
    [{ nat: natTraversal({ policy: { quorom: 1 } as never }) }, 'Did you mean "quorum"?'],
    [{ nat: natTraversal({ store: './x' as never }) }, 'store has no load() and save()']
  ])('the creation of a node fails with wrong services: %#', async (services, text) => {
    await expect(createLibp2p({ start: false, services: services as never })).rejects.toThrow(text)
  })
})
