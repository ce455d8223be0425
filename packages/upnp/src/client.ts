import { type CallOptions, isNatError, type NatError, natError } from '@postern/interface'
import { type AnswerTimes, orAborted } from '@postern/net'
import type { Service } from './description.js'
import { callAction, type Device, mayChoke, slowGapMs, type Web } from './device.js'
import { faultError, type SoapArguments, type SoapReply } from './soap.js'

/** go-ethereum found routers that answer 500 to calls that follow each other faster than the first (issue 21370). Others
 * take one call a second and close the connection of a second one. */
const gapsMs = [200, slowGapMs]

/** Calls actions of one device: one at a time, since several routers handle no second request meanwhile. */
export interface Client {
  /** How long the device took to answer. */
  readonly times: AnswerTimes
  /** What is known of the device now. */
  readonly device: Device
  /** Goes on with the device where, and as, it was found again. */
  move(device: Device): void
  /** The same device, asked from another address of this host: routers map to the address that they are asked from. */
  from(localAddress: string): Client
  /** Rejects with what went wrong on the way; a fault of the device is an answer. */
  call(kind: Service['kind'], action: string, values: SoapArguments, call: CallOptions): Promise<SoapReply>
}

export interface ClientOptions {
  readonly web: Web
  readonly device: Device
  /** Searches for the device: it refuses connections where it was. */
  readonly lookAgain: (call: CallOptions) => Promise<Device>
  /** The address that requests have to come from. */
  readonly localAddress?: string
}

/** Checks, which a mapping does without. */
const lists: ReadonlySet<string> = new Set(['GetSpecificPortMappingEntry', 'GetGenericPortMappingEntry'])
/** Once such a check got no answer twice in a row, it is not asked for so long, in ms: each time costs a slow router's time. */
const silenceMs = 15 * 60_000
const maxSilences = 2

/** Calling these twice could make two of what is wanted once. */
const once: ReadonlySet<string> = new Set(['AddAnyPortMapping', 'AddPinhole'])

export function createClient({ web, device: first, lookAgain, localAddress }: ClientOptions): Client {
  let device = first
  /** How long each call waits. */
  let gapMs = 0
  /** Actions that fail however slowly they are called. */
  const broken = new Set<string>()
  /** How often in a row an action got no answer, and since when. */
  const silences = new Map<string, { readonly times: number; readonly sinceMs: number }>()

  async function ask(
    kind: Service['kind'],
    action: string,
    values: SoapArguments,
    call: CallOptions,
    from: string | undefined
  ): Promise<SoapReply> {
    const service = device[kind]
    // The device may come back without the service, after an update of its firmware for example.
    if (service === undefined) throw faultError(action, 401, '')
    if (gapMs > 0) await web.clock.sleep(gapMs, call)
    return callAction(web, service, action, values, call, from)
  }

  async function askUnlessSilent(...request: Parameters<typeof ask>): Promise<SoapReply> {
    const [, action] = request
    if (!lists.has(action)) return askPatiently(...request)
    const silence = silences.get(action) ?? { times: 0, sinceMs: 0 }
    if (silence.times >= maxSilences && web.clock.monotonicMs() - silence.sinceMs < silenceMs)
      throw natError('NO_REPLY', `the router has not answered ${action} before`)
    try {
      const reply = await askPatiently(...request)
      silences.delete(action)
      return reply
    } catch (error) {
      if (isNatError(error) && error.code === 'NO_REPLY')
        silences.set(action, { times: silence.times + 1, sinceMs: web.clock.monotonicMs() })
      throw error
    }
  }

  async function askPatiently(...request: Parameters<typeof ask>): Promise<SoapReply> {
    const [, action, , call] = request
    call.signal.throwIfAborted()
    try {
      return await ask(...request)
    } catch (error) {
      call.signal.throwIfAborted()
      if (!isNatError(error)) throw error
      if (error.code === 'REFUSED') {
        // The control port changes when the router starts again. Once, or it would go on for ever.
        const before = device
        const again = await lookAgain(call).catch((reason: unknown) => {
          call.signal.throwIfAborted()
          if (isNatError(reason)) throw error
          throw reason
        })
        // An announcement may have led to the device meanwhile; that is the later news.
        if (device === before) device = again
        return ask(...request)
      }
      // A status that says no is certain that nothing was done; with the others it may have been.
      const choked = once.has(action) ? error.code === 'GATEWAY_FAULT' : mayChoke(error)
      if (!choked || broken.has(action)) throw error
      return askMoreSlowly(error, request)
    }
  }

  async function askMoreSlowly(failure: NatError, request: Parameters<typeof ask>): Promise<SoapReply> {
    const [, action, , call] = request
    const before = gapMs
    let last = failure
    for (const slower of gapsMs.filter((each) => each > before)) {
      gapMs = slower
      try {
        return await ask(...request)
      } catch (error) {
        gapMs = before
        call.signal.throwIfAborted()
        if (!isNatError(error) || !mayChoke(error)) throw error
        last = error
        // It may have done what must not be done twice.
        if (once.has(action) && error.code !== 'GATEWAY_FAULT') throw error
      }
    }
    // Slower is no better: it fails for another reason.
    broken.add(action)
    throw last
  }

  const view = (from: string | undefined): Client => ({
    times: web.times,
    get device() {
      return device
    },
    move(found) {
      device = found
    },
    from: view,
    call(kind, action, values, call) {
      // A caller that gives up does not wait for what is under way.
      return orAborted(
        web.inTurn(() => askUnlessSilent(kind, action, values, call, from), call),
        call
      )
    }
  })
  return view(localAddress)
}
