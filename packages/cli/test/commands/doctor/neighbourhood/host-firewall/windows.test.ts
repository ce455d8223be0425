import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readWindows } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/windows.js'

const node = String.raw`C:\Program Files\nodejs\node.exe`
const syn = { port: 8080, interface: 'Ethernet', address: '192.168.1.2' }
const publicProfile = { Profile: 4, Enabled: true, BlockAll: false, Default: 0 }
const rule = (changes: object): object => ({
  Name: 'Web',
  ApplicationName: null,
  ServiceName: null,
  LocalAppPackageId: '',
  LocalPorts: '8080',
  LocalAddresses: '*',
  RemoteAddresses: '*',
  RemotePorts: '*',
  InterfaceTypes: 'All',
  Profiles: 2147483647,
  Action: 1,
  ...changes
})
const read = (profiles: readonly object[], ...rules: readonly object[]) =>
  readWindows(JSON.stringify({ Profiles: profiles, Rules: rules }), syn, node)

describe('the firewall of Windows', () => {
  it.each([
    ['no rule', [], 'blocks'],
    ['a rule for the port', [{}], 'lets-in'],
    ['a rule for a range', [{ LocalPorts: '80,8000-8100' }], 'lets-in'],
    ['a rule for another port', [{ LocalPorts: '80' }], 'blocks'],
    ['a rule for RPC', [{ LocalPorts: 'RPC' }], 'blocks'],
    ['a rule for this program', [{ ApplicationName: node.toUpperCase(), LocalPorts: '*' }], 'lets-in'],
    ['a rule for another program', [{ ApplicationName: String.raw`C:\Windows\app.exe`, LocalPorts: '*' }], 'blocks'],
    [
      'a rule for a program in a folder that is not known',
      [{ ApplicationName: String.raw`%ProgramFiles%\nodejs\node.exe` }],
      'unknown'
    ],
    ['a rule for a service', [{ ServiceName: 'w3svc' }], 'blocks'],
    ['a rule for an app', [{ LocalAppPackageId: 'S-1-15-2-1' }], 'blocks'],
    ['a rule for the local network', [{ RemoteAddresses: 'LocalSubnet' }], 'blocks'],
    ['a rule for private addresses', [{ RemoteAddresses: '10.0.0.0/255.0.0.0,192.168.0.0/16' }], 'blocks'],
    ['a rule for an address of the internet', [{ RemoteAddresses: '203.0.114.5/255.255.255.255' }], 'unknown'],
    [
      'a rule that blocks this program, beside one that allows the port',
      [{}, { ApplicationName: node, LocalPorts: '*', Action: 0 }],
      'blocks'
    ],
    ['a rule that blocks another program', [{}, { ApplicationName: 'x.exe', Action: 0 }], 'lets-in'],
    ['a rule that may block', [{}, { RemoteAddresses: '203.0.114.0/24', Action: 0 }], 'unknown']
  ])('the firewall of Windows with %s', (_, rules, expected) => {
    expect(read([publicProfile], ...rules.map(rule)).state).toBe(expected)
  })

  it.each([
    ['off', [{ ...publicProfile, Enabled: false }], 'inactive'],
    ['one that blocks all', [{ ...publicProfile, BlockAll: true }], 'blocks'],
    ['one that allows by default', [{ ...publicProfile, Default: 1 }], 'lets-in'],
    ['one with another default', [{ ...publicProfile, Default: 7 }], 'unknown'],
    ['two profiles', [publicProfile, { ...publicProfile, Profile: 1 }], 'unknown'],
    ['none', [], 'unknown']
  ])('the profile of Windows: %s', (_, profiles, expected) => {
    expect(read(profiles).state).toBe(expected)
    if (expected === 'blocks') expect(read(profiles, rule({})).state).toBe('blocks')
  })

  it('the firewall of Windows is opened with a command, unless a rule blocks', () => {
    expect(read([publicProfile]).open?.('8080')).toBe(
      'New-NetFirewallRule -DisplayName "Port 8080" -Direction Inbound -Protocol TCP -LocalPort 8080 -Action Allow'
    )
    expect(read([publicProfile], rule({ Action: 0 })).open).toBeUndefined()
  })

  it('the firewall of Windows is not known from text of another form, which never throws', () => {
    for (const text of ['', 'Access is denied.', '[]', '{"Profiles":{},"Rules":[]}'])
      expect(readWindows(text, syn, node).state).toBe('unknown')
    const value = fc.oneof(
      fc.jsonValue(),
      fc.record({
        LocalPorts: fc.jsonValue(),
        RemoteAddresses: fc.jsonValue(),
        ApplicationName: fc.jsonValue(),
        Action: fc.jsonValue()
      })
    )
    fc.assert(
      fc.property(fc.array(value), fc.array(value), (Profiles, Rules) => {
        expect(readWindows(JSON.stringify({ Profiles, Rules }), syn, node).tool).toBe('windows')
      })
    )
  })
})
