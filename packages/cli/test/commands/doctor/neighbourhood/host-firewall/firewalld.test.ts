import { expect, it } from 'vitest'
import { askFirewalld, stateOfZone } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/firewalld.js'

const zone = (changes: Readonly<Record<string, string>> = {}): string =>
  [
    'public (active)',
    ...Object.entries({
      target: 'default',
      'icmp-block-inversion': 'no',
      interfaces: 'eth0',
      sources: '',
      services: 'dhcpv6-client ssh',
      ports: '8080/tcp 9000-9010/tcp 7000/udp',
      protocols: '',
      forward: 'yes',
      masquerade: 'no',
      'forward-ports': '',
      'source-ports': '',
      'icmp-blocks': '',
      'rich rules': '',
      ...changes
    }).map(([name, value]) => `  ${name}: ${value}`)
  ].join('\n')
const active = 'public\n  interfaces: eth0\n'

it.each([
  [8080, {}, 'lets-in'],
  [9005, {}, 'lets-in'],
  [22, {}, 'lets-in'],
  [7000, {}, 'blocks'],
  [8081, {}, 'blocks'],
  [8081, { target: 'ACCEPT' }, 'lets-in'],
  [8081, { target: 'DROP' }, 'blocks'],
  [8081, { target: 'other' }, 'unknown'],
  [8081, { services: 'ssh toString' }, 'unknown'],
  [8081, { 'rich rules': '\n\trule family="ipv4" port port="8081" protocol="tcp" accept' }, 'unknown'],
  [8081, { protocols: 'tcp' }, 'unknown'],
  [8081, { 'forward-ports': 'port=8081:proto=tcp:toport=80:toaddr=' }, 'unknown']
] as const)('firewalld: port %i of a zone with %j: %s', (port, changes, expected) => {
  expect(stateOfZone(zone(changes), active, port)).toBe(expected)
})

it('firewalld: a zone for a source leaves everything open, and so does text of another kind', () => {
  expect(stateOfZone(zone(), `${active}work\n  sources: 203.0.114.0/24\n`, 8081)).toBe('unknown')
  expect(stateOfZone('not authorized', active, 8081)).toBe('unknown')
})

it.each([
  ['running', 'blocks'],
  ['not running', undefined]
])('firewalld that is %s is asked about the zone of the interface', async (state, expected) => {
  const asked: string[] = []
  const answers: Readonly<Record<string, string>> = {
    '--state': `${state}\n`,
    '--get-zone-of-interface=eth0': 'public\n',
    '--get-active-zones': active,
    '--zone=public --list-all': zone()
  }
  const run = async (_: string, args: readonly string[]) => {
    asked.push(args.join(' '))
    const stdout = answers[args.join(' ')]
    return { code: stdout === undefined || stdout === 'not running\n' ? 252 : 0, stdout: stdout ?? '', stderr: '' }
  }
  const found = await askFirewalld({ port: 8081, interface: 'eth0', address: undefined }, run, {
    signal: AbortSignal.any([])
  })
  expect(found?.state).toBe(expected)
  expect(found?.open?.('8081')).toBe(expected && 'sudo firewall-cmd --zone=public --add-port=8081/tcp')
  expect(asked).toContain('--state')
})
