import { equal, match, ok } from 'node:assert/strict'
import { type Ability, isNatError, isNotice, isPrintable } from '@postern/interface'
import { told } from '../asking.js'
import type { DiscoveryRule } from '../rule.js'
import { targetOf } from '../target.js'

/** Rules for the construction of a strategy and for its findings. */
export const discoveryRules: readonly DiscoveryRule[] = [
  {
    id: 'construct-does-nothing',
    name: 'a strategy sends and opens nothing before discover is called',
    needs: ['requests'],
    async check(open) {
      const stage = await open()
      const { world } = stage
      await stage.create()
      await stage.pass(1000)
      equal(world.requests?.(), 0, 'requests were sent before discover was called')
      equal(world.openHandles?.() ?? 0, 0, 'a socket was opened before discover was called')
    }
  },
  {
    id: 'name-is-lower-case',
    name: 'the name of a strategy consists of lower-case letters, digits and hyphens',
    async check(open) {
      const { name } = await (await open()).create()
      match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/, `not a valid name: ${name}`)
    }
  },
  {
    id: 'discover-finds-the-declared-kind',
    name: 'discover finds only abilities of the declared kind',
    async check(open) {
      const stage = await open()
      const run = await stage.discover()
      await stage.findIn(run, () => true)
      const { kind } = run.discovery
      const others = abilitiesIn(run.findings).filter((each) => kind !== undefined && each.kind !== kind)
      equal(others.length, 0, `declares the kind ${kind} but finds a ${others[0]?.kind}`)
    }
  },
  {
    id: 'discover-changes-nothing',
    name: 'discover requests no change of mappings',
    needs: ['changes'],
    async check(open) {
      const stage = await open()
      await stage.findIn(await stage.discover(), () => true)
      await stage.pass(1000)
      equal(stage.world.changes?.(), 0, 'requests for changes during discover')
    }
  },
  {
    id: 'discover-finds-at-once',
    name: 'discover finds an ability within 5 s if its party answers immediately',
    async check(open) {
      const stage = await open()
      const found = await stage.findIn(await stage.discover(), () => true, 5000)
      ok(found !== undefined, 'no ability was found within 5 s')
    }
  },
  {
    id: 'discover-finds-once',
    name: 'discover finds an ability once while nothing changes',
    needs: ['virtualClock'],
    async check(open) {
      const stage = await open()
      const run = await stage.discover()
      await stage.findIn(run, () => true)
      await stage.pass(60_000)
      const keys = abilitiesIn(run.findings).map((each) => targetOf(each).key)
      const twice = keys.find((key, index) => keys.indexOf(key) !== index)
      equal(twice, undefined, `found more than once within a minute: ${twice}`)
    }
  },
  {
    id: 'discover-says-why-it-finds-nothing',
    name: 'discover reports silence within 10 s with a code of the registry, in a notice or a rejection',
    needs: ['silence', 'virtualClock'],
    async check(open) {
      const stage = await open()
      await stage.world.faults?.silence?.()
      const run = await stage.discover()
      const end = await stage.outcome(run.done)
      // A known party may be found without an answer.
      if (abilitiesIn(run.findings).length > 0) return
      const notices = run.findings.flatMap((each) => (isNotice(each) && each.what === 'absent' ? [each] : []))
      const reasons = [...notices.map(({ reason }) => reason), ...(end.state === 'rejected' ? [end.reason] : [])]
      ok(reasons.length > 0, 'neither a finding nor a reason was reported in 10 s of silence')
      for (const reason of reasons) ok(isNatError(reason), `not a NatError of the registry: ${told(reason)}`)
    }
  },
  {
    id: 'discover-rejects-with-nat-error',
    name: 'without a network, discover either does not reject or rejects with a code of the registry',
    async check(open) {
      const stage = await open()
      const { done } = await stage.discover({ network: { gateways: [], addresses: [] } })
      const end = await stage.outcome(done, stage.isVirtual ? 10_000 : 500)
      if (end.state === 'rejected') ok(isNatError(end.reason), `not a NatError of the registry: ${told(end.reason)}`)
    }
  },
  {
    id: 'discover-describes-a-router',
    name: 'a description is about a gateway of the network or the configured one, in printable texts of at most 64 units',
    async check(open) {
      const stage = await open()
      const run = await stage.discover()
      await stage.findIn(run, () => true)
      const { gateway: named } = run.discovery
      const routers = [...stage.world.network.gateways.map(({ address }) => address), ...(named ? [named] : [])]
      for (const each of run.findings) {
        if (!isNotice(each) || each.what !== 'described') continue
        const { manufacturer, model, name } = each.device
        const texts = [manufacturer, model, name].filter((text) => text !== null)
        ok(routers.includes(each.gateway.address), `${each.gateway.address} is not a gateway of this network`)
        ok(texts.length > 0, 'a description without any text')
        for (const text of texts) {
          const isFit = typeof text === 'string' && text !== '' && text.length <= 64 && isPrintable(text)
          ok(isFit, `not a printable text of 1 to 64 units: ${JSON.stringify(text)}`)
        }
      }
    }
  },
  {
    id: 'discover-works-again',
    name: 'discover finds an ability again when it is called again after an abort',
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
        // A slow strategy is slow here too; another test measures that.
        for (let waited = 0; found.length === 0 && waited < (stage.isVirtual ? 200 : 10); waited += 1)
          await stage.pass(stage.isVirtual ? 1000 : 100)
        ok(found.length > 0, `no ability was found at the ${time} discover`)
        end.abort()
        await stage.outcome(done, 1000)
      }
    }
  }
]

const abilitiesIn = (findings: readonly Parameters<typeof isNotice>[0][]): readonly Ability[] =>
  findings.filter((finding): finding is Ability => !isNotice(finding))
