import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { findOnLinux, isUfwOn } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/linux.js'
import type { ToolResult } from '../../../../../src/commands/doctor/neighbourhood/host-firewall/run-tool.js'

const fixture = (name: string): string => readFileSync(new URL(`../../../../support/${name}`, import.meta.url), 'utf8')
const empty = JSON.stringify({ nftables: [{ metainfo: { version: '1.0.6' } }] })
const printed = (stdout: string): ToolResult => ({ code: 0, stdout, stderr: '' })
const refused: ToolResult = { code: 1, stdout: '', stderr: 'Operation not permitted (you must be root)' }

/** Asks about a port with programs that print this; those that are not named are not installed. */
const find = (port: number, programs: Readonly<Record<string, ToolResult>>) =>
  findOnLinux({ port, interface: 'eth0', address: '192.168.1.2' }, async (command) => programs[command], {
    signal: new AbortController().signal
  })

it.each([
  [
    'ufw',
    9000,
    { nft: printed(empty), 'iptables-save': printed(fixture('ufw-iptables-save.txt')) },
    'blocks',
    'sudo ufw allow 9000/tcp'
  ],
  [
    'ufw',
    22,
    { nft: printed(empty), 'iptables-save': printed(fixture('ufw-iptables-save.txt')) },
    'lets-in',
    'sudo ufw allow 22/tcp'
  ],
  [
    'iptables',
    9000,
    { 'iptables-save': printed(fixture('iptables-save.txt')) },
    'blocks',
    'sudo iptables -I INPUT -p tcp --dport 9000 -j ACCEPT'
  ],
  [
    'iptables',
    9443,
    { 'iptables-save': printed(fixture('iptables-save.txt')) },
    'unknown',
    'sudo iptables -t nat -I PREROUTING -p tcp --dport 9443 -j ACCEPT'
  ],
  [
    'firewalld',
    8080,
    { nft: printed(fixture('firewalld-nft.json')) },
    'blocks',
    'sudo firewall-cmd --add-port=8080/tcp'
  ],
  [
    'firewalld',
    9090,
    { nft: printed(fixture('firewalld-nft.json')), 'iptables-save': printed('') },
    'lets-in',
    'sudo firewall-cmd --add-port=9090/tcp'
  ],
  [
    'nftables',
    9000,
    { nft: printed(fixture('server-nft.json')) },
    'unknown',
    'sudo nft insert rule inet filter input tcp dport 9000 accept'
  ],
  [
    'nftables',
    9701,
    { nft: printed(fixture('server-nft.json')) },
    'blocks',
    'sudo nft insert rule inet filter input tcp dport 9701 accept'
  ]
] as const)('%s and port %i', async (tool, port, programs, state, command) => {
  const found = await find(port, programs)
  expect(found).toMatchObject({ tool, state })
  expect(found?.open?.(String(port))).toBe(command)
})

it.each([
  ['no program that shows rules', {}, null],
  [
    'no rules',
    { nft: printed(empty), 'iptables-save': printed('') },
    { tool: 'nftables', state: 'inactive', reason: null }
  ],
  [
    'rules that this user may not read',
    { nft: refused, 'iptables-save': refused },
    { tool: 'nftables', state: 'unknown', show: 'sudo nft list ruleset' }
  ],
  [
    'rules of iptables that this user may not read',
    { 'iptables-save': refused },
    { tool: 'iptables', state: 'unknown', show: 'sudo iptables-save' }
  ],
  [
    'a part of the rules',
    {
      nft: printed(empty),
      'iptables-save': printed('# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n')
    },
    { state: 'unknown', show: 'sudo iptables-legacy-save' }
  ],
  [
    'nft that shows no JSON',
    { nft: printed('Error: JSON support not compiled-in') },
    { tool: 'nftables', state: 'unknown' }
  ],
  [
    'nft that took too long',
    { nft: { code: null, stdout: '{"nftables": [', stderr: '' } },
    { tool: 'nftables', state: 'unknown' }
  ]
] as const)('a Linux with %s', async (_, programs, expected) => {
  const found = await find(8080, programs)
  if (expected === null) expect(found).toBeNull()
  else expect(found).toMatchObject(expected)
})

it('a table of nftables is no command for a shell if its name is not plain', async () => {
  const ruleset = fixture('server-nft.json')
    .replaceAll('"filter"', '"a;reboot"')
    .replaceAll('"type": "a;reboot"', '"type": "filter"')
  const found = await find(9701, { nft: printed(ruleset) })
  expect(found).toMatchObject({ state: 'blocks', reason: expect.stringContaining('inet a;reboot') })
  expect(found?.open).toBeUndefined()
})

it.each([
  ['ENABLED=yes\nLOGLEVEL=low\n', true],
  ['# ENABLED=yes\nENABLED=no\n', false],
  ['', false]
])('the settings %j of ufw turn it on: %s', (text, expected) => {
  expect(isUfwOn(text)).toBe(expected)
})
