import { describe, expect, it } from 'vitest'
import { NatAPI, type NatAPIOptions, type PortOptions } from '../src/index.js'
import { type Home, openHome } from './support/home.js'

type Result = { readonly threw: Error } | { readonly error: Error | undefined; readonly values: readonly unknown[] }

/** Calls a method as a program without types does, in one of the two styles. */
const styles: readonly (readonly [
  style: string,
  call: (client: NatAPI, method: string, args: readonly unknown[]) => Promise<Result>
])[] = [
  [
    'with promises, as @silentbot1/nat-api',
    async (client, method, args) => {
      const work = (client as unknown as Record<string, (...all: unknown[]) => Promise<unknown>>)[method]?.(...args)
      expect(work).toBeInstanceOf(Promise)
      return (work ?? Promise.reject(new Error('no method'))).then(
        (value) => ({ error: undefined, values: [value] }),
        (error: Error) => ({ error, values: [] })
      )
    }
  ],
  [
    'with callbacks, as nat-api',
    (client, method, args) =>
      new Promise((resolve) => {
        const callback = (error?: Error, ...values: unknown[]): void => resolve({ error, values })
        const returned = (client as unknown as Record<string, (...all: unknown[]) => unknown>)[method]?.(
          ...args,
          callback
        )
        expect(returned).toBeUndefined()
      })
  ]
]

const ports = { publicPort: 1000, privatePort: 2000 }

/** The arguments of `map` and `unmap`, and what they map. */
const forms: readonly (readonly [args: readonly unknown[], rules: readonly string[]])[] = [
  [[1000], ['tcp 1000 → 1000', 'udp 1000 → 1000']],
  [
    [1000, 2000],
    ['tcp 1000 → 2000', 'udp 1000 → 2000']
  ],
  [[ports], ['tcp 1000 → 2000', 'udp 1000 → 2000']],
  [[{ ...ports, protocol: null }], ['tcp 1000 → 2000', 'udp 1000 → 2000']],
  [[{ ...ports, protocol: undefined }], ['tcp 1000 → 2000', 'udp 1000 → 2000']],
  [[{ ...ports, protocol: '' }], ['tcp 1000 → 2000', 'udp 1000 → 2000']],
  [[{ ...ports, protocol: 'TCP' }], ['tcp 1000 → 2000']],
  [[{ ...ports, protocol: 'tcp' }], ['tcp 1000 → 2000']],
  [[{ ...ports, protocol: 'UDP', ttl: 1800, description: 'mine', gateway: '10.0.0.1' }], ['udp 1000 → 2000']],
  [[{ publicPort: '1000', privatePort: '2000', protocol: 'udp', ttl: '1800' }], ['udp 1000 → 2000']],
  [[{ publicPort: 1000, protocol: 'udp' }], ['udp 1000 → 1000']],
  [[{ privatePort: 2000, protocol: 'udp' }], ['udp 2000 → 2000']],
  [[Object.freeze({ ...ports })], ['tcp 1000 → 2000', 'udp 1000 → 2000']]
]

const wrong: readonly (readonly [args: readonly unknown[], message: string])[] = [
  [[], 'port was not specified'],
  [[undefined], 'port was not specified'],
  [[null], 'port was not specified'],
  [['1000'], 'port was not specified'],
  [[true], 'port was not specified'],
  [[{}], 'port was not specified'],
  [[{ protocol: 'TCP' }], 'port was not specified'],
  [[{ ...ports, protocol: 'SCTP' }], 'protocol is invalid'],
  [[{ ...ports, protocol: 6 }], 'protocol is invalid'],
  [[1000, '2000'], 'invalid parameters'],
  [[ports, {}], 'invalid parameters'],
  [[0], 'publicPort is not in 1…65535: 0'],
  [[-1], 'publicPort is not in 1…65535: -1'],
  [[65_536], 'publicPort is not in 1…65535: 65536'],
  [[Number.NaN], 'publicPort is not in 1…65535: NaN'],
  [[1000.5], 'publicPort is not in 1…65535: 1000.5'],
  [[Number.POSITIVE_INFINITY], 'publicPort is not in 1…65535: Infinity'],
  [[1000, 0], 'privatePort is not in 1…65535: 0'],
  [[1000, 65_536], 'privatePort is not in 1…65535: 65536'],
  [[{ publicPort: 'x', privatePort: 2000 }], "publicPort is not in 1…65535: 'x'"],
  [[{ publicPort: 1000, privatePort: '' }], "privatePort is not in 1…65535: ''"],
  [[{ publicPort: {} }], 'publicPort is not in 1…65535: {}']
]

const rulesOf = ({ router }: Home): readonly string[] =>
  router.mappings
    .map(({ protocol, externalPort, internalPort }) => `${protocol} ${externalPort} → ${internalPort}`)
    .toSorted()

describe.each(styles)('the call forms %s', (_, call) => {
  const isPromise = _.includes('promises')
  const success = { error: undefined, values: isPromise ? [true] : [] }

  it.each(forms)('map and unmap take %j', async (args, rules) => {
    const home = openHome()
    const client = home.client()
    expect(await home.done(call(client, 'map', args))).toEqual(success)
    expect(rulesOf(home)).toEqual(rules)
    expect(await home.done(call(client, 'unmap', args))).toEqual(success)
    expect(rulesOf(home)).toEqual([])
    await home.done(client.destroy())
  })

  it.each(wrong)('map and unmap refuse %j', async (args, message) => {
    const home = openHome()
    const client = home.client()
    for (const method of ['map', 'unmap']) {
      expect(await call(client, method, args)).toMatchObject({ error: { message }, values: [] })
    }
    expect(home.network.sent).toBe(0)
    await client.destroy()
  })

  it('a failure is false, or an Error in the words of the originals', async () => {
    const home = openHome()
    home.router.inject({ kind: 'refuse' })
    const client = home.client()
    const unmapped = await call(client, 'unmap', [1000])
    const mapped = await home.done(call(client, 'map', [1000]))
    if (isPromise) {
      expect([unmapped, mapped]).toEqual([
        { error: undefined, values: [false] },
        { error: undefined, values: [false] }
      ])
    } else {
      expect(unmapped).toMatchObject({
        error: { message: expect.stringMatching(/^NAT-PMP and UPnP port unmapping failed/) }
      })
      expect(mapped).toMatchObject({
        error: { message: expect.stringMatching(/^NAT-PMP and UPnP port mapping failed: .*closed/), code: 'REFUSED' }
      })
    }
    await home.done(client.destroy())
  })

  it('externalIp gives the address, or an empty text or an Error', async () => {
    const home = openHome()
    const client = home.client()
    expect(await home.done(call(client, 'externalIp', []))).toEqual({ error: undefined, values: ['1.2.3.4'] })
    await home.done(client.destroy())
    const none = home.client({ strategies: [] })
    const result = await call(none, 'externalIp', [])
    if (isPromise) expect(result).toEqual({ error: undefined, values: [''] })
    else expect(result).toMatchObject({ error: { message: 'NAT-PMP and UPnP get external ip failed' }, values: [] })
  })

  it('destroy succeeds each time, and the other methods fail after it', async () => {
    const home = openHome()
    const client = home.client()
    await home.done(client.map(1000))
    expect(await home.done(call(client, 'destroy', []))).toEqual(success)
    expect(await home.done(call(client, 'destroy', []))).toEqual(success)
    for (const [method, args] of [
      ['map', [1000]],
      ['unmap', [1000]],
      ['externalIp', []]
    ] as const)
      expect(await call(client, method, args)).toMatchObject({ error: { message: 'client is destroyed' }, values: [] })
  })
})

describe('the constructor', () => {
  it.each<[NatAPIOptions | null | undefined, Partial<NatAPI>]>([
    [
      undefined,
      {
        ttl: 7200,
        description: 'NatAPI',
        gateway: null,
        autoUpdate: true,
        enablePMP: true,
        enableUPNP: true,
        upnpPermanentFallback: false
      }
    ],
    [null, { ttl: 7200, enablePMP: true }],
    [{ ttl: 60 }, { ttl: 1200 }],
    [{ ttl: 3600.9 }, { ttl: 3600 }],
    [{ ttl: '3600' }, { ttl: 3600 }],
    [{ ttl: 0 }, { ttl: 7200 }],
    [{ ttl: -5 }, { ttl: 7200 }],
    [{ ttl: Number.NaN }, { ttl: 7200 }],
    [{ ttl: 'soon' }, { ttl: 7200 }],
    [{ ttl: Number.POSITIVE_INFINITY }, { ttl: 31_536_000 }],
    [{ description: 'WebTorrent Torrent' }, { description: 'WebTorrent Torrent' }],
    [{ description: '' }, { description: 'NatAPI' }],
    [{ description: 'Überspiel — a game with a very long name' }, { description: 'berspiel   a game with a very' }],
    [
      { gateway: '192.168.1.1', autoUpdate: false },
      { gateway: '192.168.1.1', autoUpdate: false }
    ],
    [
      { enablePMP: false, enableUPNP: 'permanent', upnpPermanentFallback: true },
      { enablePMP: false, enableUPNP: true, upnpPermanentFallback: true }
    ],
    [
      { enablePMP: null, enableUPNP: false },
      { enablePMP: true, enableUPNP: false }
    ]
  ])('new NatAPI(%j) has the options of the originals', (options, expected) => {
    expect(new NatAPI(options)).toMatchObject(expected)
  })

  it('with both protocols off map() is false, and the callback gets an Error', async () => {
    const client = new NatAPI({ enablePMP: false, enableUPNP: false })
    expect(await client.map(1000)).toBe(false)
    expect(await client.externalIp()).toBe('')
    const error = await new Promise<Error | undefined>((resolve) => client.map(1000, resolve))
    expect(error?.message).toBe('no protocols succeeded')
    expect(await client.destroy()).toBe(true)
  })

  it('the types take the calls of both originals', () => {
    const compiles = (client: NatAPI, port: PortOptions): void => {
      client.map(1000, (error) => error?.message)
      client.map(1000, 2000, (error) => error?.message)
      client.map(port, () => undefined)
      client.unmap(port, () => undefined)
      client.externalIp((error, ip) => error?.message ?? ip.length)
      client.destroy(() => undefined)
      void client
        .map({ publicPort: 1000, privatePort: 2000, ttl: 1800, protocol: 'UDP' })
        .then((isMapped: boolean) => isMapped)
      void client.externalIp().then((ip: string) => ip)
    }
    expect(compiles).toBeTypeOf('function')
  })
})
