import { createServer } from 'node:net'
import { createTraversal } from '@postern/core'
import { manual } from '@postern/manual'
import { natPmp } from '@postern/nat-pmp'
import { expose, fileStore, parseLadder } from '@postern/node'
import { pcp } from '@postern/pcp'
import { stun } from '@postern/stun'
import { upnp } from '@postern/upnp'
import { describe, expect, it } from 'vitest'

/** Passes options like a JavaScript caller. */
type Call = (options: never) => unknown

const makers: Readonly<Record<string, Call>> = {
  'expose()': (options) => expose(createServer(), options),
  'createTraversal()': (options) => createTraversal(options),
  'fileStore()': (options) => fileStore(options),
  'pcp()': (options) => pcp(options),
  'natPmp()': (options) => natPmp(options),
  'upnp()': (options) => upnp(options),
  'manual()': (options) => manual(options),
  'stun()': (options) => stun(options)
}

async function messageOf(call: Call, options: unknown): Promise<string> {
  try {
    await call(options as never)
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return String(error)
  }
  return 'nothing was thrown'
}

describe.each(Object.keys(makers))('%s', (name) => {
  const call = makers[name] ?? expect.fail()

  it.each([null, 'pcp', 5, true, []])('rejects %j as options and lists the valid ones', async (options) => {
    expect(await messageOf(call, options)).toContain(`${name} takes an object of options`)
  })

  it('rejects an option with an unknown name', async () => {
    expect(await messageOf(call, { unheardOf: 1 })).toContain(`${name} has no option "unheardOf"`)
  })
})

describe('wrong options', () => {
  it.each<readonly [string, unknown, string]>([
    ['expose()', { strategy: 'pcp' }, 'Did you mean "strategies"?'],
    ['expose()', { strategies: ['pcp', 'upnp'] }, "pass one text, 'pcp,upnp'"],
    ['expose()', { strategies: [pcp] }, 'call pcp() and pass what it returns'],
    ['expose()', { strategies: [() => pcp()] }, 'strategies[0] returns no discovery'],
    ['expose()', { strategies: 'PCP' }, 'Did you mean "pcp"?'],
    ['expose()', { strategies: 'natpmp' }, 'Did you mean "nat-pmp"?'],
    ['expose()', { strategies: null }, 'strategies is not an array of strategies'],
    ['expose()', { strategies: pcp() }, 'strategies is one function: pass an array'],
    ['expose()', { strategies: Promise.resolve([]) }, 'strategies is a promise: await it'],
    ['expose()', { strategies: [Promise.resolve(pcp())] }, 'strategies[0] is a promise: await it'],
    ['expose()', { strategies: [pcp(), [upnp()]] }, 'strategies[1] is an array: spread it'],
    ['expose()', { strategies: [undefined] }, 'strategies[0] is undefined, and not a strategy such as upnp()'],
    ['expose()', { strategies: ['pcp', upnp()] }, 'strategies[0] is "pcp", and not a strategy'],
    ['expose()', { strategies: [{}] }, 'strategies[0] is an object: pass what upnp() returns'],
    ['expose()', { strategies: [URL] }, 'strategies[0] is a class'],
    ['expose()', { strategies: [async () => pcp()] }, 'strategies[0] returns a promise'],
    [
      'expose()',
      {
        strategies: [
          () => {
            throw new Error('no licence')
          }
        ]
      },
      'strategies[0] cannot be used: no licence'
    ],
    ['expose()', { strategies: '' }, '"" is none of: any'],
    ['expose()', { store: './x.json' }, 'fileStore({ path: "./x.json" })'],
    ['expose()', { store: {} }, 'store has no load() and save()'],
    ['expose()', { store: true }, 'store has no load() and save()'],
    ['expose()', { store: null }, 'store has no load() and save()'],
    ['expose()', { policy: null }, 'policy is not an object'],
    ['expose()', { policy: { quorom: 1 } }, 'Did you mean "quorum"?'],
    ['expose()', { policy: { relay: { counts: 1 } } }, 'policy.relay has no option "counts". Did you mean "count"?'],
    ['expose()', { policy: { relay: null } }, 'policy.relay is not an object'],
    ['expose()', { policy: { retry: { initialMs: 1 } } }, 'policy.retry.maxMs is not a number'],
    ['expose()', { policy: { retry: 5 } }, 'policy.retry is not an object'],
    ['expose()', { policy: { quorum: () => 2 } }, 'policy.quorum is not a number'],
    ['expose()', { policy: { quorum: 0 } }, 'policy.quorum is not a whole number of 1 or more: 0'],
    ['expose()', { policy: { quorum: 1.5 } }, 'policy.quorum is not a whole number of 1 or more: 1.5'],
    ['expose()', { policy: { quorum: '2' } }, 'policy.quorum is not a number of 0 or more: "2"'],
    ['expose()', { policy: { lifetimeMs: 0 } }, 'policy.lifetimeMs is not a lifetime of 1000 ms or more: 0'],
    ['expose()', { owners: {} }, 'owners has no join() and holders()'],
    ['expose()', { policy: { relay: { isInUse: 5 } } }, 'policy.relay.isInUse is not a function'],
    ['expose()', { signal: true }, 'signal is not an AbortSignal'],
    ['expose()', { host: {} }, 'host.clock.monotonicMs is not a function'],
    ['expose()', { host: null }, 'host is not an object'],
    ['expose()', { findNetwork: 1 }, 'findNetwork is not a function'],
    ['expose()', { releaseOnExit: 'yes' }, 'releaseOnExit is not true or false'],
    ['expose()', { externalPort: 0 }, 'externalPort is not a number in 1…65535: 0'],
    ['expose()', { externalPort: Number.NaN }, 'externalPort is not a number in 1…65535: NaN'],
    ['expose()', { externalPort: 1.5 }, 'externalPort is not a number in 1…65535: 1.5'],
    ['expose()', { externalPort: '80' }, 'externalPort is not a number in 1…65535: "80"'],
    ['manual()', { port: '80' }, 'port is not a number in 1…65535: "80"'],
    ['expose()', { on: { maped: () => undefined } }, 'Did you mean "mapped"?'],
    ['expose()', { on: { mapped: 1 } }, 'mapped is not a function'],
    ['expose()', { on: () => undefined }, 'on is not an object'],
    ['fileStore()', { app: '../../x' }, 'app is a name without slashes'],
    ['fileStore()', { app: 'a\\b' }, 'app is a name without slashes'],
    ['fileStore()', { app: '' }, 'app is a name without slashes'],
    ['fileStore()', { path: 5 }, 'path is not a text'],
    ['fileStore()', { path: '' }, 'path is not the path of a file: ""'],
    ['fileStore()', { path: 'a\0b' }, 'path is not the path of a file'],
    ['createTraversal()', { strategies: [], policy: [] }, 'policy is not an object'],
    ['createTraversal()', { strategies: [], checkExternalAddress: {} }, 'checkExternalAddress is not a function'],
    ['pcp()', { gatway: '192.168.1.1' }, 'Did you mean "gateway"?'],
    ['pcp()', { port: '5351' }, 'port is not a port'],
    ['upnp()', { description: 5 }, 'description is not a text'],
    ['stun()', { server: 'x' }, 'Did you mean "servers"?'],
    ['stun()', { servers: [5] }, 'a STUN server is a text'],
    ['manual()', { address: 5 }, 'address is not of the form']
  ])('%s throws a TypeError for %j', async (name, options, text) => {
    expect(await messageOf(makers[name] ?? expect.fail(), options)).toContain(text)
  })

  it('traversal.want rejects invalid options', () => {
    const traversal = createTraversal({ strategies: [] })
    const endpoint = { protocol: 'tcp', family: 4, address: '0.0.0.0', port: 8080 } as const
    const want = (options: unknown): void => traversal.addEndpoint(endpoint, options as object)
    expect(() => want({ externalport: 80 })).toThrow('Did you mean "externalPort"?')
    expect(() => want({ signal: 5 })).toThrow('signal is not an AbortSignal')
    expect(() => want({ lifetimeMs: '2h' })).toThrow('lifetimeMs is not a number')
    expect(() => want({ lifetimeMs: 0 })).toThrow('lifetimeMs is not a lifetime of 1000 ms or more: 0')
    expect(() => want(null)).toThrow('takes an object of options')
  })

  it.each<unknown>([
    null,
    {},
    { gateways: [], addresses: 'x' },
    { gateways: [{}], addresses: [] },
    { gateways: [null], addresses: ['192.168.1.2'] }
  ])('traversal.setNetwork rejects %j', (network) => {
    expect(() => createTraversal({ strategies: [] }).setNetwork(network as never)).toThrow(/^not a network/)
  })

  it.each([
    ['a port', 8080, 'run `postern map 8080`'],
    ['a port as text', '8080', 'run `postern map 8080`'],
    ['a promise', Promise.resolve(createServer()), 'await it first'],
    ['a function', () => undefined, 'pass what its listen() returns'],
    ['nothing', undefined, /of a framework returns$/]
  ])('expose says what to pass instead of %s', async (_, server, text) => {
    await expect(expose(server as never)).rejects.toThrow(text)
    await expect(expose(server as never)).rejects.toThrow(TypeError)
  })

  it('expose rejects a server without the methods that it calls later', async () => {
    const part = { listen: () => undefined, address: () => null, on: () => undefined }
    expect(await expose(part as never).catch(String)).toMatch(/^TypeError: expose\(\) takes a net\.Server/)
  })

  it.each([undefined, 5, null, ['pcp']])('parseLadder rejects %j', (text) => {
    expect(() => parseLadder(text as never)).toThrow("parseLadder() takes text, such as 'pcp,upnp'")
  })

  it('parseLadder suggests the nearest name', () => {
    expect(() => parseLadder('upnp,Manul:1')).toThrow('Did you mean "manual"?')
  })
})

describe('a server of Bun or Deno', () => {
  const nothing = (): void => undefined
  const own = { ref: nothing, unref: nothing }
  it.each([
    ['Bun.serve()', { ...own, stop: nothing, reload: nothing, fetch: nothing, address: { port: 8080 }, port: 8080 }],
    ['Bun.listen()', { ...own, stop: nothing, reload: nothing, port: 8080, data: undefined }],
    ['Bun.udpSocket()', { ...own, close: nothing, send: nothing, sendMany: nothing, address: { port: 8080 } }],
    ['Deno.serve()', { ...own, addr: { port: 8080 }, finished: Promise.resolve(), shutdown: nothing }],
    ['Deno.listen()', { ...own, addr: { port: 8080 }, accept: nothing, next: nothing, close: nothing }],
    ['Deno.listenDatagram()', { addr: { port: 8080 }, receive: nothing, send: nothing, close: nothing }]
  ])('expose rejects a server of Bun or Deno with a hint: %s', async (_, server) => {
    const refusal = expose(server as never).catch(String)
    expect(await refusal).toMatch(/^TypeError: .*node:http.*Bun\.serve.*Deno\.serve.*docs\/guides\/bun-and-deno\.md/)
  })
})
