import { equal, fail, ok } from 'node:assert/strict'
import { type Forwarder, type ForwardLease, isNatError, type Lease, untilAborted } from '@postern/interface'
import { addressesOf, call, forwardRequestFor, told, type Wish } from '../asking.js'
import type { AbilityRule } from '../rule.js'
import type { Stage } from '../stage.js'
import type { Target } from '../target.js'

const abilities = ['forwarder'] as const
/** The limit for `forward`, in milliseconds: a trial of the port can take some seconds. */
const forwardMs = 30_000

/** Rules for forwarders: where a port leads, and when it is lost. Their leases are tested with those of mappers. */
export const forwardRules: readonly AbilityRule[] = [
  {
    id: 'forwarder-declares-protocols',
    name: 'a forwarder declares at least one protocol, each once',
    abilities,
    async check(open, target) {
      const { protocols } = await forwarderOf(await open(), target)
      ok(protocols.length > 0, 'no protocol is declared')
      equal(new Set(protocols).size, protocols.length, `a protocol is declared twice: ${protocols.join()}`)
      for (const each of protocols) ok(each === 'tcp' || each === 'udp', `not a protocol: ${each}`)
    }
  },
  {
    id: 'forward-refuses-other-protocols',
    name: 'forward refuses a protocol that the forwarder does not declare',
    abilities,
    exempt: ({ protocols }) =>
      protocols.includes('tcp') && protocols.includes('udp') ? 'the forwarder declares both protocols' : undefined,
    async check(open, target) {
      const stage = await open()
      const forwarder = await forwarderOf(stage, target)
      const protocol = forwarder.protocols.includes('tcp') ? 'udp' : 'tcp'
      const request = forwardRequestFor(stage)
      const endpoint = { ...request.endpoint, protocol } as const
      const outcome = await stage.outcome(forwarder.forward({ ...request, endpoint }, call()), forwardMs)
      equal(outcome.state, 'rejected', `a forward of ${protocol}, which is not declared`)
      if (outcome.state === 'rejected')
        ok(isNatError(outcome.reason), `not a NatError of the registry: ${told(outcome.reason)}`)
    }
  },
  {
    id: 'forward-carries-both-ways',
    name: 'what a client outside sends arrives at the endpoint, and the answer comes back',
    abilities,
    needs: ['endpoint', 'exchange'],
    async check(open, target) {
      const stage = await open()
      const lease = await forwarded(stage, target)
      equal(await answerFrom(stage, lease), expected(stage), 'the answer to a client outside')
    }
  },
  {
    id: 'forward-tells-of-connections',
    name: 'the host hears of each carried connection, with the address of the client if the forwarder tells it',
    abilities,
    needs: ['endpoint', 'exchange'],
    async check(open, target) {
      const stage = await open()
      const { tellsClients, party } = await forwarderOf(stage, target)
      await answerFrom(stage, await forwarded(stage, target))
      const [connection, ...others] = stage.carried
      if (connection === undefined) return fail('the host did not hear of the connection')
      equal(others.length, 0, 'the host heard of other connections than that of the client')
      equal(connection.client !== null, tellsClients, 'whether the host heard the address of the client')
      equal(connection.party.id, party.id, 'the forwarder of the connection')
    }
  },
  {
    id: 'forward-serves-two-endpoints',
    name: 'the ports of two endpoints lead to their own endpoint, also after one was released',
    abilities,
    needs: ['endpoint', 'otherEndpoint', 'exchange'],
    async check(open, target) {
      const stage = await open()
      const lease = await forwarded(stage, target)
      // A forwarder that carries nothing fails another test.
      if ((await answerFrom(stage, lease)) !== expected(stage)) return
      const other = await forwarded(stage, target, { port: 9090 })
      equal(
        await answerFrom(stage, other),
        expected(stage, { port: 9090 }),
        'the answer at the port of the other endpoint'
      )
      equal(await answerFrom(stage, lease), expected(stage), 'the answer at the port of the first endpoint')
      await stage.outcome(other.release(call()))
      equal(await answerFrom(stage, lease), expected(stage), 'the answer after the release of the other port')
    }
  },
  {
    id: 'forward-tries-the-port-out',
    name: 'forward rejects with a code of the registry if the port does not lead here',
    abilities,
    needs: ['endpoint', 'misdirect'],
    async check(open, target) {
      const stage = await open()
      await stage.world.faults?.misdirect?.()
      const outcome = await stage.outcome(forwarding(await forwarderOf(stage, target), stage), forwardMs)
      equal(outcome.state, 'rejected', 'a forward to a port that does not lead here')
      if (outcome.state === 'rejected')
        ok(isNatError(outcome.reason), `not a NatError of the registry: ${told(outcome.reason)}`)
    }
  },
  {
    id: 'failed-forward-leaves-nothing',
    name: 'a forward leaves nothing open after 2 s if it was aborted or its port does not lead here',
    abilities,
    needs: ['endpoint', 'openHandles', 'silence'],
    async check(open, target) {
      for (const fault of ['silence', 'misdirect'] as const) {
        const stage = await open()
        const forwarder = await forwarderOf(stage, target)
        const before = stage.world.openHandles?.()
        await stage.world.faults?.[fault]?.()
        const controller = new AbortController()
        const pending = forwarding(forwarder, stage, controller.signal)
        pending.catch(() => undefined)
        if (fault === 'silence') await stage.pass(100)
        if (fault === 'silence') controller.abort(new Error('the test has had enough'))
        const { state } = await stage.outcome(pending, forwardMs)
        // A session that endpoints share may stay open for a moment.
        for (let looks = 0; looks < 20 && stage.world.openHandles?.() !== before; looks += 1) await stage.pass(100)
        // A forwarder that grants such a port fails another test.
        if (state === 'rejected') equal(stage.world.openHandles?.(), before, `the open handles: ${fault}`)
      }
    }
  },
  {
    id: 'release-ends-the-forward',
    name: 'after the release, what a client outside sends does not arrive',
    abilities,
    needs: ['endpoint', 'exchange'],
    async check(open, target) {
      const stage = await open()
      const lease = await forwarded(stage, target)
      await stage.outcome(lease.release(call()))
      ok((await answerFrom(stage, lease)) !== expected(stage), 'the endpoint answered through a port that was released')
    }
  },
  {
    id: 'ended-tells-of-a-loss',
    name: 'ended aborts with a code of the registry when the forwarder ends the connection',
    abilities,
    needs: ['endpoint', 'cut'],
    async check(open, target) {
      const stage = await open()
      const lease = await forwarded(stage, target)
      ok(!lease.ended.aborted, 'the lease has ended although nothing was lost')
      await lost(stage, lease)
      ok(lease.ended.aborted, 'the lease has not ended 30 s after the connection')
      ok(isNatError(lease.ended.reason), `not a NatError of the registry: ${told(lease.ended.reason)}`)
    }
  },
  {
    id: 'ended-is-not-for-releases',
    name: 'ended does not abort because of a release',
    abilities,
    async check(open, target) {
      const stage = await open()
      const lease = await forwarded(stage, target)
      await stage.outcome(lease.release(call()))
      await stage.pass(60_000)
      ok(!lease.ended.aborted, `the lease has ended: ${told(lease.ended.reason)}`)
    }
  },
  {
    id: 'renew-fails-after-a-loss',
    name: 'renew of a lease that has ended rejects with a code of the registry',
    abilities,
    needs: ['endpoint', 'cut'],
    async check(open, target) {
      const stage = await open()
      const lease = await forwarded(stage, target)
      await lost(stage, lease)
      const outcome = await stage.outcome(lease.renew(call()), forwardMs)
      equal(outcome.state, 'rejected', 'the renewal of a lease that has ended')
      if (outcome.state === 'rejected')
        ok(isNatError(outcome.reason), `not a NatError of the registry: ${told(outcome.reason)}`)
    }
  }
]

async function forwarderOf(stage: Stage, target: Target): Promise<Forwarder> {
  const ability = await stage.ability(target)
  return ability.kind === 'forwarder' ? ability : fail(`${target.label} is no longer a forwarder`)
}

const forwarding = (forwarder: Forwarder, stage: Stage, signal = call().signal): Promise<ForwardLease> =>
  forwarder.forward(forwardRequestFor(stage), { signal })

/** Takes a port. Fails the test if that is refused. */
async function forwarded(stage: Stage, target: Target, wish: Wish = {}): Promise<ForwardLease> {
  const forwarder = await forwarderOf(stage, target)
  const outcome = await stage.outcome(forwarder.forward(forwardRequestFor(stage, wish), call()), forwardMs)
  if (outcome.state === 'fulfilled') return outcome.value
  return fail(outcome.state === 'pending' ? 'no port was lent' : `no port was lent: ${told(outcome.reason)}`)
}

/** Ends the connections of the forwarder, and waits until the lease notices, for at most 30 s. */
async function lost(stage: Stage, { ended }: ForwardLease): Promise<void> {
  await stage.world.faults?.cut?.()
  await stage.outcome(untilAborted(ended), 30_000)
}

const greeting = 'hello'

/** Resolves with the answer that a client outside gets; undefined if there is none. */
async function answerFrom(stage: Stage, lease: Lease): Promise<string | undefined> {
  const [external] = addressesOf(lease)
  const answer = external === undefined ? undefined : stage.world.exchange?.(external, greeting)
  const outcome = await stage.outcome(answer ?? Promise.resolve(undefined))
  return outcome.state === 'fulfilled' ? outcome.value : undefined
}

/** Returns the answer of the application at the endpoint of a request. */
const expected = (stage: Stage, wish: Wish = {}): string =>
  `${forwardRequestFor(stage, wish).endpoint.port} ${greeting}`
