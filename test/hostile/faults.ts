import type { Fault } from '@postern/testkit'
import type { StrategyName } from './scene.js'

/** A fault, the strategies that it concerns, and whether a held mapping must survive it unchanged. */
export interface Case {
  readonly title: string
  readonly fault: Fault
  readonly on: readonly StrategyName[]
  /** False if the gateway itself takes or changes what was granted. */
  readonly keeps: boolean
}

const all: readonly StrategyName[] = ['pcp', 'nat-pmp', 'upnp']
const binary: readonly StrategyName[] = ['pcp', 'nat-pmp']
const only = (name: StrategyName): readonly StrategyName[] => [name]
const make = (title: string, fault: Fault, on = all, keeps = true): Case => ({ title, fault, on, keeps })

const garbage = (['empty', 'one-byte', 'oversized', 'random'] as const).map((bytes) =>
  make(`answers with ${bytes} bytes`, { kind: 'bytes', bytes })
)
const truncated = [...Array.from({ length: 16 }, (_, length) => length), 23, 24, 59].map((length) =>
  make(`answers are cut off after ${length} bytes`, { kind: 'truncate', length })
)
const wrongFields = (['version', 'opcode', 'response-bit', 'nonce', 'internal-port', 'protocol'] as const).map(
  (field) => make(`answers with a wrong ${field}`, { kind: 'wrong-field', field }, binary)
)
const results = [...Array.from({ length: 13 }, (_, index) => index + 1), 255].flatMap((code) => [
  make(`answers with result ${code} for 30 s`, { kind: 'result', code, lifetimeSeconds: 30 }, binary),
  make(`answers with result ${code} for 30 min`, { kind: 'result', code, lifetimeSeconds: 1800 }, binary)
])
const grants = [
  make('grants a lifetime of 0', { kind: 'grant', lifetimeSeconds: 0 }, binary),
  make('grants one second', { kind: 'grant', lifetimeSeconds: 1 }, all, false),
  make('grants 136 years', { kind: 'grant', lifetimeSeconds: 2 ** 32 - 1 }, all),
  make('grants another port', { kind: 'grant', externalPort: 40_404 }, all, false),
  make('grants port 0', { kind: 'grant', externalPort: 0 }, binary),
  make('grants another address', { kind: 'grant', externalAddress: '11.9.9.9' }, all, false),
  make('confirms mappings that it does not make', { kind: 'lie' }, all),
  make('forgets what it mapped', { kind: 'forgetful', afterMs: 1000 }, all, false)
]
const soapFaults = [402, 501, 606, 713, 714, 718, 724, 725, 726, 727, 728, 729, 999].map((code) =>
  make(`answers every action with fault ${code}`, { kind: 'soap-fault', code }, only('upnp'))
)
const locations = [
  'http://192.168.1.77:80/desc.xml',
  'http://127.0.0.1:8500/v1/agent',
  'http://router.example/desc.xml',
  'http://admin:admin@192.168.1.1:{port}/desc.xml',
  'https://192.168.1.1/desc.xml',
  'http://[::1]:80/',
  'file:///etc/passwd',
  'http://11.0.0.99/desc.xml',
  ''
].map((location) => make(`announces its description at "${location}"`, { kind: 'location', location }, only('upnp')))
const http = (
  [
    'redirect',
    'endless',
    'drip',
    'slow-headers',
    'hang',
    'reset',
    'lower-case-headers',
    'no-content-length',
    'not-http'
  ] as const
).map((what) => make(`over HTTP: ${what}`, { kind: 'http', what, to: 'http://127.0.0.1:1/' }, only('upnp')))
const statuses = [204, 400, 404, 500, 503].map((status) =>
  make(`over HTTP: status ${status}`, { kind: 'http', what: 'status', status }, only('upnp'))
)
const xml = (
  [
    'bomb',
    'doctype',
    'external-entity',
    'deep',
    'proto',
    'blank-before-declaration',
    'bare-ampersand',
    'junk-after-root',
    'unclosed-tags',
    'byte-order-mark'
  ] as const
).map((what) => make(`XML: ${what}`, { kind: 'xml', what }, only('upnp')))

/** Everything that broken and hostile gateways do. */
export const cases: readonly Case[] = [
  make('is silent', { kind: 'silent' }),
  make('carries out and is silent', { kind: 'silent', carriedOut: true }),
  make('refuses', { kind: 'refuse' }),
  ...garbage,
  ...truncated,
  make('answers from another address', { kind: 'wrong-source', what: 'address' }, binary),
  make('answers from another port', { kind: 'wrong-source', what: 'port' }, binary),
  make('answers 5 s late', { kind: 'late', ms: 5000 }),
  make('answers three times', { kind: 'duplicate', copies: 3 }, binary),
  ...wrongFields,
  ...results,
  make('speaks another version all at once', { kind: 'downgrade' }, only('pcp')),
  ...grants,
  ...soapFaults,
  make('takes only mappings without an end (725)', { kind: 'only-permanent', code: 725 }, only('upnp')),
  make('takes only mappings without an end (402)', { kind: 'only-permanent', code: 402 }, only('upnp')),
  make('takes only mappings with an end', { kind: 'no-permanent' }, only('upnp')),
  make('maps a port only to the same port', { kind: 'same-port' }),
  make('refuses to choose a port', { kind: 'no-any-port' }, binary),
  make('has a reserved external address', { kind: 'reserved-external-address' }, all, false),
  make('works on one request at a time', { kind: 'one-at-a-time', busyMs: 50 }),
  make('works on one request at a time and says 503', { kind: 'one-at-a-time', busyMs: 50, answer: 503 }, only('upnp')),
  ...locations,
  ...http,
  ...statuses,
  ...xml
]
