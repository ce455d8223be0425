import { type CallOptions, isNatError, type NatError, natError, orAborted } from '@postern/interface'
import { type AnswerTimes } from '@postern/net'
import type { Service } from './description.js'
import { callAction, type Device, mayChoke, slowGapMs, type Web } from './device.js'
import { faultError, type SoapArguments, type SoapReply } from './soap.js'

/** The pauses before each call, in ms, for routers that fail without one. Some answer 500 to calls in quick succession
 * (go-ethereum issue 21370). Others accept one call a second, and close the connection of a second one. */
const gapsMs = [200, slowGapMs]

/** Calls the actions of one device, one at a time: several routers cannot handle concurrent requests. */
export interface Client {
  /** How long the device takes to answer. */
  readonly times: AnswerTimes
  /** The device, as it was last examined. */
  readonly device: Device
  /** Replaces the device by a newer examination of it, possibly at another location. */
  move(device: Device): void
  /** Returns a client for the same device that asks from another address of this host: routers map to the address that
   * asks. */
  from(localAddress: string): Client
  /** Calls an action. Resolves to the values or to a fault of the device. Rejects with a NatError if there was no
   * usable answer. */
  call(kind: Service['kind'], action: string, values: SoapArguments, call: CallOptions): Promise<SoapReply>
}

/** The options of {@link createClient}. */
export interface ClientOptions {
  readonly web: Web
  readonly device: Device
  /** Searches for the device again after its control port refused a connection. */
  readonly lookAgain: (call: CallOptions) => Promise<Device>
  /** The local address to send requests from. */
  readonly localAddress?: string
}

/** The actions that only check a mapping; mapping works without their answers. */
const lists: ReadonlySet<string> = new Set(['GetSpecificPortMappingEntry', 'GetGenericPortMappingEntry'])
/** How long such an action is skipped after it got no answer twice in a row, in ms: each call waits for the full time
 * limit. */
const silenceMs = 15 * 60_000
const maxSilences = 2

/** Actions that are not idempotent: a retry could create a second mapping. */
const once: ReadonlySet<string> = new Set(['AddAnyPortMapping', 'AddPinhole'])

/** Creates the client of one device. */
export function createClient({ web, device: first, lookAgain, localAddress }: ClientOptions): Client {
  let device = first
  /** The pause before each call. */
  let gapMs = 0
  /** Actions that fail even with the longest pause. */
  const broken = new Set<string>()
  /** How often in a row an action got no answer, and when that happened last. */
  const silences = new Map<string, { readonly times: number; readonly sinceMs: number }>()

  async function ask(
    kind: Service['kind'],
    action: string,
    values: SoapArguments,
    call: CallOptions,
    from: string | undefined
  ): Promise<SoapReply> {
    const service = device[kind]
    // The device may return without the service, after an update of its firmware for example.
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
        // The control port changes when the router restarts. Search only once, to avoid an endless loop.
        const before = device
        const again = await lookAgain(call).catch((reason: unknown) => {
          call.signal.throwIfAborted()
          if (isNatError(reason)) throw error
          throw reason
        })
        // If an announcement led to the device meanwhile, its result is newer.
        if (device === before) device = again
        return ask(...request)
      }
      // After an error status certainly nothing was done. After the other errors the action may have been carried out.
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
        // The action may have been carried out, and must not be repeated.
        if (once.has(action) && error.code !== 'GATEWAY_FAULT') throw error
      }
    }
    // A longer pause does not help: the action fails for another reason.
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
      // A caller that aborts must not wait for the call in progress.
      return orAborted(
        web.inTurn(() => askUnlessSilent(kind, action, values, call, from), call),
        call
      )
    }
  })
  return view(localAddress)
}
