import { equal, match, ok } from 'node:assert/strict'
import { type Ability, isNatError, isNotice } from '@postern/interface'
import { told } from '../asking.js'
import type { DiscoveryRule } from '../rule.js'
import { targetOf } from '../target.js'

/** What a strategy does until it has found something. */
export const discoveryRules: readonly DiscoveryRule[] = [
  {
    id: 'construct-does-nothing',
    name: 'nothing is sent or opened before discover is called',
    needs: ['requests'],
    async check(open) {
      const stage = await open()
      const { world } = stage
      await stage.create()
      await stage.pass(1000)
      equal(world.requests?.(), 0, 'requests were sent before discover was called')
      equal(world.openHandles?.() ?? 0, 0, 'something was opened before discover was called')
    }
  },
  {
    id: 'name-is-lower-case',
    name: 'the name is one that can be typed: lower case, digits and hyphens',
    async check(open) {
      const { name } = await (await open()).create()
      match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/, `a name that cannot be typed: ${name}`)
    }
  },
  {
    id: 'discover-finds-the-declared-kind',
    name: 'only what it says it looks for is found',
    async check(open) {
      const stage = await open()
      const run = await stage.discover()
      await stage.findIn(run, () => true)
      const { kind } = run.discovery
      const others = abilitiesIn(run.findings).filter((each) => kind !== undefined && each.kind !== kind)
      equal(others.length, 0, `looks for a ${kind} and finds a ${others[0]?.kind}`)
    }
  },
  {
    id: 'discover-changes-nothing',
    name: 'discovering asks for no change outside',
    needs: ['changes'],
    async check(open) {
      const stage = await open()
      await stage.findIn(await stage.discover(), () => true)
      await stage.pass(1000)
      equal(stage.world.changes?.(), 0, 'discovering asked for changes')
    }
  },
  {
    id: 'discover-finds-at-once',
    name: 'what answers at once is found within 5 s',
    async check(open) {
      const stage = await open()
      const found = await stage.findIn(await stage.discover(), () => true, 5000)
      ok(found !== undefined, 'nothing was found within 5 s')
    }
  },
  {
    id: 'discover-finds-once',
    name: 'an ability is found once while nothing changes',
    needs: ['virtualClock'],
    async check(open) {
      const stage = await open()
      const run = await stage.discover()
      await stage.findIn(run, () => true)
      await stage.pass(60_000)
      const keys = abilitiesIn(run.findings).map((each) => targetOf(each).key)
      const twice = keys.find((key, index) => keys.indexOf(key) !== index)
      equal(twice, undefined, `found more than once in a minute: ${twice}`)
    }
  },
  {
    id: 'discover-says-why-it-finds-nothing',
    name: 'silence is reported within 10 s as a notice, or as the end, with a code of the registry',
    needs: ['silence', 'virtualClock'],
    async check(open) {
      const stage = await open()
      await stage.world.faults?.silence?.()
      const run = await stage.discover()
      const end = await stage.outcome(run.done)
      // A party that is known needs no answer to be found.
      if (abilitiesIn(run.findings).length > 0) return
      const notices = run.findings.flatMap((each) => (isNotice(each) && each.what === 'absent' ? [each] : []))
      const reasons = [...notices.map(({ reason }) => reason), ...(end.state === 'rejected' ? [end.reason] : [])]
      ok(reasons.length > 0, 'nothing was found in 10 s of silence, and nothing was said')
      for (const reason of reasons) ok(isNatError(reason), `not a NatError of the registry: ${told(reason)}`)
    }
  },
  {
    id: 'discover-rejects-with-nat-error',
    name: 'where there is no network, discover rejects with a code of the registry, if it rejects',
    async check(open) {
      const stage = await open()
      const { done } = await stage.discover({ network: { gateways: [], addresses: [] } })
      const end = await stage.outcome(done, stage.isVirtual ? 10_000 : 500)
      if (end.state === 'rejected') ok(isNatError(end.reason), `not a NatError of the registry: ${told(end.reason)}`)
    }
  },
  {
    id: 'discover-works-again',
    name: 'what was stopped finds the same when it is started again',
    async check(open) {
      const stage = await open()
      const discovery = await stage.create()
      for (const time of ['first', 'second']) {
        const found: Ability[] = []
        const end = new AbortController()
        const take = (finding: Parameters<Parameters<typeof discovery.discover>[1]>[0]): void => {
          if (!isNotice(finding)) found.push(finding)
        }
        const done = discovery.discover(stage.world.network, take, { signal: end.signal })
        done.catch(() => undefined)
        // Whoever is slow is slow here too, which is the subject of another test.
        for (let waited = 0; found.length === 0 && waited < (stage.isVirtual ? 200 : 10); waited += 1)
          await stage.pass(stage.isVirtual ? 1000 : 100)
        ok(found.length > 0, `found nothing when discovering for the ${time} time`)
        end.abort()
        await stage.outcome(done, 1000)
      }
    }
  }
]

const abilitiesIn = (findings: readonly Parameters<typeof isNotice>[0][]): readonly Ability[] =>
  findings.filter((finding): finding is Ability => !isNotice(finding))
