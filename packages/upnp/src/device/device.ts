import {
  type CallOptions,
  type Clock,
  classOf,
  familyOf,
  isGlobal,
  isNatError,
  isNeverExternal,
  type NatError,
  natError,
  type Queue
} from '@postern/interface'
import type { AnswerTimes, ExchangeHttp, HttpExchange, HttpReply } from '@postern/net'
import { alternativesTo, decodeDescription, type Service } from './description.js'
import type { Described } from './device-names.js'
import { decodeReply, encodeCall, faultError, readFault, type SoapArguments, type SoapReply } from './soap.js'
import { isWholeXml } from './xml.js'

const maxDescriptionBytes = 64 * 1024
const maxReplyBytes = 16 * 1024
/** The pause between requests, in ms, for routers that accept one a second and close the connection of a second one. */
export const slowGapMs = 1100

/** Returns whether a call may have failed because it came too soon after another one. */
export const mayChoke = ({ code }: NatError): boolean =>
  ['GATEWAY_FAULT', 'MALFORMED_REPLY', 'UNREACHABLE'].includes(code)

/** The time limit of the check whether a device is still present, in ms, unless it was slower before. */
const checkTimeoutMs = 3000

/** The means to talk HTTP to one device. */
export interface Web {
  readonly clock: Clock
  readonly exchangeHttp: ExchangeHttp
  /** How long the device takes to answer. */
  readonly times: AnswerTimes
  /** The queue of action calls. */
  readonly inTurn: Queue
}

/** The external address of the router, and when the router told it, on the monotonic clock. */
export interface External {
  readonly address: string
  readonly atMs: number
}

/** A device that can open ports, as it was last examined. */
export interface Device {
  readonly location: URL
  readonly uuid: string | undefined
  readonly bootId: number | undefined
  /** The name of the device, for display. */
  readonly name: string
  /** The service that maps IPv4 ports. */
  readonly connection: Service | undefined
  /** The services to try if that service does not map. */
  readonly alternatives: readonly Service[]
  /** The external address that the service told; undefined if there is a `reason` or a `silence`. */
  readonly external: External | undefined
  /** The service that opens IPv6 pinholes. */
  readonly firewall: Service | undefined
  /** Why the device cannot map IPv4 ports. */
  readonly reason: NatError | undefined
  /** Why the device does not tell its external address although it answers. It may still map ports. */
  readonly silence: NatError | undefined
}

/** What becomes known while a device is examined. */
export interface Progress {
  /** Called with what is requested next. */
  readonly step?: (what: string) => void
  /** Called with the names of the device, if it is a router. */
  readonly described?: (names: Described) => void
}

/** Fetches the description of a device and chooses a connection service. Of several, it prefers one that is connected
 * and has a public external address. Rejects with a NatError if the device cannot be used. */
export async function examineDevice(
  web: Web,
  location: URL,
  identity: Pick<Device, 'uuid' | 'bootId'>,
  call: CallOptions,
  { step = nothing, described = nothing }: Progress = {}
): Promise<Device> {
  step('its description')
  const { name, services } = decodeDescription(await fetchDescription(web, location, call), location, described)
  step('its external address')
  const connections = services.filter(({ kind }) => kind === 'connection')
  const { service, external, reason, silence } = await chooseConnection(web, connections, call)
  return {
    location,
    uuid: identity.uuid,
    bootId: identity.bootId,
    name,
    connection: service,
    alternatives: alternativesTo(service, connections),
    external,
    firewall: services.find(({ kind }) => kind === 'firewall'),
    reason,
    silence
  }
}

const nothing = (): void => undefined

/** Makes one exchange, with the time limit of a slow router: adding a mapping can restart a firewall, which takes
 * seconds on small machines. */
async function exchange(
  { clock, exchangeHttp, times }: Web,
  asked: Omit<HttpExchange, 'clock' | 'timeoutMs'>,
  call: CallOptions,
  timeoutMs: number = times.limitMs()
): Promise<HttpReply> {
  const beganMs = clock.monotonicMs()
  const reply = await exchangeHttp({ ...asked, isWhole: isWholeXml, timeoutMs, clock }, call)
  times.note(clock.monotonicMs() - beganMs)
  return reply
}

/** Resolves if the device still serves its description. Sends one request, which changes nothing. Rejects with a
 * NatError otherwise. */
export async function checkDevice(web: Web, location: URL, call: CallOptions): Promise<void> {
  await fetchDescription(web, location, call, Math.max(checkTimeoutMs, 3 * web.times.slowestMs()))
}

/** Resolves to the bytes of the description, unparsed. Rejects with `MALFORMED_REPLY` for an error status. */
async function fetchDescription(web: Web, location: URL, call: CallOptions, limitMs?: number): Promise<Uint8Array> {
  const reply = await exchange(web, { url: location, maxBytes: maxDescriptionBytes }, call, limitMs)
  // Redirects are not followed: they could lead anywhere.
  if (!isFine(reply.status)) {
    throw natError('MALFORMED_REPLY', `the router answers with status ${reply.status} instead of its description`)
  }
  return reply.body
}

type Told = Pick<Device, 'external' | 'reason' | 'silence'>

interface Choice extends Told {
  readonly service: Service | undefined
}

async function chooseConnection(web: Web, services: readonly Service[], call: CallOptions): Promise<Choice> {
  let best: (Choice & { readonly score: number }) | undefined
  // The newest version first: a service that is listed as :1 and as :2 is the same service.
  for (const service of services.toSorted((a, b) => rank(b) - rank(a))) {
    const told = await askExternal(web, service, call)
    const { external, reason, silence } = told
    const isUp = services.length === 1 || (await isConnected(web, service, call))
    const isPublic = external !== undefined && isGlobal(external.address)
    const score = (isPublic ? 4 : 0) + (reason !== undefined ? 0 : silence === undefined ? 2 : 1) + (isUp ? 1 : 0)
    if (best === undefined || score > best.score) best = { ...told, service, score }
    if (score === 7) break
  }
  if (best !== undefined) return best
  const reason = natError('NO_SERVICE', 'the device does not map IPv4 ports')
  return { service: undefined, external: undefined, reason, silence: undefined }
}

const rank = ({ version, isLegacy }: Service): number => (isLegacy ? 0 : version)

async function askExternal(web: Web, service: Service, call: CallOptions): Promise<Told> {
  try {
    const asked = (): Promise<SoapReply> => callAction(web, service, 'GetExternalIPAddress', {}, call)
    const reply = await asked().catch(async (error: unknown) => {
      call.signal.throwIfAborted()
      if (!isNatError(error) || !mayChoke(error)) throw error
      // The request followed directly after the one for the description.
      await web.clock.sleep(slowGapMs, call)
      return asked()
    })
    const address = readExternalAddress(reply)
    return { external: { address, atMs: web.clock.monotonicMs() }, reason: undefined, silence: undefined }
  } catch (error) {
    if (!isNatError(error)) throw error
    const isSilent = isNoAddress(error)
    // The service answers this action with a fault, but other actions may work. A service that does not answer at all
    // is absent.
    if (isSilent && (hasAnswered(error) || (await readStatus(web, service, call)) !== undefined)) {
      return { external: undefined, reason: undefined, silence: error }
    }
    if (error.code !== 'NETWORK_FAILURE' || !(await isConnected(web, service, call))) {
      return { external: undefined, reason: error, silence: undefined }
    }
    // Connected without an address: miniupnpd hides a reserved address this way.
    const message = 'the router is connected and tells no external address, as routers with a reserved one do'
    return { external: undefined, reason: natError('EXTERNAL_ADDRESS_RESERVED', message), silence: undefined }
  }
}

/** The codes for a router without an external address, or with a useless one. */
const hasNone: ReadonlySet<string> = new Set([
  'NETWORK_FAILURE',
  'EXTERNAL_ADDRESS_RESERVED',
  'CARRIER_NAT',
  'DOUBLE_NAT'
])

/** Returns whether the question for the external address failed in a way that does not rule out mapping: the action is
 * missing or broken. False if nothing listens any more, or if the router says that it has no address. */
export const isNoAddress = ({ code }: NatError): boolean =>
  code !== 'REFUSED' && code !== 'STRATEGY_FAULT' && !hasNone.has(code)

/** Returns whether a failure shows that the device answers actions. `NOT_AUTHORIZED` does not: one action may need a
 * login, or all. */
const hasAnswered = ({ code }: NatError): boolean => !['NO_REPLY', 'UNREACHABLE', 'NOT_AUTHORIZED'].includes(code)

const isConnected = async (web: Web, service: Service, call: CallOptions): Promise<boolean> =>
  (await readStatus(web, service, call)) === 'connected'

/** Resolves to the status of the connection, in lower case; empty if the router refuses to tell it, undefined if it
 * does not answer. */
async function readStatus(web: Web, service: Service, call: CallOptions): Promise<string | undefined> {
  try {
    const reply = await callAction(web, service, 'GetStatusInfo', {}, call)
    return reply.ok ? (reply.values.get('newconnectionstatus')?.toLowerCase() ?? '') : ''
  } catch (error) {
    if (isNatError(error)) return undefined
    throw error
  }
}

/**
 * Reads the external address of the router from an answer. Throws a NatError if there is none, or if no router can have
 * such an external address.
 *
 * Accepts a private, carrier-grade or reserved address, as with NAT-PMP and PCP: another router in front of this one
 * may forward everything to it. Core treats such an address as a claim.
 */
export function readExternalAddress(reply: SoapReply): string {
  if (!reply.ok) throw faultError('GetExternalIPAddress', reply.fault, reply.description)
  const address = reply.values.get('newexternalipaddress') ?? ''
  const kind = classOf(address)
  if (address === '' || kind === 'unspecified') {
    throw natError('NETWORK_FAILURE', 'the router tells no external address: it has none, or a reserved one')
  }
  if (kind === undefined || familyOf(address) !== 4)
    throw natError('MALFORMED_REPLY', 'the external address that the router tells is not an IPv4 address')
  if (isNeverExternal(address))
    throw natError('EXTERNAL_ADDRESS_RESERVED', `the router's external address ${address} is ${kind}`)
  return address
}

const isFine = (status: number): boolean => status >= 200 && status < 300

/** Calls one action once, without retries. Resolves to the values or to a fault. */
export async function callAction(
  web: Web,
  service: Service,
  action: string,
  values: SoapArguments,
  call: CallOptions,
  localAddress?: string
): Promise<SoapReply> {
  const asked = {
    url: service.controlUrl,
    method: 'POST' as const,
    headers: { 'Content-Type': 'text/xml; charset="utf-8"', SOAPAction: `"${service.type}#${action}"` },
    body: encodeCall(service.type, action, values),
    maxBytes: maxReplyBytes,
    ...(localAddress === undefined ? {} : { localAddress })
  }
  const { status, body } = await exchange(web, asked, call)
  // The standard sends faults with status 500; some routers use 200.
  if (isFine(status) || (status === 500 && body.length > 0)) return decodeReply(body, action)
  // Some firmware uses another status for a fault, or the fault number as the status.
  const fault = status >= 400 ? readFault(body, action) : undefined
  if (fault !== undefined) return fault
  if (status === 401 || status === 403) throw natError('NOT_AUTHORIZED', `${action}: the router requires a login`)
  throw natError('GATEWAY_FAULT', `${action}: the router answers with status ${status}`)
}
