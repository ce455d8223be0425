import { natError } from '@postern/interface'
import { createGateway, memoryNetwork, virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { upnp } from '../../src/index.js'
import { type BenchOptions, bench, call, external, home, ours, request, router } from '../bench.js'

describe('upnp', () => {
  it.each([
    ['a gateway that is no address', { gateway: 'router.local' }],
    ['a gateway that is an IPv6 address', { gateway: 'fe80::1' }],
    ['port 0', { ssdpPort: 0 }],
    ['a port that is no number', { ssdpPort: Number.NaN }],
    ['no description', { description: '' }],
    ['a description that is too long', { description: 'x'.repeat(31) }],
    ['a description in other letters', { description: 'größe' }]
  ])('upnp throws a TypeError for %s', (_name, options) => {
    expect(() => upnp(options)).toThrow(TypeError)
  })

  it('upnp sends nothing before discover', async () => {
    let opened = 0
    const log = { debug: () => undefined, info: () => undefined }
    const { clock, link } = await bench()
    const openUdp = async (): Promise<never> => {
      opened += 1
      throw new Error('a socket was opened')
    }
    const discovery = upnp({ openUdp, gateway: router })({ clock, random: Math.random, log })
    expect(discovery).toMatchObject({ name: 'upnp', gateway: router })
    expect(opened).toBe(0)
    expect(link.openSockets).toBeGreaterThan(0)
  })
})

describe('discovery', () => {
  it('discover finds an IGD:2 with one search that changes nothing', async () => {
    const { gateway, found, mapper } = await bench()
    expect(found).toHaveLength(1)
    expect(mapper()).toMatchObject({ family: 4, protocols: ['tcp', 'udp'], gateway: home.gateways[0] })
    expect(gateway.counters.ssdp.operations).toEqual({ 'M-SEARCH': 1 })
    expect(gateway.counters.control.operations).toEqual({ GetExternalIPAddress: 1 })
  })

  it('discover tells once how the router names itself', async () => {
    const { clock, described } = await bench()
    await clock.advance(600_000)
    expect(described).toEqual([{ manufacturer: 'Postern', model: 'Fake gateway', name: 'Fake & strict router' }])
  })

  it('discover tells how a router names itself that does not map', async () => {
    const edits = [['WANIPConnection', 'Layer3Forwarding']] as const
    const { clock, described, notices } = await bench({
      gateway: { upnp: { version: 1, edits } },
      prepare: (each) => each.inject({ kind: 'search-targets', only: ['upnp:rootdevice'] })
    })
    await clock.advance(600_000)
    expect(described).toMatchObject([{ model: 'Fake gateway' }])
    expect(notices()).toContain('NO_SERVICE')
  })

  it('discover takes the names of a media server at the address of the router for those of another device', async () => {
    const edits = [
      ['WANIPConnection', 'ContentDirectory'],
      ['device:InternetGatewayDevice', 'device:MediaServer']
    ] as const
    const { clock, described } = await bench({
      gateway: { upnp: { version: 1, edits } },
      prepare: (each) => each.inject({ kind: 'search-targets', only: ['upnp:rootdevice'] })
    })
    await clock.advance(60_000)
    expect(described).toEqual([])
  })

  it('discover finds an IGD:1 with the second search', async () => {
    const { clock, mapper, gateway } = await bench({ gateway: { upnp: { version: 1 } } })
    await clock.advance(100)
    expect(mapper().gateway?.address).toBe(router)
    expect(gateway.counters.ssdp.operations).toEqual({ 'M-SEARCH': 2 })
  })

  it('discover finds a router that only hears multicast', async () => {
    const { clock, mapper } = await bench({ prepare: (each) => each.inject({ kind: 'hears-only', cast: 'multicast' }) })
    await clock.advance(300)
    expect(mapper()).toBeDefined()
  })

  it('discover finds a router that only answers searches for everything', async () => {
    const { clock, mapper } = await bench({
      prepare: (each) => each.inject({ kind: 'search-targets', only: ['ssdp:all'] })
    })
    await clock.advance(400)
    expect(mapper()).toBeDefined()
  })

  it.each([
    [[{ organisation: 'dslforum-org' }], 0],
    [[{ organisation: 'dslforum-org' }, {}], 1],
    [[{}, { organisation: 'dslforum-org' }], 0]
  ] as const)('takes services with names of the DSL Forum for the last choice: %o', async (named, index) => {
    const paths: string[] = []
    const { clock, gateway, map } = await bench({
      gateway: { upnp: { version: 1, wan: named.map((each) => ({ type: 'WANIPConnection', ...each })) } },
      wrapHttp: (exchangeHttp) => (exchange, own) => {
        if (exchange.method === 'POST') paths.push(exchange.url.pathname)
        return exchangeHttp(exchange, own)
      }
    })
    await clock.advance(300)
    await map(request)
    expect(gateway.mappings).toHaveLength(1)
    expect(paths.at(-1)).toBe(`/ctl/wan${index}`)
  })

  it('discover finds a router that only answers searches for root devices in the second round', async () => {
    const { clock, notices, mapper } = await bench({
      prepare: (each) => each.inject({ kind: 'search-targets', only: ['upnp:rootdevice'] })
    })
    await clock.advance(4000)
    expect(notices()).toEqual(['NO_REPLY'])
    expect(mapper()).toBeDefined()
  })

  it.each(['address', 'port'] as const)(
    'discover finds a router that answers from another %s of its own',
    async (what) => {
      const { clock, mapper } = await bench({ prepare: (each) => each.inject({ kind: 'wrong-source', what }) })
      await clock.advance(400)
      expect(mapper().gateway?.address).toBe(router)
    }
  )

  it('discover accepts an answer after the first round', async () => {
    const { clock, notices, mapper } = await bench({ gateway: { upnp: { searchDelayMs: 1500 } } })
    await clock.advance(1600)
    expect(notices()).toEqual(['NO_REPLY'])
    expect(mapper()).toBeDefined()
    // The router still answers the earlier searches.
    await clock.advance(5000)
  })

  it('discover reports NO_REPLY after 800 ms and continues with growing pauses', async () => {
    const { clock, gateway, notices } = await bench({ prepare: (each) => each.inject({ kind: 'silent' }) })
    await clock.advance(799)
    expect(notices()).toEqual([])
    await clock.advance(1)
    expect(notices()).toEqual(['NO_REPLY'])
    const round = gateway.counters.ssdp.requests
    await clock.advance(3600_000)
    expect(notices()).toEqual(['NO_REPLY'])
    const rounds = gateway.counters.ssdp.requests / round
    expect(rounds).toBeGreaterThan(10)
    expect(rounds).toBeLessThan(25)
  })

  it('discover finds a router that is turned on later', async () => {
    const { clock, gateway, mapper } = await bench({ prepare: (each) => each.inject({ kind: 'silent' }) })
    await clock.advance(10_000)
    gateway.clearFaults()
    await clock.advance(10_000)
    expect(mapper()).toBeDefined()
  })

  it('discover reports REFUSED at once for a closed port and continues', async () => {
    const { clock, gateway, notices, mapper } = await bench({
      prepare: (each) => each.inject({ kind: 'refuse', on: 'ssdp' })
    })
    expect(notices()).toEqual(['REFUSED'])
    gateway.clearFaults()
    await clock.advance(4000)
    expect(notices()).toEqual(['REFUSED'])
    expect(mapper()).toBeDefined()
  })

  it.each([
    ['another host', 'http://192.168.1.77:80/x.xml'],
    ['a service of this machine', 'http://127.0.0.1:631/'],
    ['the internet', 'http://11.9.9.9/'],
    ['HTTPS', 'https://{address}:{port}/rootDesc.xml'],
    ['credentials', 'http://a:b@{address}:{port}/rootDesc.xml']
  ])('discover does not fetch a location on %s', async (_name, location) => {
    const { gateway, notices } = await bench({ prepare: (each) => each.inject({ kind: 'location', location }) })
    expect(notices()).toEqual(['UNTRUSTED_REPLY'])
    expect(gateway.counters.description.requests).toBe(0)
  })

  it.each(['router.local', '0.0.0.0'])(
    'looks for the description of a router that calls itself %s at its address',
    async (name) => {
      const location = `http://${name}:{port}/rootDesc.xml`
      const { mapper } = await bench({ prepare: (each) => each.inject({ kind: 'location', location }) })
      expect(mapper()).toBeDefined()
    }
  )

  it('discover examines at most ten locations in a round', async () => {
    const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
    const mangle = (reply: Uint8Array): readonly Uint8Array[] =>
      Array.from({ length: 50 }, (_, index) =>
        new TextEncoder().encode(decode(reply).replace(':49000', `:${index + 2000}`))
      )
    const asked: string[] = []
    await bench({
      prepare: (each) => each.inject({ kind: 'mangle', on: 'ssdp', mangle }),
      upnp: {
        exchangeHttp: async ({ url }) => {
          asked.push(url.port)
          throw natError('NO_REPLY', 'no host there')
        }
      }
    })
    expect(asked).toHaveLength(10)
  })

  it('discover finds the router although a neighbour forged ten answers to the multicast first', async () => {
    const forged = Array.from({ length: 10 }, (_, index) =>
      new TextEncoder().encode(
        `HTTP/1.1 200 OK\r\nST: ssdp:all\r\nUSN: uuid:${index}\r\nLOCATION: http://${router}:${index + 2000}/x.xml\r\n\r\n`
      )
    )
    const { mapper } = await bench({
      wrap: (openUdp) => async (options, own) => {
        const socket = await openUdp(options, own)
        // The neighbour receives what the unconnected socket sends.
        if (options.remote !== undefined || options.multicast !== undefined) return socket
        const hear = (): void => {
          for (const bytes of forged) options.onMessage(bytes, { address: router, port: 1900 })
        }
        hear()
        return {
          ...socket,
          send(bytes, to) {
            hear()
            socket.send(bytes, to)
          }
        }
      }
    })
    expect(mapper().family).toBe(4)
  })
})

describe('what comes back', () => {
  it.each([
    ['a redirect', { kind: 'http', on: 'description', what: 'redirect', to: 'http://127.0.0.1/' }, 'MALFORMED_REPLY'],
    ['an error', { kind: 'http', on: 'description', what: 'status', status: 404 }, 'MALFORMED_REPLY'],
    ['no end', { kind: 'http', on: 'description', what: 'endless' }, 'REPLY_TOO_LARGE'],
    ['10 MB', { kind: 'bytes', on: 'description', bytes: 'oversized' }, 'REPLY_TOO_LARGE'],
    ['nothing', { kind: 'bytes', on: 'description', bytes: 'empty' }, 'MALFORMED_REPLY'],
    ['one byte', { kind: 'bytes', on: 'description', bytes: 'one-byte' }, 'MALFORMED_REPLY'],
    ['random bytes', { kind: 'bytes', on: 'description', bytes: 'random' }, 'MALFORMED_REPLY'],
    ['a closed connection', { kind: 'http', on: 'description', what: 'reset' }, 'MALFORMED_REPLY'],
    ['another protocol', { kind: 'http', on: 'description', what: 'not-http' }, 'MALFORMED_REPLY'],
    ['an XML bomb', { kind: 'xml', on: 'description', what: 'bomb' }, 'MALFORMED_REPLY'],
    ['a document type', { kind: 'xml', on: 'description', what: 'doctype' }, 'MALFORMED_REPLY'],
    ['an external entity', { kind: 'xml', on: 'description', what: 'external-entity' }, 'MALFORMED_REPLY'],
    ['deep nesting', { kind: 'xml', on: 'description', what: 'deep' }, 'MALFORMED_REPLY'],
    ['dangerous names', { kind: 'xml', on: 'description', what: 'proto' }, 'MALFORMED_REPLY'],
    ['a closed port', { kind: 'refuse', on: 'description' }, 'REFUSED'],
    ['garbage over UDP', { kind: 'bytes', on: 'ssdp', bytes: 'random' }, 'MALFORMED_REPLY'],
    ['a control port that is closed', { kind: 'refuse', on: 'control' }, 'REFUSED']
  ] as const)('survives %s', async (_name, fault, code) => {
    const { clock, gateway, notices, mapper } = await bench({ prepare: (each) => each.inject(fault) })
    await clock.advance(800)
    expect(notices()).toEqual([code])
    gateway.clearFaults()
    await clock.advance(10_000)
    expect(mapper()).toBeDefined()
  })

  it.each(['drip', 'hang', 'slow-headers'] as const)(
    'gives a description up that takes too long (%s)',
    async (what) => {
      const { clock, gateway, notices, mapper } = await bench({
        prepare: (each) => each.inject({ kind: 'http', on: 'description', what })
      })
      await clock.advance(3000)
      expect(notices()).toEqual(['NO_REPLY'])
      gateway.clearFaults()
      await clock.advance(10_000)
      expect(mapper()).toBeDefined()
    }
  )

  it.each([
    'blank-before-declaration',
    'bare-ampersand',
    'junk-after-root',
    'unclosed-tags',
    'byte-order-mark'
  ] as const)('understands XML with %s', async (what) => {
    const { mapper } = await bench({ prepare: (each) => each.inject({ kind: 'xml', what }) })
    expect(mapper()).toBeDefined()
  })

  it.each(['lower-case-headers', 'no-content-length'] as const)('discover understands HTTP with %s', async (what) => {
    const { mapper } = await bench({ prepare: (each) => each.inject({ kind: 'http', what }) })
    expect(mapper()).toBeDefined()
  })
})

describe('the external address', () => {
  it.each([
    ['224.0.0.9', 'EXTERNAL_ADDRESS_RESERVED'],
    ['169.254.3.4', 'EXTERNAL_ADDRESS_RESERVED'],
    ['255.255.255.255', 'EXTERNAL_ADDRESS_RESERVED'],
    ['127.0.0.1', 'EXTERNAL_ADDRESS_RESERVED'],
    ['0.0.0.0', 'EXTERNAL_ADDRESS_RESERVED']
  ])('the external address %s gives %s', async (address, code) => {
    const { notices, found } = await bench({ gateway: { externalAddress: address } })
    expect(notices()).toEqual([code])
    expect(found).toHaveLength(1)
  })

  it.each(['100.64.0.9', '10.0.0.2', '192.0.2.1'])(
    '%s lies behind another NAT, and is mapped all the same',
    async (address) => {
      const { map } = await bench({ gateway: { externalAddress: address } })
      expect((await map(request)).addresses).toEqual([`/ip4/${address}/tcp/8080`])
    }
  )

  it.each([
    [501, 'GATEWAY_FAULT'],
    [606, 'NOT_AUTHORIZED']
  ])('map rejects if the router refuses every action with %i', async (code, refusal) => {
    const { map } = await bench({ prepare: (each) => each.inject({ kind: 'soap-fault', on: 'control', code }) })
    await expect(map(request)).rejects.toMatchObject({ code: refusal })
  })

  it('a missing external address of a connected router counts as reserved, as with miniupnpd', async () => {
    const { notices } = await bench({ prepare: (each) => each.inject({ kind: 'reserved-external-address' }) })
    expect(notices()).toEqual(['EXTERNAL_ADDRESS_RESERVED'])
  })

  it('a missing external address of an unconnected router is NETWORK_FAILURE until it is connected', async () => {
    const wan = [{ type: 'WANIPConnection', status: 'Disconnected' }] as const
    const { notices } = await bench({ gateway: { upnp: { wan } } })
    expect(notices()).toEqual(['NETWORK_FAILURE'])
  })

  it('a router becomes usable with its external address', async () => {
    const { clock, gateway, mapper } = await bench({ gateway: { externalAddress: '0.0.0.0' } })
    gateway.setExternalAddress(external)
    await clock.advance(5000)
    expect(mapper()).toBeDefined()
  })

  it('the external address decides between several services', async () => {
    const wan = [
      { type: 'WANIPConnection', status: 'Disconnected' },
      { type: 'WANIPConnection', externalAddress: '10.0.0.2' },
      { type: 'WANPPPConnection' }
    ] as const
    const { map } = await bench({ gateway: { upnp: { wan } } })
    expect((await map(request)).addresses).toEqual([`/ip4/${external}/tcp/8080`])
  })
})

describe('other gateways', () => {
  it('discover reports the address of a device that is not a gateway of this host, and sends it nothing', async () => {
    const { clock, found, gateway } = await bench({ addresses: ['192.168.1.254'] })
    await clock.advance(800)
    const mapper = found.find(({ kind }) => kind === 'mapper')
    expect(mapper).toMatchObject({ gateway: { address: '192.168.1.254', interface: 'eth0', localAddress: ours } })
    expect(gateway.counters.description.requests).toBe(0)
    expect(gateway.counters.control.requests).toBe(0)
    if (mapper?.kind === 'mapper')
      await expect(mapper.map(request, call())).rejects.toMatchObject({ code: 'SECONDARY_GATEWAY' })
  })

  it('discover reports at most four other devices and fetches nothing for any number of forged answers', async () => {
    const answers: ((text: string, address: string) => void)[] = []
    const asked: string[] = []
    const { clock, found } = await bench({
      addresses: [],
      wrap: (openUdp) => (options, own) => {
        if (options.multicast === undefined)
          answers.push((text, address) => options.onMessage(new TextEncoder().encode(text), { address, port: 1900 }))
        return openUdp(options, own)
      },
      upnp: {
        exchangeHttp: async ({ url }) => {
          asked.push(url.href)
          throw natError('NO_REPLY', 'no host there')
        }
      }
    })
    const type = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'
    for (let host = 3; host < 200; host++) {
      for (const location of [`http://192.168.1.${host}/_shutdown`, `http://192.168.1.${host}:8080/admin/reboot.cgi`])
        for (const answer of answers)
          answer(`HTTP/1.1 200 OK\r\nST: ${type}\r\nLOCATION: ${location}\r\n\r\n`, `192.168.1.${host}`)
    }
    for (const answer of answers)
      answer(`HTTP/1.1 200 OK\r\nST: ${type}\r\nLOCATION: http://169.254.169.254/\r\n\r\n`, '169.254.169.254')
    await clock.advance(3000)
    expect(asked).toEqual([])
    expect(found.filter(({ kind }) => kind === 'mapper')).toHaveLength(4)
  })

  it('discover asks only the named gateway', async () => {
    const { clock, notices } = await bench({ addresses: ['192.168.1.254'], upnp: { gateway: router } })
    await clock.advance(800)
    expect(notices()).toEqual(['NO_REPLY'])
  })
})

const type = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2'
const notify = (kind: string, location: string, bootId?: number): string =>
  `NOTIFY * HTTP/1.1\r\nNT: ${type}\r\nNTS: ssdp:${kind}\r\nLOCATION: ${location}\r\n${bootId === undefined ? '' : `BOOTID.UPNP.ORG: ${bootId}\r\n`}\r\n`

/** Sends announcements in the router's name, and records the requests that they cause. */
function forger(): {
  readonly wrap: NonNullable<BenchOptions['wrap']>
  readonly tell: (text: string) => void
} {
  const heard: ((text: string) => void)[] = []
  return {
    wrap: (openUdp) => (options, own) => {
      const { onMessage, multicast } = options
      if (multicast !== undefined)
        heard.push((text) => onMessage(new TextEncoder().encode(text), { address: router, port: 1900 }))
      return openUdp(options, own)
    },
    tell: (text) => {
      for (const hear of heard) hear(text)
    }
  }
}

describe('forged announcements', () => {
  it('forged goodbyes cause one request a second, and no notice', async () => {
    const { wrap, tell } = forger()
    const { clock, gateway, notices, mapper } = await bench({ wrap })
    const before = mapper()
    const requests = (): number => gateway.counters.description.requests + gateway.counters.control.requests
    const first = requests()
    for (let count = 0; count < 2000; count++) {
      tell(notify('byebye', 'http://x/'))
      await clock.advance(5)
    }
    expect(requests() - first).toBeLessThanOrEqual(11)
    await clock.advance(5000)
    expect(requests() - first).toBeLessThanOrEqual(13)
    expect(notices()).toEqual([])
    expect(mapper()).toBe(before)
  })

  it('forged locations cause one request a second, and no notice', async () => {
    const { wrap, tell } = forger()
    const { clock, gateway, notices } = await bench({ wrap })
    const { requests } = gateway.counters.description
    for (let count = 0; count < 2000; count++) {
      tell(notify('alive', `http://${router}:49000/rootDesc.xml?${count}`))
      await clock.advance(5)
    }
    expect(gateway.counters.description.requests - requests).toBeLessThanOrEqual(11)
    expect(notices()).toEqual([])
  })

  it('forged announcements do not keep the search fast', async () => {
    const { wrap, tell } = forger()
    const asked: number[] = []
    const made = await bench({
      wrap,
      addresses: [],
      upnp: {
        exchangeHttp: async () => {
          asked.push(made.clock.monotonicMs())
          throw natError('REFUSED', 'nothing there')
        }
      }
    })
    await made.clock.advance(9000)
    for (let count = 0; count < 12_000; count++) {
      tell(notify('alive', `http://${router}:5000/${count}`))
      await made.clock.advance(5)
    }
    expect(asked.length).toBeLessThanOrEqual(8)
    expect(made.notices().length).toBeLessThanOrEqual(12)
  })

  it('forged announcements do not prevent the discovery of a router that appears later', async () => {
    const { wrap, tell } = forger()
    const { clock, gateway, mapper } = await bench({ wrap, prepare: (each) => each.inject({ kind: 'refuse' }) })
    for (let count = 0; count < 2000; count++) {
      tell(notify('alive', `http://${router}:5000/${count}`))
      await clock.advance(5)
    }
    gateway.clearFaults()
    await clock.advance(31_000)
    expect(mapper()).toBeDefined()
  })
})

describe('announcements', () => {
  it('a goodbye is checked once more if the router still answers', async () => {
    const { clock, gateway, notices } = await bench()
    gateway.announce({ upnp: 'byebye' })
    await clock.advance(500)
    expect(notices()).toEqual([])
    gateway.inject({ kind: 'refuse' })
    await clock.advance(600)
    expect(notices()).toEqual(['gone', 'REFUSED'])
  })

  it('an announcement with another boot id is reported as one restart', async () => {
    const { clock, gateway, notices, map } = await bench()
    gateway.reboot({ upnpPort: 49_100 })
    gateway.announce()
    await clock.advance(5000)
    expect(notices()).toEqual(['restarted'])
    expect((await map(request)).addresses).toEqual([`/ip4/${external}/tcp/8080`])
  })

  it('an announcement with the same boot id is ignored', async () => {
    const { clock, gateway, notices } = await bench()
    gateway.announce()
    await clock.advance(5000)
    expect(notices()).toEqual([])
    expect(gateway.counters.description.requests).toBe(1)
  })

  it('an announcement of the same location in another notation is ignored', async () => {
    const { clock, gateway, notices } = await bench({ httpPort: 80 })
    gateway.announce()
    await clock.advance(5000)
    expect(notices()).toEqual([])
    expect(gateway.counters.description.requests).toBe(1)
  })

  it('forged announcements have no effect', async () => {
    const heard: ((text: string) => void)[] = []
    const { clock, gateway, notices, mapper } = await bench({
      wrap: (openUdp) => (options, own) => {
        const { onMessage, multicast } = options
        if (multicast !== undefined)
          heard.push((text) => onMessage(new TextEncoder().encode(text), { address: router, port: 1900 }))
        return openUdp(options, own)
      }
    })
    const before = mapper()
    const deviceType = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2'
    const alive = (location: string, bootId: number): string =>
      `NOTIFY * HTTP/1.1\r\nNT: ${deviceType}\r\nNTS: ssdp:alive\r\nLOCATION: ${location}\r\nBOOTID.UPNP.ORG: ${bootId}\r\n\r\n`
    const { requests } = gateway.counters.control
    for (let count = 0; count < 1000; count += 1) {
      for (const hear of heard) {
        hear(alive('http://127.0.0.1:631/', 7))
        hear(alive(`http://${router}:9/x.xml`, 1000 + count))
        hear('NOTIFY')
      }
      await clock.advance(10)
    }
    expect(heard).toHaveLength(1)
    expect(notices()).toEqual([])
    expect(mapper()).toBe(before)
    expect(gateway.counters.control.requests - requests).toBeLessThanOrEqual(11)
  })

  it('a goodbye is reported as gone and starts the search again', async () => {
    const { clock, gateway, notices, found } = await bench()
    gateway.inject({ kind: 'refuse' })
    gateway.announce({ upnp: 'byebye' })
    await clock.advance(0)
    expect(notices()).toEqual(['gone', 'REFUSED'])
    gateway.clearFaults()
    gateway.reboot()
    gateway.announce()
    await clock.advance(0)
    expect(found.at(-1)).toMatchObject({ kind: 'mapper' })
  })

  it('announcements of other hosts are ignored', async () => {
    const { clock, gateway, link, notices } = await bench()
    const other = createGateway({ clock, protocols: ['upnp'] })
    link.attach(other, '192.168.1.66')
    other.announce()
    other.announce({ upnp: 'byebye' })
    await clock.advance(5000)
    expect(notices()).toEqual([])
    expect(gateway.counters.description.requests).toBe(1)
    expect(other.counters.description.requests).toBe(0)
  })

  it('a taken announcement port is reported', async () => {
    const { mapper, notices } = await bench({
      wrap: (openUdp) => async (options, own) => {
        if (options.multicast !== undefined) throw natError('PORT_TAKEN', 'the local port is in use')
        return openUdp(options, own)
      }
    })
    expect(mapper()).toBeDefined()
    expect(notices()).toEqual(['unheard'])
  })
})

describe('the end', () => {
  it('abort leaves nothing open at any of a thousand moments', async () => {
    const clock = virtualClock()
    const link = memoryNetwork({ clock })
    const gateway = createGateway({ clock, protocols: ['upnp'] })
    link.attach(gateway, router)
    const log = { debug: () => undefined, info: () => undefined }
    const strategy = upnp(link.host(ours))
    for (let round = 0; round < 1000; round += 1) {
      const end = new AbortController()
      let findings = 0
      const running = strategy({ clock, random: Math.random, log }).discover(home, () => (findings += 1), end)
      for (let turn = 0; turn < round % 100; turn += 1) await Promise.resolve()
      end.abort()
      const before = findings
      await clock.advance(0)
      await running.catch((error: unknown) => expect(error).toBe(end.signal.reason))
      expect(findings).toBe(before)
    }
    expect(link.openSockets).toBe(0)
    expect(clock.pending).toBe(0)
    expect(gateway.violations).toEqual([])
  }, 30_000)

  it('discover rejects if the signal has aborted before', async () => {
    const clock = virtualClock()
    const log = { debug: () => undefined, info: () => undefined }
    const link = memoryNetwork({ clock })
    const discovery = upnp(link.host(ours))({ clock, random: Math.random, log })
    await discovery.discover(home, () => expect.unreachable(), { signal: AbortSignal.abort() })
    expect(link.sent).toBe(0)
  })

  it('discover resolves at once without a gateway', async () => {
    const clock = virtualClock()
    const log = { debug: () => undefined, info: () => undefined }
    const discovery = upnp(memoryNetwork({ clock }).host(ours))({ clock, random: Math.random, log })
    await discovery.discover({ gateways: [], addresses: [] }, () => expect.unreachable(), new AbortController())
  })
})
