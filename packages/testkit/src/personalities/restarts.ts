import { mappedBy, type Personality } from './personality.js'

const hour = 3_600_000
const afterMs = hour / 2
/** The router is polled at least every 15 minutes, which is 8 of a hundred checks in three hours. */
const silentPercent = 91

/** Routers that restart, and clocks that hide or fake a restart. */
export const restarts: readonly Personality[] = [
  {
    name: 'other-control-port',
    oddity: 'miniupnpd uses another HTTP port after each start.',
    source: 'https://github.com/ipfs/kubo/issues/9759',
    gateway: { protocols: ['upnp'] },
    event: { afterMs, reboot: { upnpPort: 56_583 }, announces: {} },
    expected: mappedBy('upnp', 'Its announcement contains the new port.')
  },
  {
    name: 'other-control-port-silently',
    oddity: 'It uses another HTTP port after each start, and announces nothing.',
    source: 'https://github.com/home-assistant/core/issues/39293',
    gateway: { protocols: ['upnp'], upnp: { version: 1 } },
    event: { afterMs, reboot: { upnpPort: 41_395 }, announces: false },
    expected: {
      ...mappedBy('upnp', 'At the next poll, at most 15 minutes later, the closed port leads to a search.'),
      minReachedPercent: silentPercent
    }
  },
  {
    name: 'no-announcements',
    oddity: 'miniupnpd restarts and announces nothing.',
    source: 'https://github.com/miniupnp/miniupnp/issues/254',
    gateway: { protocols: ['pcp', 'nat-pmp'] },
    event: { afterMs, reboot: {}, announces: false },
    expected: {
      ...mappedBy('pcp', 'The epoch of the next answer shows it, at most 15 minutes later.'),
      minReachedPercent: silentPercent
    }
  },
  {
    name: 'epoch-goes-on',
    oddity: 'The daemon restarts while the router stays up, and the epoch is the uptime of the router.',
    source: 'https://github.com/Ysurac/openmptcprouter/issues/4216',
    gateway: { protocols: ['pcp'] },
    event: { afterMs, reboot: { keepEpoch: true }, announces: { protocols: ['pcp'] } },
    expected: mappedBy('pcp', 'Its announcement leads to a renewal within 6 s.')
  },
  {
    name: 'uptime-goes-on',
    oddity: 'The daemon restarts, and in NAT-PMP the seconds since the epoch are the uptime of the router.',
    source: 'https://github.com/Ysurac/openmptcprouter/issues/4216',
    gateway: { protocols: ['nat-pmp'] },
    event: { afterMs, reboot: { keepEpoch: true }, announces: { protocols: ['nat-pmp'] } },
    expected: mappedBy('nat-pmp', 'Its announcement leads to a renewal within 6 s.')
  },
  {
    name: 'address-changes-silently',
    oddity: 'Its external address changes, and its epoch continues.',
    source: 'https://github.com/miniupnp/miniupnp/issues/254',
    gateway: { protocols: ['nat-pmp'] },
    event: { afterMs, externalAddress: '11.0.0.9', announces: false },
    expected: {
      ...mappedBy('nat-pmp', 'The next answer contains the new address, at most 15 minutes later.'),
      minReachedPercent: silentPercent
    }
  },
  {
    name: 'epoch-jumps',
    oddity: 'Its clock has no battery, and its epoch jumps by years when it gets the time from the internet.',
    source: 'https://github.com/miniupnp/miniupnp/issues/288',
    gateway: { protocols: ['pcp'] },
    event: { afterMs, reboot: { keepMappings: true, epochSeconds: 1_500_000_000 }, announces: false },
    expected: mappedBy('pcp', 'It looks like a restart, and the mapping is renewed.')
  },
  {
    name: 'epoch-stands-still',
    oddity: 'Its epoch stands still.',
    source: 'https://www.rfc-editor.org/rfc/rfc6887#section-8.5',
    gateway: { protocols: ['pcp'], epochRate: 0 },
    expected: mappedBy('pcp', 'It looks like a restart at each answer; renewals stay spaced.')
  },
  {
    name: 'epoch-too-fast',
    oddity: 'Its epoch runs three times as fast as it should.',
    source: 'https://www.rfc-editor.org/rfc/rfc6887#section-8.5',
    gateway: { protocols: ['nat-pmp'], epochRate: 3 },
    expected: mappedBy('nat-pmp', 'It looks like a restart at most answers; renewals stay spaced.')
  },
  {
    name: 'epoch-backwards',
    oddity: 'Its epoch runs backwards.',
    source: 'https://www.rfc-editor.org/rfc/rfc6887#section-8.5',
    gateway: { protocols: ['pcp'], epochSeconds: 100_000, epochRate: -1 },
    expected: mappedBy('pcp', 'It looks like a restart at each answer; renewals stay spaced.')
  }
]
