import {
  type Arrival,
  abortReason,
  anySignal,
  type CallOptions,
  canonicalAddress,
  type Evidence,
  familyOf,
  isNatError,
  type MultiaddrText,
  type Network,
  natError,
  networkPrefixOf,
  parseMultiaddr,
  type ServerHost,
  type TransportAddress,
  type Witness
} from '@postern/interface'
import { decodeBindingIndication, type EarlyConnection, prefixesOf } from '@postern/net'
import type { Settings } from '../options.js'
import type { ServerUrl } from '../server-url.js'
import { nonceLength, type Place, type VerifyReply } from '../wire/messages.js'
import { logArrivals } from './arrival-log.js'
import { ask, OtherAddressError } from './ask.js'
import { judgeMissing, type Scene, unproven, whyNoProof } from './judge.js'

/** How long after the reply a connection may still be accepted, in milliseconds: the event loop may be busy. */
const acceptMs = 1000
/** How long after the reply datagrams may still arrive, in milliseconds: the last one is sent after 1 s. */
const receiveMs = 2500

const over = abortReason('the question is over')

/** What all witnesses of one discovery share. */
export interface Asking {
  readonly host: ServerHost
  readonly settings: Settings
  readonly network: Network
}

/** How a witness is connected to its discovery. */
export interface Connected {
  /** A connection for the first question, if it is still open then. */
  readonly early?: EarlyConnection | undefined
  /** Called when the server sees this host at another address than the one in question, before `verify` resolves. */
  readonly seesAnother?: (call: CallOptions) => Promise<void>
}

/** Creates the witness that is one address of a server. */
export function createWitness(
  asking: Asking,
  server: ServerUrl,
  serverAddress: string,
  { early, seesAnother }: Connected = {}
): Witness {
  const { host, settings, network } = asking
  const address = canonicalAddress(serverAddress) ?? serverAddress
  const family = familyOf(address)
  const name = family === 6 ? `[${address}]:${server.port}` : `${address}:${server.port}`

  return {
    kind: 'witness',
    party: { id: name, network: networkPrefixOf(address) ?? '' },
    ...(family === undefined ? {} : { family }),
    async verify(text, call) {
      call.signal.throwIfAborted()
      const place = placeToVerify(text, settings)
      if (place.family !== family) {
        const reason = natError('UNSUPPORTED', `the witness ${name} dials addresses of its own family only`)
        return { outcome: 'inconclusive', reason }
      }
      const own = new Set(network.addresses.map((each) => canonicalAddress(each)))
      const subnets = new Set(network.addresses.map((each) => prefixesOf(each)?.subnet))
      const scene: Scene = {
        name: `the witness ${name}`,
        external: place.address,
        isOutside: (each) => settings.mayAsk(each) && !subnets.has(prefixesOf(each)?.subnet)
      }
      const nonce = crypto.getRandomValues(new Uint8Array(nonceLength))
      const end = new AbortController()
      const bounded = { signal: anySignal([call.signal, end.signal]) }
      const isMine = (arrival: Arrival): boolean => {
        if (place.protocol === 'udp' && !hasNonce(arrival, nonce)) return false
        // The application may look before the witness has told its port.
        if (place.protocol === 'udp' || arrival.remoteAddress === address) arrival.recognize()
        return true
      }
      try {
        const log = logArrivals(host, place.protocol, isMine, bounded)
        const reply = await ask(
          {
            server,
            serverAddress: address,
            // A host with several addresses of its own must ask from the one in question.
            localAddress: own.has(place.address) ? place.address : undefined,
            request: { ...place, nonce, holdMs: settings.holdMs },
            early
          },
          settings,
          host.clock,
          bounded
        )
        const evidence = await (place.protocol === 'tcp' ? judgeTcp : judgeUdp)({ reply, log, scene, address })
        call.signal.throwIfAborted()
        return evidence
      } catch (error) {
        call.signal.throwIfAborted()
        if (!isNatError(error)) throw error
        if (error.cause instanceof OtherAddressError) await seesAnother?.(bounded)
        return { outcome: 'inconclusive', reason: error }
      } finally {
        end.abort(over)
      }
    }
  }
}

/** Parses the address to verify. Throws a NatError, ADDRESS_NOT_ROUTABLE, if no witness may be asked about it. */
function placeToVerify(
  text: MultiaddrText,
  { mayVerify }: Settings
): Pick<TransportAddress, 'family' | 'address' | 'protocol' | 'port'> {
  const parsed = parseMultiaddr(text)
  const address = canonicalAddress(parsed?.address ?? '')
  const isDirect = parsed !== undefined && parsed.port > 0 && !parsed.rest.includes('/p2p-circuit')
  if (!isDirect || address === undefined || familyOf(address) !== parsed.family || !mayVerify(address))
    throw natError('ADDRESS_NOT_ROUTABLE', `${text} is not a direct address that is reachable from the internet`)
  return { family: parsed.family, address, protocol: parsed.protocol, port: parsed.port }
}

const hasNonce = ({ bytes }: Arrival, nonce: Uint8Array): boolean => {
  const id = bytes === undefined ? undefined : decodeBindingIndication(bytes)
  return id !== undefined && id.every((byte, at) => byte === nonce[at])
}

interface Heard {
  readonly reply: VerifyReply
  readonly log: ReturnType<typeof logArrivals>
  readonly scene: Scene
  /** The IP address of the server. */
  readonly address: string
}

/** Returns the place that the reply names, as this host sees it. A server behind a NAT that keeps ports, as in most
 * clouds, knows only its private address; its external one is that of its URL. */
const placeSeen = (from: Place, { address, scene }: Heard): Place =>
  scene.isOutside(from.address) ? from : { address, port: from.port }

async function judgeTcp(heard: Heard): Promise<Evidence> {
  const { reply, log, scene, address } = heard
  if (!('from' in reply)) {
    const isContrary = log.all().some(({ remoteAddress }) => remoteAddress === address)
    if (isContrary) return unproven(`${scene.name} says that it could not connect, and a connection from it arrived`)
    return { outcome: 'unreachable', reason: reasonOf(reply.outcome, scene) }
  }
  const from = placeSeen(reply.from, heard)
  const why = whyNoProof(from.address, scene)
  if (why !== undefined)
    return unproven(`${scene.name} says that it connected, and names a place that proves nothing: ${why}`)
  const arrival = await log.find(from, acceptMs)
  if (arrival === undefined) return judgeMissing(log.all(), scene)
  arrival.recognize()
  return { outcome: 'reachable' }
}

function reasonOf(outcome: 'refused' | 'timeout' | 'unreachable', { name }: Scene): Error & { readonly code: string } {
  if (outcome === 'refused') return natError('REFUSED', `${name} was refused`)
  if (outcome === 'unreachable') return natError('UNREACHABLE', `${name} was told on the way that there is no path`)
  return natError('NO_REPLY', `${name} got no answer`)
}

async function judgeUdp(heard: Heard): Promise<Evidence> {
  const { reply, log, scene } = heard
  if (!('from' in reply)) return { outcome: 'unreachable', reason: reasonOf(reply.outcome, scene) }
  const from = placeSeen(reply.from, heard)
  const arrival = await log.any(receiveMs)
  if (arrival === undefined)
    return { outcome: 'unreachable', reason: natError('NO_REPLY', `no datagram of ${scene.name} arrived`) }
  const why = whyNoProof(arrival.remoteAddress, scene)
  if (why !== undefined) return unproven(`a datagram of ${scene.name} arrived, and ${why}`)
  if ((await log.find(from, 0)) !== undefined) return { outcome: 'reachable' }
  return unproven(`a datagram of ${scene.name} arrived from another place than it names`)
}
