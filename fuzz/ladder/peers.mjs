import { natError } from '@postern/interface'

const never = new AbortController()
const unknownCodes = ['NOT_A_CODE', '', undefined]

/** Hostile witnesses and relays: they lie, hang, grant nonsense, throw values that are not errors, and come and go. */
export function randomPeers(random) {
  const problems = new Set()
  let isCalm = false
  let leases = 0

  /** What a hostile peer may do in place of any answer. */
  async function misbehave(clock, { signal }) {
    const mood = isCalm ? 0 : random.below(8)
    if (mood === 1) await clock.sleep(1e9, { signal })
    if (mood === 2) await clock.sleep(random.below(20_000), never)
    if (mood === 3)
      throw natError('NO_REPLY', 'nothing came', { retryAfterMs: random.pick([0, 1, 1e12, -5, Number.NaN]) })
    if (mood === 4) throw Object.assign(new Error('\u001b[2Jx'), { code: random.pick(unknownCodes) })
    if (mood === 5) throw random.pick([undefined, null, 'text', 7])
    signal.throwIfAborted()
  }

  const evidence = () =>
    random.pick([
      { outcome: 'reachable' },
      { outcome: 'unreachable' },
      { outcome: 'inconclusive', reason: natError('NO_REPLY', 'x'.repeat(5000)) },
      ...(isCalm ? [] : [{ outcome: 'maybe' }, {}, undefined, null])
    ])

  const addressesOf = (id) =>
    random.pick([
      [`/ip4/11.9.9.9/tcp/4001/p2p/${id}/p2p-circuit`],
      ...(isCalm ? [] : [[], Array.from({ length: 300 }, (_, n) => `/ip4/11.1.1.1/tcp/${n + 1}/p2p/${id}/p2p-circuit`)])
    ])

  function leaseOf(clock, id) {
    leases++
    let isReleased = false
    const lifetimeMs = isCalm
      ? 3_600_000
      : random.pick([0, 1, 1000, 3_600_000, Number.NaN, -1, Number.POSITIVE_INFINITY])
    return {
      addresses: addressesOf(id),
      lifetimeMs,
      async renew(call) {
        if (isReleased) problems.add('a lease of a relay was renewed after its release')
        await misbehave(clock, call)
        return leaseOf(clock, id)
      },
      async release(call) {
        isReleased = true
        await misbehave(clock, call)
      }
    }
  }

  const party = (id) => ({
    id,
    network: `11.${random.below(250)}.0.0/16`,
    rttMs: random.pick([1, undefined, Number.NaN])
  })

  const strategy = (name, kind, makeAbility) => ({
    name,
    make: (clock) => () => ({
      name,
      kind,
      async discover(_network, found, call) {
        for (let round = 0; !call.signal.aborted; round++) {
          const ability = makeAbility(clock, `${name}-${random.below(6)}`)
          found(ability)
          if (!isCalm && random.chance(0.4))
            found({ kind: 'notice', what: random.pick(['gone', 'restarted', 'address-changed']), about: ability })
          if (!isCalm && random.chance(0.05))
            throw random.pick([new Error('a fault of its own'), natError('NO_REPLY', 'lost')])
          await clock.sleep(random.pick([100, 5000, 60_000]), call).catch(() => undefined)
        }
      }
    })
  })

  return {
    strategies: [
      strategy('witnesses', 'witness', (clock, id) => ({
        kind: 'witness',
        party: party(id),
        async verify(_address, call) {
          await misbehave(clock, call)
          return evidence()
        }
      })),
      strategy('relays', 'relay', (clock, id) => ({
        kind: 'relay',
        party: party(id),
        async reserve(call) {
          await misbehave(clock, call)
          return leaseOf(clock, id)
        }
      }))
    ],
    /** From now on they behave correctly. */
    calm() {
      isCalm = true
    },
    leases: () => leases,
    problems: () => [...problems]
  }
}
