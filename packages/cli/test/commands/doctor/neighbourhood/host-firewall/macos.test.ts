import fc from 'fast-check'
import { expect, it } from 'vitest'
import { readMacos } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/macos.js'

const node = '/opt/homebrew/bin/node'
const on = 'Firewall is enabled. (State = 1)\n'
const off = 'Firewall is disabled. (State = 0)\n'
const pfOff = 'Status: Disabled for 0 days 00:12:34           Debug: Urgent\n'
const pfOn = 'Status: Enabled for 0 days 00:12:34            Debug: Urgent\n'
const apps = (verdict: 'Allow' | 'Block'): string =>
  `ALF: total number of apps = 2 \n\n1 :  /Applications/Safari.app \n \t ( ${verdict === 'Allow' ? 'Block' : 'Allow'} incoming connections ) \n\n2 :  ${node} \n \t ( ${verdict} incoming connections ) \n`
const none = { blockAll: 'Firewall has block all state set to disabled.\n', apps: '', packetFilter: '' }

it.each([
  ['off, and pf is off', { globalState: off, packetFilter: pfOff }, 'inactive', null],
  ['off, and pf is not shown', { globalState: off }, 'inactive', 'packet filter'],
  ['off, and pf is on', { globalState: off, packetFilter: pfOn }, 'unknown', 'packet filter'],
  ['on, and allows the program', { globalState: on, apps: apps('Allow'), packetFilter: pfOff }, 'lets-in', null],
  [
    'on, and allows the program, and pf is not shown',
    { globalState: on, apps: apps('Allow') },
    'unknown',
    'packet filter'
  ],
  ['on, and blocks the program', { globalState: on, apps: apps('Block') }, 'blocks', 'blocks this program'],
  [
    'on, and does not list the program',
    { globalState: on, apps: 'ALF: total number of apps = 0\n' },
    'unknown',
    'no entry'
  ],
  [
    'on, and blocks all',
    { globalState: on, blockAll: 'Block all ENABLED!\n', apps: apps('Allow') },
    'blocks',
    'all incoming'
  ],
  [
    'on, and blocks all in the words of newer versions',
    { globalState: on, blockAll: 'Firewall has block all state set to enabled.\n' },
    'blocks',
    'all incoming'
  ],
  [
    'in the state that blocks all',
    { globalState: 'Firewall is blocking all non-essential incoming connections. (State = 2)\n' },
    'blocks',
    'all incoming'
  ],
  [
    'in a state that is not known',
    { globalState: 'Firewall is enabled. (State = 9)\n' },
    'unknown',
    'could not be read'
  ],
  ['silent', { globalState: '' }, 'unknown', 'could not be read']
] as const)('the firewall of macOS is %s', (_, texts, state, reason) => {
  const found = readMacos({ ...none, ...texts }, node)
  expect(found.state).toBe(state)
  if (reason === null) expect(found.reason).toBeNull()
  else expect(found.reason).toContain(reason)
})

it('the firewall of macOS is opened for the program, whose path is quoted', () => {
  const texts = { ...none, globalState: on }
  expect(readMacos({ ...texts, apps: apps('Block') }, node).open?.('8080')).toMatch(
    /--unblockapp \/opt\/homebrew\/bin\/node$/
  )
  expect(readMacos(texts, '/My $Apps/node').open?.('8080')).toMatch(/--unblockapp "\/My Apps\/node"$/)
})

it('text of any form about the firewall of macOS never throws', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom(on, off, pfOn, apps('Block')))
  fc.assert(
    fc.property(text, text, text, text, (globalState, blockAll, list, packetFilter) => {
      expect(readMacos({ globalState, blockAll, apps: list, packetFilter }, node).tool).toBe('macos')
    })
  )
})
