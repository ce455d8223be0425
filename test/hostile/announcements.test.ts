import type { MemoryHost } from '@postern/testkit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { endpoint, openScene, router, type Scene, type StrategyName, strategyNames } from './scene.js'

/** What any host on the link can send in the router's name, and what a router sends after a restart. */
const announcements: Readonly<Record<StrategyName, readonly Uint8Array[]>> = {
  pcp: [
    pcpAnnouncement({ epoch: 10_000 }),
    pcpAnnouncement({ epoch: 0 }),
    pcpAnnouncement({ epoch: 2 ** 32 - 1 })
  ].concat(pcpAnnouncement({ version: 1, result: 1 }), Uint8Array.of(2, 0x80)),
  'nat-pmp': [
    natPmpAnnouncement({ epoch: 10_000 }),
    natPmpAnnouncement({ epoch: 0 }),
    natPmpAnnouncement({ address: [11, 0, 0, 99] }),
    natPmpAnnouncement({ address: [0, 0, 0, 0] }),
    natPmpAnnouncement({ result: 3 })
  ],
  upnp: [
    ssdpAnnouncement({ subtype: 'alive' }),
    ssdpAnnouncement({ subtype: 'alive', location: `http://${router}:9999/moved.xml` }),
    ssdpAnnouncement({ subtype: 'alive', bootId: 77 }),
    ssdpAnnouncement({ subtype: 'byebye' }),
    ssdpAnnouncement({ subtype: 'update', bootId: 78 })
  ]
}
const source = { pcp: 5351, 'nat-pmp': 5351, upnp: 1900 } as const

const unheard: unknown[] = []
const hear = (reason: unknown): unknown => unheard.push(reason)
beforeEach(() => {
  unheard.length = 0
  process.on('unhandledRejection', hear)
})
afterEach(() => {
  process.off('unhandledRejection', hear)
})

describe.each(strategyNames)('%s, with a mapping that is held', (name) => {
  it('a held mapping survives any two announcements, in either order, at any two moments', async () => {
    const kinds = announcements[name]
    let runs = 0
    for (const [first, second] of kinds.flatMap((one) => kinds.map((other) => [one, other] as const))) {
      for (let moment = 0, wasReached = true; wasReached; moment++) {
        for (const apart of [0, 1, 2]) {
          const ether = tapEther(name)
          const scene = openScene(name, ether.between)
          await map(scene)

          ether.plan(
            new Map([
              [moment, first],
              [moment + apart, second]
            ]),
            apart === 0 ? [first, second] : []
          )
          ether.send(first)
          await scene.clock.advance(5000)
          wasReached = ether.moments() > moment
          ether.plan(new Map(), [])
          await scene.clock.advance(15 * 60_000)

          const what = `${kinds.indexOf(first)} then ${kinds.indexOf(second)}, at moment ${moment} and ${apart} later`
          expect({ what, ...stateOf(scene) }).toEqual({ what, ...good })
          await scene.stop()
          expect({ what, ...stateOf(scene) }).toEqual({ what, ...stopped })
          runs++
        }
      }
    }
    expect(runs).toBeGreaterThan(2 * 3 * kinds.length ** 2)
  })
})

describe.each(strategyNames)('%s, while it searches', (name) => {
  it.each([...announcements[name].keys()])(
    'a search finds the router whenever announcement %i arrives',
    async (kind) => {
      const bytes = announcements[name][kind] ?? new Uint8Array()
      for (let moment = 0, wasReached = true; wasReached; moment++) {
        const ether = tapEther(name)
        ether.plan(new Map([[moment, bytes]]), [])
        const scene = openScene(name, ether.between)
        await map(scene)
        wasReached = ether.moments() > moment
        await scene.clock.advance(15 * 60_000)

        expect({ moment, ...stateOf(scene) }).toEqual({ moment, ...good })
        await scene.stop()
        expect({ moment, ...stateOf(scene) }).toEqual({ moment, ...stopped })
      }
    }
  )
})

const stateOf = (scene: Scene): object => ({
  unheard,
  strangeCodes: scene.strangeCodes(),
  addresses: scene.traversal.report().externalAddresses,
  hasRule: scene.hasRule(8080)
})
const good = { unheard: [], strangeCodes: [], addresses: ['/ip4/11.0.0.2/tcp/8080'], hasRule: true }
const stopped = { ...good, addresses: [], hasRule: false }

async function map({ traversal, clock }: Scene): Promise<void> {
  traversal.addEndpoint(endpoint(8080))
  await traversal.start()
  await clock.advance(5000)
}

interface Ether {
  readonly between: (host: MemoryHost) => MemoryHost
  /** Sends an announcement at each of these moments from now on, and the remaining ones together at the first. */
  plan(at: ReadonlyMap<number, Uint8Array>, together: readonly Uint8Array[]): void
  /** Returns how many moments have passed since then. */
  moments(): number
  /** Delivers the bytes to every socket of the group now. */
  send(bytes: Uint8Array): void
}

/** Counts the moments at which a strategy begins or ends an exchange, and sends for the router at them. */
function tapEther(name: StrategyName): Ether {
  const ears = new Set<(bytes: Uint8Array) => void>()
  let planned: ReadonlyMap<number, Uint8Array> = new Map()
  let first: readonly Uint8Array[] = []
  let passed = 0

  const send = (bytes: Uint8Array): void => {
    for (const ear of ears) ear(bytes)
  }
  function moment(): void {
    const bytes = planned.get(passed++)
    if (bytes === undefined) return
    for (const each of first.length > 0 ? first : [bytes]) send(each)
  }
  async function around<T>(work: () => Promise<T>): Promise<T> {
    moment()
    try {
      return await work()
    } finally {
      moment()
    }
  }
  return {
    send,
    moments: () => passed,
    plan(at, together) {
      planned = at
      first = together
      passed = 0
    },
    between: ({ openUdp, exchangeHttp }) => ({
      exchangeHttp: (exchange, call) => around(() => exchangeHttp(exchange, call)),
      openUdp: (options, call) =>
        around(async () => {
          const { multicast, onMessage } = options
          if (multicast !== undefined) {
            const ear = (bytes: Uint8Array): void => onMessage(bytes, { address: router, port: source[name] })
            ears.add(ear)
            call.signal.addEventListener('abort', () => ears.delete(ear), { once: true })
          }
          const socket = await openUdp(
            {
              ...options,
              onMessage(bytes, from) {
                onMessage(bytes, from)
                moment()
              }
            },
            call
          )
          return {
            ...socket,
            send(bytes, to) {
              socket.send(bytes, to)
              moment()
            }
          }
        })
    })
  }
}

interface AnnouncedState {
  readonly epoch?: number
  readonly result?: number
}

/** RFC 6887 §14.1.1: an ANNOUNCE response. */
function pcpAnnouncement({
  version = 2,
  result = 0,
  epoch = 0
}: AnnouncedState & { readonly version?: number }): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(24))
  bytes.setUint8(0, version)
  bytes.setUint8(1, 0x80)
  bytes.setUint8(3, result)
  bytes.setUint32(8, epoch)
  return new Uint8Array(bytes.buffer)
}

/** RFC 6886 §3.2.1: the answer about the external address, sent to all hosts. */
function natPmpAnnouncement(state: AnnouncedState & { readonly address?: readonly number[] }): Uint8Array {
  const { result = 0, epoch = 10_000, address = [11, 0, 0, 2] } = state
  const bytes = new DataView(new ArrayBuffer(12))
  bytes.setUint8(1, 128)
  bytes.setUint16(2, result)
  bytes.setUint32(4, epoch)
  for (const [index, byte] of address.entries()) bytes.setUint8(8 + index, byte)
  return new Uint8Array(bytes.buffer)
}

/** UDA 1.1 §1.2.2 to §1.2.4. */
function ssdpAnnouncement(state: {
  readonly subtype: string
  readonly location?: string
  readonly bootId?: number
}): Uint8Array {
  const target = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'
  const lines = [
    'NOTIFY * HTTP/1.1',
    'HOST: 239.255.255.250:1900',
    `NT: ${target}`,
    `NTS: ssdp:${state.subtype}`,
    ...(state.location === undefined ? [] : [`LOCATION: ${state.location}`]),
    ...(state.bootId === undefined ? [] : [`BOOTID.UPNP.ORG: ${state.bootId}`])
  ]
  return new TextEncoder().encode(`${lines.join('\r\n')}\r\n\r\n`)
}
