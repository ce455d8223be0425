import type { StrategyReport } from '@postern/core'
import { expect, it } from 'vitest'
import { activityOf } from '../../src/shared/activity.js'

const gateway = { address: '192.168.1.1', interface: 'eth0', description: null }
const found = { kind: 'mapper', rank: 0, state: 'available', tookMs: 9, reason: null } as const
const searching = (name: string, kind: StrategyReport['kind'] = 'mapper'): StrategyReport => ({
  ...found,
  name,
  kind,
  tookMs: null
})
const asked = (name: string, kind: StrategyReport['kind'] = 'mapper'): StrategyReport => ({
  ...found,
  name,
  kind,
  waitingFor: 'grant'
})

it.each([
  [
    [searching('pcp'), searching('nat-pmp'), searching('upnp')],
    'Asking the router 192.168.1.1 over PCP, NAT-PMP and UPnP'
  ],
  [[searching('upnp', null)], 'Asking the router 192.168.1.1 over UPnP'],
  [[{ ...found, name: 'upnp', waitingFor: 'search' }], 'Asking the router 192.168.1.1 over UPnP'],
  // A request for a mapping says more than a search that goes on beside it.
  [[asked('pcp'), searching('upnp')], 'Waiting for the router to map the port over PCP'],
  [[asked('ssh', 'forwarder')], 'Waiting for a port of another host over ssh'],
  [[{ ...found, name: 'pcp' }, searching('stun', 'observer')], 'Asking the STUN servers'],
  [[searching('witness', 'witness')], 'Asking the witnesses'],
  [[searching('relay', null)], 'Searching for relay'],
  [[{ ...found, name: 'pcp' }], undefined],
  [[], undefined]
] as const)('of %j the line says: %s', (strategies, text) => {
  const activity = activityOf({ strategies, gateway })
  expect(activity && [activity.doing, activity.about].filter((each) => each !== undefined).join(' ')).toBe(text)
})

it('without a default route no router is named', () => {
  expect(activityOf({ strategies: [searching('pcp')], gateway: null })?.doing).toBe('Asking a router')
})
