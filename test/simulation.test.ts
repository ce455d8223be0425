import { createTraversal } from '@postern/core'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { createGateway, memoryNetwork, type VirtualClock, virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'

const hosts = 1000
const days = 30
const second = 1000
const hour = 3600 * second
const day = 24 * hour
/** Each router reboots so often, on average. */
const rebootEveryMs = 10 * day

/**
 * How long a mapping may be gone after its router was rebooted.
 *
 * Heard: the triggers coalesce (0.5 s), the RFCs want a wait of up to 5 s, and with every tenth datagram lost a request
 * may need its retransmissions and, seldom, another attempt 5 s later.
 * Not heard, because the announcement was lost: nothing tells before the next renewal, at most 5/8 of the 2 h later.
 */
const heardMs = 20 * second
const unheardMs = (5 / 8) * 2 * hour + 60 * second

/** A sequence that is the same each time. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
}

interface Home {
  /** How long the mapping was gone, each time after a reboot, in ms. */
  readonly gaps: readonly number[]
  /** Leases that lapsed although the router was up. */
  readonly lapsed: () => number
  readonly renewals: () => number
  readonly hasMapping: () => boolean
}

/** One host behind its own router, on a link that loses every tenth datagram. */
async function openHome(clock: VirtualClock, index: number): Promise<Home> {
  const random = seeded(index + 1)
  const link = memoryNetwork({ clock, random, lossPercent: 10 })
  const gateway = createGateway({ clock, random, externalAddress: '11.0.0.2', epochSeconds: 3600 })
  link.attach(gateway, '192.168.1.1')
  const { openUdp } = link.host('192.168.1.2')
  const traversal = createTraversal({
    strategies: [index % 2 === 0 ? pcp({ openUdp }) : natPmp({ openUdp })],
    host: { clock, random, log: { debug: () => undefined, info: () => undefined } },
    // Polls find what announcements do not tell. Without them the renewals are on their own, which is what is tested.
    policy: { pollMs: 2 * hour }
  })
  const gaps: number[] = []
  let lapsed = 0
  let renewals = 0
  let goneSinceMs: number | undefined
  const isBack = (): void => {
    if (goneSinceMs !== undefined) gaps.push(clock.monotonicMs() - goneSinceMs)
    goneSinceMs = undefined
  }
  traversal.addEventListener('mapped', isBack)
  traversal.addEventListener('renewed', () => {
    renewals += 1
    isBack()
  })
  traversal.addEventListener('lost', () => {
    if (goneSinceMs === undefined) lapsed += 1
  })
  traversal.networkIs({
    gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }],
    addresses: ['192.168.1.2']
  })
  traversal.want({ protocol: 'tcp', family: 4, address: '0.0.0.0', port: 8080 })
  await traversal.start()

  const never = { signal: new AbortController().signal }
  const rebootNowAndThen = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(day / 2 + random() * (2 * rebootEveryMs - day), never)
      gateway.reboot()
      goneSinceMs ??= clock.monotonicMs()
      gateway.announce()
    }
  }
  void rebootNowAndThen()
  return {
    gaps,
    lapsed: () => lapsed,
    renewals: () => renewals,
    hasMapping: () => goneSinceMs !== undefined || gateway.mappings.length === 1
  }
}

describe('a month in a thousand homes', () => {
  it('leaves no gap that the protocols do not force', { timeout: 400_000 }, async () => {
    const clock = virtualClock()
    const homes = await Promise.all(Array.from({ length: hosts }, (_, index) => openHome(clock, index)))
    for (let passed = 0; passed < days; passed++) {
      await clock.advance(day)
      expect(homes.filter(({ hasMapping }) => !hasMapping()).length).toBe(0)
    }
    const gaps = homes.flatMap((home) => home.gaps).toSorted((a, b) => a - b)
    const renewals = homes.reduce((sum, home) => sum + home.renewals(), 0)
    expect(homes.reduce((sum, home) => sum + home.lapsed(), 0)).toBe(0)
    // A renewal comes after 5/8 of the lifetime at the latest.
    expect(renewals).toBeGreaterThan((hosts * days * day) / ((5 / 8) * 2 * hour) - hosts)
    expect(gaps.length).toBeGreaterThan(hosts)
    expect(gaps.at(-1)).toBeLessThan(unheardMs)
    // Announcements are sent in both protocols, and each is lost once in ten times.
    const heard = gaps.filter((gap) => gap < heardMs).length
    expect(heard / gaps.length).toBeGreaterThan(0.85)
  })
})
