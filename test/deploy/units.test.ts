import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { deploy } from './support/dashboards.js'

const source = join(deploy, 'systemd')
const units = readdirSync(source)
const folder = mkdtempSync(join(tmpdir(), 'postern-units-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** `security --offline` came with systemd 250. */
const [, version = '0'] =
  /^systemd (\d+)/.exec(spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' }).stdout ?? '') ?? []
const canAnalyze = Number(version) >= 250
const why = canAnalyze ? '' : ' (skipped: there is no systemd-analyze of systemd 250 or later)'

/** Returns a copy of a unit whose program exists on this machine. */
function copyOf(unit: string): string {
  const path = join(folder, unit)
  const text = readFileSync(join(source, unit), 'utf8')
  writeFileSync(path, text.replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`))
  return path
}

/** Returns the values of a unit by section and key. A key that stands twice has both values. */
function readUnit(unit: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  let section = ''
  for (const line of readFileSync(join(source, unit), 'utf8').split('\n')) {
    const [, name] = /^\[(\w+)\]$/.exec(line) ?? []
    const [, key, value = ''] = /^(\w+)=(.*)$/.exec(line) ?? []
    if (name !== undefined) section = name
    else if (key !== undefined) {
      const before = values.get(`${section}.${key}`)
      values.set(`${section}.${key}`, before === undefined ? value : `${before} ${value}`)
    } else expect(line).toMatch(/^(?:#.*)?$/)
  }
  return values
}

/** What a service of this project may not do. */
const hardening = {
  DynamicUser: 'yes',
  CapabilityBoundingSet: '',
  AmbientCapabilities: '',
  NoNewPrivileges: 'yes',
  ProtectSystem: 'strict',
  ProtectHome: 'yes',
  PrivateTmp: 'yes',
  PrivateDevices: 'yes',
  ProtectClock: 'yes',
  ProtectControlGroups: 'yes',
  ProtectHostname: 'yes',
  ProtectKernelLogs: 'yes',
  ProtectKernelModules: 'yes',
  ProtectKernelTunables: 'yes',
  ProtectProc: 'invisible',
  RemoveIPC: 'yes',
  LockPersonality: 'yes',
  RestrictNamespaces: 'yes',
  RestrictRealtime: 'yes',
  RestrictSUIDSGID: 'yes',
  RestrictAddressFamilies: 'AF_INET AF_INET6 AF_NETLINK AF_UNIX',
  SystemCallArchitectures: 'native',
  SystemCallFilter: '@system-service ~@privileged @resources',
  UMask: '0077'
} as const

describe('the units of systemd', () => {
  it('there is a unit for the relay and one for the witness', () =>
    expect(units.toSorted()).toEqual(['postern-relay.service', 'postern-witness.service']))

  it.each(units)('%s may do no more than it needs, and has limits', (unit) => {
    const values = readUnit(unit)
    for (const [key, value] of Object.entries(hardening))
      expect([key, values.get(`Service.${key}`)]).toEqual([key, value])
    for (const key of ['LimitNOFILE', 'MemoryMax', 'TasksMax', 'TimeoutStopSec'])
      expect(values.get(`Service.${key}`)).toMatch(/^\d+[MG]?$/)
    expect(values.get('Service.Restart')).toBe('on-failure')
    expect(values.get('Install.WantedBy')).toBe('multi-user.target')
  })

  it('no two units share a folder, since each has a user of its own', () => {
    const folders = units.flatMap((unit) => {
      const values = readUnit(unit)
      return ['StateDirectory', 'CacheDirectory'].flatMap((key) => {
        const name = values.get(`Service.${key}`)
        return name === undefined ? [] : [`${key} ${name}`]
      })
    })
    expect(new Set(folders).size).toBe(folders.length)
  })
})

describe.skipIf(!canAnalyze)(`systemd-analyze${why}`, () => {
  const analyze = (...args: readonly string[]): { readonly status: number | null; readonly stderr: string } => {
    const { status, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
    return { status, stderr }
  }

  it.each(units)('systemd accepts %s without a warning', (unit) =>
    expect(analyze('verify', '--man=no', copyOf(unit))).toEqual({ status: 0, stderr: '' })
  )

  it.each(units)('systemd rates the exposure of %s at most 2.0 of 10', (unit) =>
    expect(analyze('security', '--offline=true', '--no-pager', '--threshold=20', copyOf(unit))).toMatchObject({
      status: 0
    })
  )

  it('systemd finds a key that does not exist, and a service that may do everything', () => {
    const path = join(folder, 'open.service')
    writeFileSync(path, `[Service]\nExecStart=${process.execPath}\nProtectEverything=yes\n`)
    expect(analyze('verify', '--man=no', path).stderr).toContain('ProtectEverything')
    expect(analyze('security', '--offline=true', '--no-pager', '--threshold=20', path).status).not.toBe(0)
  })
})
