// A home on a virtual clock: the whole ladder against one strict fake gateway, and the rules that must hold.
import { createTraversal, memoryStore } from '@postern/core'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import { createGateway, memoryNetwork, virtualClock } from '@postern/testkit'
import { upnp } from '@postern/upnp'
import { watchVerbs } from './verbs.mjs'

const router = '192.168.1.1'
const ours = '192.168.1.2'
export const onNetwork = {
  gateways: [{ address: router, interface: 'eth0', localAddress: ours }],
  addresses: [ours]
}
export const offNetwork = { gateways: [], addresses: [] }

/** The strategies of peers come after those of the router. Their failures are their own. */
export function openHome(random, peers = []) {
  const hostile = new Set(peers.map(({ name }) => name))
  const clock = virtualClock()
  const lossPercent = random.pick([0, 0, 5, 30])
  const link = memoryNetwork({ clock, random: random.next, delayMs: random.pick([0, 1, 20]), lossPercent })
  const gateway = createGateway({
    clock,
    random: random.next,
    externalAddress: '11.0.0.2',
    epochSeconds: 10_000,
    ...(random.chance(0.3) ? { maxMappings: 2 } : {})
  })
  const host = link.host(ours)
  const problems = new Set()
  const report = (text) => void problems.add(text)
  const verbs = watchVerbs(clock, report)
  const strategies = [pcp({ openUdp: host.openUdp }), natPmp({ openUdp: host.openUdp }), upnp(host)].map(verbs.watch)
  const log = { debug: () => undefined, info: () => undefined }
  const traversal = createTraversal({
    strategies: [...strategies, ...peers.map(({ make }) => make(clock))],
    host: { clock, random: random.next, log },
    store: memoryStore()
  })
  for (const name of ['failed', 'lost', 'refuted'])
    traversal.addEventListener(name, ({ detail }) => {
      for (const { strategy, code, message } of detail.reasons ?? [])
        if (code === 'STRATEGY_FAULT' && !hostile.has(strategy)) report(`${strategy}: STRATEGY_FAULT: ${message}`)
    })

  const ports = new Set()
  const addresses = new Set()
  function note() {
    addresses.add(gateway.externalAddress)
    for (const { protocol, externalAddress, externalPort } of gateway.mappings) {
      addresses.add(externalAddress)
      ports.add(`${protocol}/${externalPort}`)
    }
  }
  /** The router may have another address since it granted a port, but the port must be the granted one. */
  function checkAnnounced() {
    for (const text of traversal.report().externalAddresses) {
      const [, , address, protocol, port] = text.split('/')
      if (text.includes('/p2p-circuit')) continue
      if (!addresses.has(address) || !ports.has(`${protocol}/${port}`))
        report(`announces ${text}, which no router granted`)
    }
  }

  /** The breaches by a client that the router recorded. The router measures times at its own side: an answer may not
   * have arrived, may have crossed a retransmission, or may be from before the network went and came back. A client
   * that asks again then is not too early. */
  function checkViolations() {
    const now = clock.monotonicMs()
    if (gateway.faults.length > 0) troubledMs = now
    for (const text of gateway.violations.slice(violations)) {
      const isTiming = /§11\.2\.1|§3\.1/.test(text)
      if (!isTiming || (lossPercent === 0 && now - troubledMs > 10_000)) report(text)
    }
    violations = gateway.violations.length
  }

  let violations = 0
  let troubledMs = Number.NEGATIVE_INFINITY
  let detach = link.attach(gateway, router)
  return {
    clock,
    gateway,
    traversal,
    report,
    isLossy: lossPercent > 0,
    problems: () => [...problems],
    setNetwork(network) {
      troubledMs = clock.monotonicMs()
      traversal.setNetwork(network)
    },
    unplug() {
      troubledMs = clock.monotonicMs()
      detach()
    },
    plug() {
      troubledMs = clock.monotonicMs()
      detach = link.attach(gateway, router)
    },
    async advance(ms) {
      for (let left = ms; left > 0; left -= 250) {
        await clock.advance(Math.min(left, 250))
        note()
        checkViolations()
      }
      checkAnnounced()
    },
    async start() {
      traversal.setNetwork(onNetwork)
      traversal.addEndpoint({ protocol: 'tcp', family: 4, address: '0.0.0.0', port: 8080 })
      if (random.chance(0.6)) traversal.addEndpoint({ protocol: 'udp', family: 4, address: '0.0.0.0', port: 4001 })
      await traversal.start()
    },
    /** All faults are over: within two hours there is an address again, and a stop leaves nothing behind. */
    async end({ isCalm = random.chance(0.6) } = {}) {
      gateway.clearFaults()
      if (isCalm) {
        await this.advance(110 * 60_000)
        const { externalAddresses, strategies: lines } = traversal.report()
        const states = lines.map(({ name, state, reason }) => `${name} ${state} ${reason?.code ?? ''}`)
        if (externalAddresses.length === 0) report(`no address 110 minutes after the last fault: ${states.join(', ')}`)
      }
      let isOver = false
      const stopped = traversal.stop().then(() => {
        isOver = true
      })
      let tookMs = 0
      for (; !isOver && tookMs < 60_000; tookMs += 100) await clock.advance(100)
      await stopped
      // The router now answers what it had not answered yet.
      await clock.advance(10_000)
      // The stop may take three times as long as the slowest request of a slow router, 10 s at most; then 1 s to end.
      if (tookMs > Math.max(3000, Math.min(11_000, 3 * verbs.slowestMs() + 1000))) report(`stop() took ${tookMs} ms`)
      if (link.openSockets > 0) report(`${link.openSockets} sockets are left open`)
      if (clock.pending > 0 && peers.length === 0) report(`${clock.pending} timers are left`)
      // A deletion may be lost, and a router that was just broken may not have been reached.
      if (isCalm && lossPercent === 0)
        for (const { via, protocol, externalPort } of gateway.mappings)
          report(`left in the gateway: ${protocol}/${externalPort} by ${via}`)
      checkViolations()
    }
  }
}
