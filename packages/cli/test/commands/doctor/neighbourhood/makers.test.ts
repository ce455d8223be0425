import type { GatewayDevice } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { makers } from '../../../../src/commands/doctor/neighbourhood/makers.js'
import { findMaker } from '../../../../src/commands/doctor/neighbourhood/router-advice.js'

/** Descriptions of real routers, as public reports quote them. */
const real: readonly (readonly [
  manufacturer: string | null,
  model: string | null,
  name: string | null,
  maker: string | undefined
])[] = [
  // https://github.com/home-assistant/core/issues/57243
  ['AVM Berlin', 'FRITZ!Box 7530', 'FRITZ!Box 7530', 'FRITZ!Box'],
  // https://github.com/gethomepage/homepage/issues/371
  ['AVM', 'FRITZ!Box 7590', 'FRITZ!Box 7590', 'FRITZ!Box'],
  // https://github.com/home-assistant/core/issues/76383
  ['D-link', 'DSL-X1852E', 'DSL-X1852E', 'D-Link'],
  // https://github.com/ivanempire/lighthouse
  ['TP-Link', 'Archer AX50', 'Archer AX50', 'TP-Link'],
  // https://github.com/nicotine-plus/nicotine-plus/issues/1566
  ['Sagemcom', 'Residential Livebox,(DSL,WAN Ethernet)', 'Orange Livebox', undefined],
  // https://github.com/syncthing/syncthing/issues/1187
  ['Linksys Inc.', 'WRT120N', 'Linksys WRT120N', undefined],
  // https://github.com/ofekp/TinyUPnP/issues/14
  ['MitraStar', 'MitraStar Internet Gateway DSL-2401HN-T1C-GV', 'MitraStar DSL-2401HN-T1C-GV', undefined],
  ['eero inc.', 'eero Pro', 'eero', 'eero'],
  ['DD-WRT', 'Asus RT-N16', 'Asus RT-N16:DD-WRT', undefined],
  ['Debian', 'Debian router', 'router', undefined],
  [null, null, null, undefined]
]

describe('makers', () => {
  it.each(real)('the router of %s, %s, named %s, is known as %s', (manufacturer, model, name, maker) => {
    expect(findMaker({ manufacturer, model, name })?.name).toBe(maker)
  })

  it.each(makers)('$name names a setting, and the public page that documents it', ({ upnp, forward }) => {
    const places = [upnp, forward].filter((place) => place !== undefined)
    expect(places.length).toBeGreaterThan(0)
    for (const { path, source } of places) {
      expect(path).toMatch(/^\S(?:[^\n]*\S)?$/)
      expect(new URL(source).protocol).toMatch(/^https?:$/)
    }
  })

  it.each(makers)('the name $name matches its own pattern and no other one', ({ name }) => {
    expect(makers.filter(({ pattern }) => pattern.test(name)).map((each) => each.name)).toEqual([name])
  })

  it('each maker is listed once', () => {
    expect(new Set(makers.map(({ name }) => name)).size).toBe(makers.length)
  })

  it('the maker decides, whatever name the owner gave to the router', () => {
    const device: GatewayDevice = { manufacturer: 'NETGEAR, Inc.', model: 'R7000', name: 'FRITZ!Box' }
    expect(findMaker(device)?.name).toBe('NETGEAR')
  })
})
