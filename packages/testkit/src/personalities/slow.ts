import { mappedBy, type Personality } from './personality.js'

const upnpOnly = { protocols: ['upnp'], upnp: { version: 1 } } as const

/** Routers that are slow or handle only one request at a time. */
export const slow: readonly Personality[] = [
  {
    name: 'slow-soap',
    oddity: 'It takes a second for every SOAP call.',
    source: 'https://github.com/home-assistant/core/issues/56019',
    gateway: upnpOnly,
    faults: [{ kind: 'late', ms: 1000, on: ['control', 'description'] }],
    expected: mappedBy('upnp', 'Each exchange has its own time limit of 10 s.')
  },
  {
    name: 'slow-add',
    oddity: 'AddPortMapping takes 4 s, everything else is fast.',
    source: 'https://github.com/bisq-network/bisq/issues/305',
    gateway: upnpOnly,
    faults: [{ kind: 'late', ms: 4000, on: 'control', action: 'AddPortMapping' }],
    expected: mappedBy('upnp', 'Each exchange has its own time limit of 10 s.')
  },
  {
    name: 'slow-nat-pmp',
    oddity: 'It answers NAT-PMP after 1.5 s.',
    source: 'https://github.com/omf2097/openomf/pull/1145',
    gateway: { protocols: ['nat-pmp'] },
    faults: [{ kind: 'late', ms: 1500, on: 'nat-pmp' }],
    expected: mappedBy('nat-pmp', 'The retransmission schedule of RFC 6886 waits longer.')
  },
  {
    name: 'late-search',
    oddity: 'It answers a search after 2.5 s.',
    source: 'https://github.com/OpenRA/OpenRA/issues/15923',
    gateway: { protocols: ['upnp'], upnp: { version: 1, searchDelayMs: 2500 } },
    expected: mappedBy('upnp', 'Answers are accepted while the search runs.')
  },
  {
    name: 'very-late-search',
    oddity: 'It answers a search after 7 s.',
    source: 'https://github.com/syncthing/syncthing/issues/1657',
    gateway: { protocols: ['upnp'], upnp: { version: 1, searchDelayMs: 7000 } },
    expected: mappedBy('upnp', 'Answers are accepted while the search runs.')
  },
  {
    name: 'slow-description',
    oddity: 'Its description takes 5 s.',
    source: 'https://github.com/nicotine-plus/nicotine-plus/issues/2098',
    gateway: upnpOnly,
    faults: [{ kind: 'late', ms: 5000, on: 'description' }],
    expected: mappedBy('upnp', 'Each exchange has its own time limit of 10 s.')
  },
  {
    name: 'fast-then-slow',
    oddity: 'It slows down under calls: the first calls are answered immediately, later ones after 3 s.',
    source: 'https://github.com/RunOnFlux/flux/pull/1538',
    gateway: upnpOnly,
    faults: [{ kind: 'late', ms: 3000, on: 'control', after: 2 }],
    expected: mappedBy('upnp', 'Earlier fast answers do not shorten a time limit below the schedule.')
  },
  {
    name: 'one-call-at-a-time',
    oddity: 'During a call it closes every other connection.',
    source: 'https://github.com/syncthing/syncthing/issues/4891',
    gateway: upnpOnly,
    faults: [{ kind: 'one-at-a-time', busyMs: 300, answer: 'drop', on: 'control' }],
    expected: mappedBy('upnp', 'Calls are made one after the other.')
  },
  {
    name: 'one-request-at-a-time',
    oddity: 'It drops every NAT-PMP request that arrives during another one.',
    source: 'https://www.rfc-editor.org/rfc/rfc6886.html#section-3.1',
    gateway: { protocols: ['nat-pmp'] },
    faults: [{ kind: 'one-at-a-time', busyMs: 400, on: 'nat-pmp' }],
    expected: mappedBy('nat-pmp', 'Requests are sent one after the other, and repeated by the schedule.')
  },
  {
    name: 'rate-limited',
    oddity: 'It answers one HTTP request per second and closes other connections.',
    source: 'https://github.com/ofekp/TinyUPnP/issues/70',
    gateway: upnpOnly,
    faults: [{ kind: 'rate-limited', everyMs: 1000, on: ['control', 'description'] }],
    expected: mappedBy('upnp', 'A failed call is repeated a second later, and later calls keep that pace.')
  },
  {
    name: 'answers-twice',
    oddity: 'It sends each answer to a search twice.',
    source: 'https://github.com/diversario/node-ssdp/issues/73',
    faults: [{ kind: 'duplicate', on: 'ssdp' }],
    gateway: upnpOnly,
    expected: mappedBy('upnp', 'The same device is used once.')
  }
]
