import { canonicalAddress, familyOf, type Protocol } from '@postern/interface'
import { countOperation } from './counters.js'
import { type Engine, forgetfulExpiry, remove } from './engine.js'
import { bad, badArguments, ok, readNumber } from './igd.js'
import type { Mapping } from './mapping-table.js'
import type { SoapCall, SoapResult } from './soap.js'
import type { Sender } from './transport.js'

/** WANIPv6FirewallControl:1 §2.4. */
const wanted: ReadonlyMap<string, readonly string[]> = new Map([
  ['GetFirewallStatus', []],
  ['AddPinhole', ['RemoteHost', 'RemotePort', 'InternalClient', 'InternalPort', 'Protocol', 'LeaseTime']],
  ['UpdatePinhole', ['UniqueID', 'NewLeaseTime']],
  ['DeletePinhole', ['UniqueID']],
  ['CheckPinholeWorking', ['UniqueID']],
  ['GetPinholePackets', ['UniqueID']]
])

const protocols: ReadonlyMap<number, Protocol> = new Map([
  [6, 'tcp'],
  [17, 'udp']
])

/** Answers an action of WANIPv6FirewallControl:1. */
export function answerFirewall(engine: Engine, call: SoapCall, caller: Sender): SoapResult {
  const { action } = call
  countOperation(engine.counters.control, action)
  const names = wanted.get(action)
  if (names === undefined) {
    engine.counters.control.unknown += 1
    engine.violation(`upnp: unknown action ${action} of ${call.serviceType}`)
    return { code: 401 }
  }
  const fault = badArguments(engine, call, names)
  if (fault !== undefined) return fault
  const { enabled, pinholesAllowed } = engine.upnp.firewall
  if (action === 'GetFirewallStatus')
    return ok({ FirewallEnabled: enabled ? 1 : 0, InboundPinholeAllowed: pinholesAllowed ? 1 : 0 })
  if (!enabled) return { code: 702 }
  if (!pinholesAllowed) return { code: 703 }
  if (action === 'AddPinhole') return addPinhole(engine, call, caller)

  const id = readNumber(call, 'UniqueID', 65_535)
  const pinhole = engine.table.list().find((each) => each.family === 6 && each.id === id)
  if (pinhole === undefined) return { code: 704 }
  if (pinhole.internalAddress !== caller.address)
    return bad(engine, call, 606, `the pinhole of ${pinhole.internalAddress} from ${caller.address}`)
  if (action === 'UpdatePinhole') return updatePinhole(engine, call, pinhole)
  if (action === 'DeletePinhole') {
    remove(engine, pinhole, 'control')
    return ok({})
  }
  return action === 'CheckPinholeWorking' ? ok({ IsWorking: 1 }) : ok({ PinholePackets: 0 })
}

function addPinhole(engine: Engine, call: SoapCall, caller: Sender): SoapResult {
  const internalPort = readNumber(call, 'InternalPort', 65_535)
  const number = readNumber(call, 'Protocol', 65_535)
  const client = canonicalAddress(call.values.get('InternalClient') ?? '')
  if (internalPort === undefined || number === undefined || client === undefined || familyOf(client) !== 6)
    return bad(engine, call, 402, 'arguments that cannot be read')
  if (client !== canonicalAddress(caller.address))
    return bad(engine, call, 606, `InternalClient ${client} from ${caller.address}`)
  if (internalPort === 0) return bad(engine, call, 706, 'internal port 0')
  const protocol = protocols.get(number)
  if (protocol === undefined) return { code: number === 65_535 ? 707 : 705 }
  const seconds = readLease(engine, call, 'LeaseTime')
  if (seconds === undefined) return bad(engine, call, 402, `a lease of ${call.values.get('LeaseTime')} s`)

  const now = engine.clock.monotonicMs()
  const change = {
    expiresAt: forgetfulExpiry(engine, 'control', now, seconds),
    grantedAt: now,
    clientPort: caller.port,
    lastVia: 'upnp' as const
  }
  if (engine.faults.strike('lie', 'control') !== undefined) return ok({ UniqueID: 1 })
  // §2.4.2: a repeated request for the same pinhole gets the same identifier.
  const existing = engine.table.findByInternal(6, protocol, caller.address, internalPort)
  if (existing !== undefined) {
    engine.counters.control.renewals += 1
    engine.table.change(existing, change)
    return ok({ UniqueID: existing.id })
  }
  if (engine.table.list().length >= engine.limits.maxMappings) return { code: 701 }
  engine.counters.control.maps += 1
  const { id } = engine.table.add({
    family: 6,
    protocol,
    externalAddress: caller.address,
    externalPort: internalPort,
    internalAddress: caller.address,
    internalPort,
    nonce: null,
    via: 'upnp',
    description: '',
    ...change
  })
  return ok({ UniqueID: id })
}

function updatePinhole(engine: Engine, call: SoapCall, pinhole: Mapping): SoapResult {
  const seconds = readLease(engine, call, 'NewLeaseTime')
  if (seconds === undefined) return bad(engine, call, 402, `a lease of ${call.values.get('NewLeaseTime')} s`)
  const now = engine.clock.monotonicMs()
  engine.counters.control.renewals += 1
  engine.table.change(pinhole, { expiresAt: forgetfulExpiry(engine, 'control', now, seconds), grantedAt: now })
  return ok({})
}

/** Returns the lease, which must be from 1 s to one day (§2.3.7). */
function readLease(engine: Engine, call: SoapCall, name: string): number | undefined {
  const seconds = readNumber(call, name, 86_400)
  if (seconds === undefined || seconds === 0) return undefined
  return (
    engine.faults.strike('grant', 'control', (each) => each.lifetimeSeconds !== undefined)?.lifetimeSeconds ?? seconds
  )
}
