import { countOperation } from './counters.js'
import type { Engine } from './engine.js'
import { forgetfulExpiry, remove } from './engine.js'
import type { Mapping } from './mapping-table.js'
import type { SoapCall, SoapFault, SoapResult } from './soap.js'
import type { Sender } from './transport.js'
import type { WanService } from './upnp-device.js'

type Action = (engine: Engine, call: SoapCall, caller: Sender, service: WanService) => SoapResult

const wholeWeek = 604_800

/** Answers an action of WANIPConnection:1 and :2 or WANPPPConnection:1. */
export function answerWan(engine: Engine, call: SoapCall, caller: Sender, service: WanService): SoapResult {
  countOperation(engine.counters.control, call.action)
  const action = actions.get(call.action)
  const missing = wantsVersion2.has(call.action) && !call.serviceType.endsWith(':2')
  if (action === undefined || missing) {
    engine.counters.control.unknown += 1
    engine.violation(`upnp: unknown action ${call.action} of ${call.serviceType}`)
    return { code: 401 }
  }
  const [wanted, run] = action
  return badArguments(engine, call, wanted) ?? run(engine, call, caller, service)
}

const wantsVersion2 = new Set(['AddAnyPortMapping'])

const entryArguments = ['NewRemoteHost', 'NewExternalPort', 'NewProtocol']
const addArguments = [
  ...entryArguments,
  'NewInternalPort',
  'NewInternalClient',
  'NewEnabled',
  'NewPortMappingDescription',
  'NewLeaseDuration'
]

/** The port mapping actions of WANIPConnection:2 §2.4, with their arguments and functions. */
const actions: ReadonlyMap<string, readonly [wanted: readonly string[], run: Action]> = new Map([
  ['GetExternalIPAddress', [[], externalAddress]],
  ['GetStatusInfo', [[], statusInfo]],
  [
    'GetConnectionTypeInfo',
    [[], () => ok({ NewConnectionType: 'IP_Routed', NewPossibleConnectionTypes: 'IP_Routed' })]
  ],
  ['GetNATRSIPStatus', [[], () => ok({ NewRSIPAvailable: 0, NewNATEnabled: 1 })]],
  ['AddPortMapping', [addArguments, (...args) => add(...args, false)]],
  ['AddAnyPortMapping', [addArguments, (...args) => add(...args, true)]],
  ['DeletePortMapping', [entryArguments, deleteMapping]],
  ['GetSpecificPortMappingEntry', [entryArguments, specificEntry]],
  ['GetGenericPortMappingEntry', [['NewPortMappingIndex'], genericEntry]]
] satisfies [string, readonly [readonly string[], Action]][])

/** Checks that all arguments are present, in the order of the service description (UDA 1.1 §3.1.1). */
export function badArguments(engine: Engine, call: SoapCall, wanted: readonly string[]): SoapFault | undefined {
  const given = [...call.values.keys()]
  if (given.join() === wanted.join()) return undefined
  engine.violation(`upnp: ${call.action} with arguments ${given.join(', ') || 'none'}`)
  return wanted.every((name) => call.values.has(name)) ? undefined : { code: 402 }
}

function externalAddress(engine: Engine, _call: SoapCall, _caller: Sender, service: WanService): SoapResult {
  if (engine.faults.has('reserved-external-address', 'control')) return ok({ NewExternalIPAddress: '' })
  const fault = engine.faults.strike('grant', 'control', (each) => each.externalAddress !== undefined)
  const address = fault?.externalAddress ?? service.externalAddress ?? engine.externalAddress
  return ok({ NewExternalIPAddress: service.status === 'Disconnected' ? '0.0.0.0' : address })
}

function statusInfo(engine: Engine, _call: SoapCall, _caller: Sender, service: WanService): SoapResult {
  return ok({
    NewConnectionStatus: service.status ?? 'Connected',
    NewLastConnectionError: 'ERROR_NONE',
    NewUptime: engine.epochSeconds()
  })
}

function add(engine: Engine, call: SoapCall, caller: Sender, service: WanService, any: boolean): SoapResult {
  const { faults, table, counters, limits } = engine
  const internalPort = readNumber(call, 'NewInternalPort', 65_535)
  const wantedPort = readNumber(call, 'NewExternalPort', 65_535)
  const leaseSeconds = readNumber(call, 'NewLeaseDuration', 2 ** 32 - 1)
  const protocol = readProtocol(call)
  const client = call.values.get('NewInternalClient')
  const enabled = call.values.get('NewEnabled') ?? ''
  if (internalPort === undefined || wantedPort === undefined || leaseSeconds === undefined || protocol === undefined)
    return bad(engine, call, 402, 'arguments that cannot be read')
  if (!/^[01]$|^true$|^false$|^yes$|^no$/.test(enabled)) return bad(engine, call, 402, `NewEnabled ${enabled}`)
  if (leaseSeconds > wholeWeek) return bad(engine, call, 402, `a lease of ${leaseSeconds} s`)
  if (call.values.get('NewRemoteHost') !== '') return bad(engine, call, 726, 'a remote host')
  if (wantedPort === 0) return bad(engine, call, 716, 'external port 0, which stands for all ports')
  if (internalPort === 0) return bad(engine, call, 732, 'internal port 0')
  if (client !== caller.address) return bad(engine, call, 606, `InternalClient ${client} from ${caller.address}`)
  if (service.status === 'Disconnected' || faults.has('reserved-external-address', 'control')) return { code: 501 }

  const permanent = faults.strike('only-permanent', 'control', () => leaseSeconds !== 0)
  if (permanent !== undefined) return { code: permanent.code ?? 725 }
  if (leaseSeconds === 0 && faults.strike('no-permanent', 'control') !== undefined) return { code: 402 }
  if (wantedPort !== internalPort && faults.strike('same-port', 'control') !== undefined) return { code: 724 }

  const isElsewhere = (each: Mapping): boolean =>
    each.protocol === protocol &&
    each.internalAddress === client &&
    each.internalPort === internalPort &&
    each.externalPort !== wantedPort
  if (table.list().some(isElsewhere) && faults.strike('one-external-port', 'control') !== undefined)
    return { code: 718 }

  const allowed = faults.strike('allowed-ports', 'control')
  const isAllowed = allowed === undefined || (wantedPort >= allowed.first && wantedPort <= allowed.last)
  if (!isAllowed && !any) return { code: allowed.code ?? 606 }

  const holder = table.findByExternal(4, protocol, wantedPort)
  const granted = faults.strike('grant', 'control', (each) => each.externalAddress === undefined)
  const taken = holder !== undefined && holder.internalAddress !== caller.address
  if (taken && !any) return { code: 718 }
  const port =
    (any ? granted?.externalPort : undefined) ??
    (taken || !isAllowed ? table.freePort(protocol, caller.address, wantedPort, internalPort, allowed) : wantedPort)
  if (port === undefined) return { code: 728 }
  if (holder === undefined && table.list().length >= limits.maxMappings) return { code: 728 }
  const result = any ? ok({ NewReservedPort: port }) : ok({})
  if (faults.strike('lie', 'control') !== undefined) return result
  if (leaseSeconds !== 0 && faults.strike('drops-leases', 'control') !== undefined) return result

  // A lease of 0 is a week in WANIPConnection:2 (§2.3.18), and has no end in WANIPConnection:1.
  const seconds =
    granted?.lifetimeSeconds ??
    (leaseSeconds > 0 ? leaseSeconds : call.serviceType.endsWith(':2') ? wholeWeek : Number.POSITIVE_INFINITY)
  const now = engine.clock.monotonicMs()
  const change = {
    internalPort: faults.strike('ignores-internal-port', 'control') === undefined ? internalPort : port,
    expiresAt: forgetfulExpiry(engine, 'control', now, seconds),
    description: call.values.get('NewPortMappingDescription') ?? '',
    grantedAt: now,
    clientPort: caller.port,
    lastVia: 'upnp' as const
  }
  const own = table.findByExternal(4, protocol, port)
  if (own !== undefined) {
    if (own.internalAddress !== caller.address) return result
    // The standard allows this (§2.4.16), so one program of a host can take the port of another.
    if (own.internalPort !== internalPort)
      engine.violation(
        `upnp: ${call.action} re-points ${protocol} port ${port} from ${own.internalPort} to ${internalPort}`
      )
    counters.control.renewals += 1
    if (faults.strike('unextended', 'control') === undefined) table.change(own, change)
  } else {
    counters.control.maps += 1
    table.add({
      family: 4,
      protocol,
      externalAddress: engine.externalAddress,
      externalPort: port,
      internalAddress: caller.address,
      nonce: null,
      via: 'upnp',
      ...change
    })
  }
  return result
}

function deleteMapping(engine: Engine, call: SoapCall, caller: Sender): SoapResult {
  const found = entry(engine, call)
  if (found === 'unreadable') return bad(engine, call, 402, 'arguments that cannot be read')
  if (found === undefined) return { code: 714 }
  if (found.internalAddress !== caller.address)
    return bad(engine, call, 606, `the mapping of ${found.internalAddress} from ${caller.address}`)
  remove(engine, found, 'control')
  return ok({})
}

function specificEntry(engine: Engine, call: SoapCall): SoapResult {
  const found = entry(engine, call)
  if (found === 'unreadable') return bad(engine, call, 402, 'arguments that cannot be read')
  if (found === undefined || engine.faults.has('unlisted', 'control')) return { code: 714 }
  return ok(describe(engine, found))
}

function genericEntry(engine: Engine, call: SoapCall): SoapResult {
  const index = readNumber(call, 'NewPortMappingIndex', 65_535)
  if (index === undefined) return bad(engine, call, 402, 'arguments that cannot be read')
  const found = engine.table.list().filter((each) => each.family === 4)[index]
  if (found === undefined || engine.faults.has('unlisted', 'control')) return { code: 713 }
  return ok({
    NewRemoteHost: '',
    NewExternalPort: found.externalPort,
    NewProtocol: found.protocol.toUpperCase(),
    ...describe(engine, found)
  })
}

function entry(engine: Engine, call: SoapCall): Mapping | undefined | 'unreadable' {
  const port = readNumber(call, 'NewExternalPort', 65_535)
  const protocol = readProtocol(call)
  if (port === undefined || protocol === undefined) return 'unreadable'
  return engine.table.findByExternal(4, protocol, port)
}

const describe = (engine: Engine, mapping: Mapping): Record<string, string | number> => ({
  NewInternalPort: mapping.internalPort,
  NewInternalClient: mapping.internalAddress,
  NewEnabled: 1,
  NewPortMappingDescription: mapping.description,
  NewLeaseDuration:
    engine.faults.strike('shown-lease', 'control')?.seconds ??
    (Number.isFinite(mapping.expiresAt) ? Math.ceil((mapping.expiresAt - engine.clock.monotonicMs()) / 1000) : 0)
})

/** Returns a fault and records the violation of the client. */
export function bad(engine: Engine, call: SoapCall, code: number, what: string): SoapFault {
  engine.violation(`upnp: ${call.action} with ${what}`)
  return { code }
}

export const ok = (values: Readonly<Record<string, string | number>>): SoapResult => new Map(Object.entries(values))

/** Returns a ui2 or ui4 argument, which must consist of digits; undefined if it is invalid. */
export function readNumber(call: SoapCall, name: string, max: number): number | undefined {
  const text = call.values.get(name) ?? ''
  return /^\d{1,10}$/.test(text) && Number(text) <= max ? Number(text) : undefined
}

function readProtocol(call: SoapCall): 'tcp' | 'udp' | undefined {
  const text = call.values.get('NewProtocol')
  return text === 'TCP' ? 'tcp' : text === 'UDP' ? 'udp' : undefined
}
