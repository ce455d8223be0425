import { type Gateway, natError, type Strategy } from '@postern/interface'
import { expect, it } from 'vitest'
import { begin, end, home, router, type Stage, scripted, stage } from '../support.js'

const taken = natError('PORT_TAKEN', 'another program listens on UDP port 1900')

/** Wraps a mapper so that its announcements cannot be received, on one socket per family. */
const deaf =
  (strategy: Strategy, gateway: Gateway): Strategy =>
  (host) => {
    const discovery = strategy(host)
    return {
      ...discovery,
      async discover(network, found, call) {
        for (let time = 0; time < 2; time++) found({ kind: 'notice', what: 'unheard', gateway, reason: taken })
        await discovery.discover(network, found, call)
      }
    }
  }

async function lineOf(here: Stage): Promise<unknown> {
  here.traversal.addEndpoint({ protocol: 'tcp', family: 4, address: '0.0.0.0', port: 8080 })
  here.traversal.setNetwork(home)
  await begin(here)
  const [line] = here.traversal.report().strategies
  await end(here)
  return line
}

it('the report line of a strategy that maps shows that its announcements cannot be received', async () => {
  const here = stage((trace, clock) => [deaf(scripted('upnp', trace, clock).strategy, router)])
  expect(await lineOf(here)).toMatchObject({ state: 'active', reason: { code: 'PORT_TAKEN', message: taken.message } })
  expect(here.told()).toEqual(['mapped upnp 11.0.0.2:8080', 'released upnp 11.0.0.2:8080'])
})

it('the report line shows a failed request rather than announcements that cannot be received', async () => {
  const grant = (): never => {
    throw natError('NOT_AUTHORIZED', 'no')
  }
  const here = stage((trace, clock) => [deaf(scripted('upnp', trace, clock, { grant }).strategy, router)])
  expect(await lineOf(here)).toMatchObject({ state: 'failed', reason: { code: 'NOT_AUTHORIZED' } })
})
