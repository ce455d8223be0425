import { deepEqual, equal, fail, ok } from 'node:assert/strict'
import { isNatError } from '@postern/interface'
import { call, leaseFrom, mapped, mapperOf, mappingsOf, otherKey, requestFor, told } from '../asking.js'
import type { AbilityRule } from '../rule.js'
import type { Outcome, Stage } from '../stage.js'
import type { OutsideMapping } from '../subject.js'
import type { Target } from '../target.js'

const abilities = ['mapper'] as const
/** The reason to exempt IPv6: a pinhole opens the port of the host, so there is no shared external port. */
const exempt = ({ family }: Target): string | undefined =>
  family === 6 ? 'an IPv6 pinhole has no external port of its own' : undefined

/** Rules for ports that other hosts or processes also use. */
export const neighbourRules: readonly AbilityRule[] = [
  {
    id: 'map-honours-the-suggested-port',
    name: 'map grants the suggested external port if it is free, or the internal one if it changes no ports',
    abilities,
    needs: ['mappings'],
    exempt,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const request = requestFor(stage, mapper, { suggestedExternalPort: 9234 })
      const outcome = await stage.outcome(mapper.map(request, call()))
      const granted = mappingsOf(stage, request).map(({ externalPort }) => externalPort)
      const { port } = request.endpoint
      if (!isSamePortRequired(outcome) && !granted.includes(port)) {
        if (outcome.state !== 'fulfilled') fail(`the suggested port was not granted: ${inState(outcome)}`)
        for (const externalPort of granted) equal(externalPort, 9234, 'the external port')
        return
      }
      // A 1:1 NAT or a firewall: the external port of every endpoint is its internal port.
      const other = requestFor(stage, mapper, { port: 9090, key: otherKey })
      await leaseFrom(stage, mapper.map(other, call()))
      for (const { externalPort } of mappingsOf(stage, other)) equal(externalPort, 9090, 'the external port')
    }
  },
  {
    id: 'map-leaves-others-alone',
    name: 'map leaves the port of another host alone and grants another port, or none',
    abilities,
    needs: ['mappings', 'occupy'],
    exempt,
    async check(open, target) {
      const stage = await open()
      const mapper = await mapperOf(stage, target)
      const request = requestFor(stage, mapper)
      await stage.world.faults?.occupy?.(request.endpoint.protocol, request.suggestedExternalPort)
      const before = ends(stage)
      const outcome = await stage.outcome(mapper.map(request, call()))
      if (outcome.state === 'rejected') typed(outcome.reason)
      deepEqual(
        ends(stage).filter((each) => before.includes(each)),
        before,
        'the mapping of another host was changed'
      )
    }
  },
  {
    id: 'map-leaves-other-processes-alone',
    name: 'map leaves the port of another process alone and grants another port, or none',
    abilities,
    needs: ['mappings'],
    exempt,
    async check(open, target) {
      const stage = await open()
      const { request } = await mapped(stage, target)
      const before = mappingsOf(stage, request).map(inWords)
      const mapper = await mapperOf(stage, target)
      const { suggestedExternalPort } = request
      const theirs = requestFor(stage, mapper, { port: 9090, suggestedExternalPort, key: otherKey })
      const outcome = await stage.outcome(mapper.map(theirs, call()))
      if (outcome.state === 'rejected') typed(outcome.reason)
      deepEqual(mappingsOf(stage, request).map(inWords), before, 'the mapping of the first process was changed')
    }
  },
  {
    id: 'release-removes-nothing-else',
    name: 'release leaves the mappings of other leases and of other hosts',
    abilities,
    needs: ['mappings'],
    async check(open, target) {
      const stage = await open()
      const { lease, mapper, request } = await mapped(stage, target)
      if (request.endpoint.family === 4) await stage.world.faults?.occupy?.(request.endpoint.protocol, 7070)
      const other = requestFor(stage, mapper, { port: 9090 })
      await leaseFrom(stage, mapper.map(other, call()))
      const before = ends(stage).filter((each) => !mappingsOf(stage, request).map(inWords).includes(each))
      await stage.outcome(lease.release(call()))
      const missing = before.filter((each) => !ends(stage).includes(each))
      deepEqual(missing, [], 'the mappings that the release of one lease also removed')
    }
  }
]

function typed(reason: unknown): void {
  if (!(reason instanceof Error)) fail(`rejected with a value that is not an error: ${String(reason)}`)
  // Another test requires a code; this one only excludes a TypeError, since the request is valid.
  ok(
    isNatError(reason) || !(reason instanceof TypeError),
    `the request is valid but was rejected as wrong use: ${told(reason)}`
  )
}

const ends = (stage: Stage): readonly string[] => (stage.world.mappings?.() ?? []).map(inWords)

const inWords = ({ protocol, externalPort, internalAddress, internalPort }: OutsideMapping): string =>
  `${protocol} ${externalPort} to ${internalAddress} port ${internalPort}`

/** Returns whether the refusal says that only the same external port is possible. */
const isSamePortRequired = (outcome: Outcome<unknown>): boolean =>
  outcome.state === 'rejected' && isNatError(outcome.reason) && outcome.reason.code === 'SAME_PORT_REQUIRED'

const inState = (outcome: Outcome<unknown>): string =>
  outcome.state === 'rejected' ? told(outcome.reason) : outcome.state
