import {
  type CallOptions,
  type Clock,
  classOf,
  familyOf,
  isGlobal,
  isNeverExternal,
  isNatError,
  type NatError,
  natError
} from '@postern/interface'
import type { AnswerTimes, ExchangeHttp, HttpExchange, HttpReply, Queue } from '@postern/net'
import { alternativesTo, decodeDescription, type Service } from './description.js'
import { decodeReply, encodeCall, faultError, readFault, type SoapArguments, type SoapReply } from './soap.js'
import { isWholeXml } from './xml.js'

const maxDescriptionBytes = 64 * 1024
const maxReplyBytes = 16 * 1024
/** Some routers take one request a second, and close the connection of a second one. */
export const slowGapMs = 1100

/** Whether a call may have failed because it came too soon after another one. */
export const mayChoke = ({ code }: NatError): boolean =>
  ['GATEWAY_FAULT', 'MALFORMED_REPLY', 'UNREACHABLE'].includes(code)

/** Whether a device is still there is found out so fast, in ms, unless it has taken longer before. */
const checkTimeoutMs = 3000

/** What talking HTTP to a device takes. */
export interface Web {
  readonly clock: Clock
  readonly exchangeHttp: ExchangeHttp
  /** How long the device took to answer. */
  readonly times: AnswerTimes
  /** Whose turn it is to call an action. */
  readonly inTurn: Queue
}

/** The router's external address, and when it told it on the monotonic clock. */
export interface External {
  readonly address: string
  readonly atMs: number
}

/** A device that can open ports, as it was when last looked at. */
export interface Device {
  readonly location: URL
  readonly uuid: string | undefined
  readonly bootId: number | undefined
  /** For people. */
  readonly name: string
  /** The service that maps IPv4 ports. */
  readonly connection: Service | undefined
  /** What may map them where that service does not. */
  readonly alternatives: readonly Service[]
  /** What that service told; undefined where there is a reason. */
  readonly external: External | undefined
  /** The service that opens IPv6 pinholes. */
  readonly firewall: Service | undefined
  /** Why it cannot map IPv4 ports although it has the service. */
  readonly reason: NatError | undefined
  /** Why it tells no external address, although it answers: it may map ports all the same. */
  readonly silence: NatError | undefined
}

/** Fetches the description and decides which of its services to use: one that is connected and has an external address
 * which the internet can reach, where there are several. Throws what is wrong with the device. */
export async function examineDevice(
  web: Web,
  location: URL,
  identity: Pick<Device, 'uuid' | 'bootId'>,
  call: CallOptions,
  step: (what: string) => void = () => undefined
): Promise<Device> {
  step('its description')
  const { name, services } = decodeDescription(await fetchDescription(web, location, call), location)
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

/** One exchange, which may take as long as a slow router does: adding a mapping can restart a firewall, and that takes
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

/** Whether the device still serves its description. Sends one request, which changes nothing. Rejects with a NatError where
 * it does not. */
export async function checkDevice(web: Web, location: URL, call: CallOptions): Promise<void> {
  await fetchDescription(web, location, call, Math.max(checkTimeoutMs, 3 * web.times.slowestMs()))
}

/** The bytes of a description, not looked at. Rejects with `MALFORMED_REPLY` where something else is answered. */
async function fetchDescription(web: Web, location: URL, call: CallOptions, limitMs?: number): Promise<Uint8Array> {
  const reply = await exchange(web, { url: location, maxBytes: maxDescriptionBytes }, call, limitMs)
  // A redirect is not followed: it could lead anywhere.
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
  // The newest version first: a service that is listed as :1 and as :2 is the same one.
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
      // It came right after the description.
      await web.clock.sleep(slowGapMs, call)
      return asked()
    })
    const address = readExternalAddress(reply)
    return { external: { address, atMs: web.clock.monotonicMs() }, reason: undefined, silence: undefined }
  } catch (error) {
    if (!isNatError(error)) throw error
    const isSilent = isNoAddress(error)
    // It answers this action with a fault, and may have others that work. What does not answer at all is not there.
    if (isSilent && (hasAnswered(error) || (await readStatus(web, service, call)) !== undefined)) {
      return { external: undefined, reason: undefined, silence: error }
    }
    if (error.code !== 'NETWORK_FAILURE' || !(await isConnected(web, service, call))) {
      return { external: undefined, reason: error, silence: undefined }
    }
    // Connected without an address: this is how miniupnpd hides one that is reserved.
    const message = 'the router is connected and tells no external address, as routers with a reserved one do'
    return { external: undefined, reason: natError('EXTERNAL_ADDRESS_RESERVED', message), silence: undefined }
  }
}

/** Codes by which a router says that it has no external address, or one that is of no use. */
const hasNone: ReadonlySet<string> = new Set([
  'NETWORK_FAILURE',
  'EXTERNAL_ADDRESS_RESERVED',
  'CARRIER_NAT',
  'DOUBLE_NAT'
])

/** Whether a question for the external address has failed in a way that says nothing of the mappings: the action is missing or
 * broken. Not where nothing listens any more, or where the router tells that it has no address. */
export const isNoAddress = ({ code }: NatError): boolean =>
  code !== 'REFUSED' && code !== 'STRATEGY_FAULT' && !hasNone.has(code)

/** Whether a failure shows that the device answers actions. A login may be wanted for one of them, or for all. */
const hasAnswered = ({ code }: NatError): boolean => !['NO_REPLY', 'UNREACHABLE', 'NOT_AUTHORIZED'].includes(code)

const isConnected = async (web: Web, service: Service, call: CallOptions): Promise<boolean> =>
  (await readStatus(web, service, call)) === 'connected'

/** The status of the connection, in lower case; empty where the router refuses to tell it. Undefined where it does not answer. */
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
 * The router's external address; throws where no router can have such a one on its outer side.
 *
 * A private, carrier-grade or reserved one is used, as with NAT-PMP and PCP: a router in front of this one may forward
 * everything to it. Core takes such an address for a claim.
 */
export function readExternalAddress(reply: SoapReply): string {
  if (!reply.ok) throw faultError('GetExternalIPAddress', reply.fault, reply.description)
  const address = reply.values.get('newexternalipaddress') ?? ''
  const kind = classOf(address)
  if (address === '' || kind === 'unspecified') {
    throw natError('NETWORK_FAILURE', 'the router tells no external address: it has none, or a reserved one')
  }
  if (kind === undefined || familyOf(address) !== 4)
    throw natError('MALFORMED_REPLY', 'the external address that the router tells is no IPv4 address')
  if (isNeverExternal(address))
    throw natError('EXTERNAL_ADDRESS_RESERVED', `the router's external address ${address} is ${kind}`)
  return address
}

const isFine = (status: number): boolean => status >= 200 && status < 300

/** One action, once. */
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
  // Faults come with 500 by the standard, and with 200 from some.
  if (isFine(status) || (status === 500 && body.length > 0)) return decodeReply(body, action)
  // By firmware that knows no 500, or takes the number of the fault for a status.
  const fault = status >= 400 ? readFault(body, action) : undefined
  if (fault !== undefined) return fault
  if (status === 401 || status === 403) throw natError('NOT_AUTHORIZED', `${action}: the router wants a login`)
  throw natError('GATEWAY_FAULT', `${action}: the router answers with status ${status}`)
}
