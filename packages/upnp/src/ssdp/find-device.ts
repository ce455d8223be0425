import {
  anySignal,
  type CallOptions,
  type ErrorCode,
  type Gateway,
  type Host,
  isNatError,
  type NatError,
  natError,
  orAborted
} from '@postern/interface'
import type { Device } from '../device/device.js'
import type { Described } from '../device/device-names.js'
import type { Settings } from '../settings.js'
import { createInspector, type Inspector } from './inspect.js'
import { openSearch, roundMs } from './search.js'

/** The pause after the first round that found nothing, in ms. It doubles after each further one. */
const firstPauseMs = 2000
/** The maximum pause between rounds, in ms: how late a router is found in which UPnP has been turned on. */
const maxPauseMs = 5 * 60 * 1000

/** The pause after the next round that finds nothing. Shared by later searches for the same gateway in the same
 * network. */
export interface Pace {
  pauseMs: number
}

/** Returns the pace of a first search. */
export const createPace = (): Pace => ({ pauseMs: firstPauseMs })

/** The options of {@link seekDevice}. */
export interface SeekOptions {
  readonly host: Host
  /** The pace of the search.
   * @default the pace of a first search */
  readonly pace?: Pace | undefined
  readonly settings: Settings
  readonly gateway: Gateway
  /** The maximum number of rounds. */
  readonly rounds: number
  /** Called with the reason why nothing is found so far, as soon as it is known and whenever it changes. */
  readonly absent: (reason: NatError) => void
  /** Called with a device of the gateway that can be controlled. Returns whether it ends the search. */
  readonly isSought: (device: Device) => boolean
  /** Called with the address of another host on the link that claims to be a gateway. */
  readonly met?: (address: string) => void
  /** Called with the names of each device of the router that has described itself. */
  readonly described?: (names: Described) => void
}

/** A search in progress. */
export interface Seeking {
  /** Resolves to the device. Rejects with `NO_REPLY` after the last round, or with the signal's reason. */
  readonly device: Promise<Device>
  readonly inspector: Inspector
  /** Starts the next round now. */
  hurry(): void
}

/** Searches for the device of a gateway, with growing pauses, until it is found or the rounds are used up. Closes its
 * sockets before it settles. */
export function seekDevice(options: SeekOptions, { signal }: CallOptions): Seeking {
  const { host, pace = createPace(), settings, gateway, rounds, absent, isSought, met = () => undefined } = options
  const { clock } = host
  const { openUdp, exchangeHttp, ssdpPort } = settings
  const ended = new AbortController()
  const whole = anySignal([signal, ended.signal])
  const reasons = rankReasons(absent)
  const good = Promise.withResolvers<Device>()
  // It may be rejected after the search has ended; that must not count as an unhandled rejection.
  good.promise.catch(() => undefined)
  let pause = new AbortController()

  const inspector = createInspector({
    web: { clock, exchangeHttp, ...settings.lineOf(gateway.address) },
    gateway,
    signal: whole,
    failed: reasons.add,
    broke: good.reject,
    met,
    described: options.described,
    found(device) {
      if (isSought(device)) good.resolve(device)
      else if (device.reason !== undefined) reasons.add(device.reason)
    }
  })

  async function search(): Promise<never> {
    const { heard, failed } = { heard: inspector.hear, failed: reasons.add }
    const searching = await openSearch({ clock, openUdp, ssdpPort, gateway, heard, failed }, { signal: whole })
    for (let round = 1; ; round += 1) {
      inspector.forget()
      host.log.debug(`upnp: searching for ${gateway.address}, round ${round}`)
      await searching.round({ signal: whole })
      const step = inspector.waitsFor()
      const silence =
        step === undefined
          ? natError('NO_REPLY', `no answer from ${gateway.address} to a UPnP search within ${roundMs} ms`)
          : natError('NO_REPLY', `${gateway.address} has answered a UPnP search, but not yet the request for ${step}`)
      reasons.endRound(silence)
      if (round >= rounds) {
        // A device that answered the search may be slow to answer the rest.
        await orAborted(inspector.settled(), { signal: whole })
        throw silence
      }
      pause = new AbortController()
      const jittered = pace.pauseMs * (0.9 + 0.2 * host.random())
      await clock.sleep(jittered, { signal: anySignal([whole, pause.signal]) }).then(
        () => (pace.pauseMs = Math.min(2 * pace.pauseMs, maxPauseMs)),
        () => undefined
      )
      whole.throwIfAborted()
      if (pause.signal.aborted) pace.pauseMs = firstPauseMs
    }
  }

  async function run(): Promise<Device> {
    const searching = search()
    try {
      return await Promise.race([good.promise, searching])
    } finally {
      ended.abort()
      await searching.catch(() => undefined)
      await inspector.settled()
    }
  }

  return { device: run(), inspector, hurry: () => pause.abort() }
}

interface Reasons {
  add(reason: NatError): void
  endRound(silence: NatError): void
}

/** The codes by how much they tell, the least telling first. A code that is not listed is about the device itself, and
 * tells the most. */
const telling: readonly ErrorCode[] = [
  'NO_REPLY',
  'UNREACHABLE',
  'REFUSED',
  'MALFORMED_REPLY',
  'REPLY_TOO_LARGE',
  'UNTRUSTED_REPLY',
  'NO_SERVICE'
]

/** Reports the most telling reason of each round. */
function rankReasons(tell: (reason: NatError) => void): Reasons {
  let best: NatError | undefined
  let told: string | undefined
  const weight = (reason: NatError): number => {
    const index = telling.findIndex((code) => code === reason.code)
    return index === -1 ? telling.length : index
  }
  const say = (reason: NatError): void => {
    const text = `${reason.code} ${reason.message}`
    if (text === told) return
    told = text
    tell(reason)
  }
  return {
    add(reason) {
      if (!isNatError(reason) || (best !== undefined && weight(best) >= weight(reason))) return
      best = reason
      // One blocked socket means nothing while the answer to the other one may be on its way.
      if (reason.code !== 'UNREACHABLE') say(reason)
    },
    endRound(silence) {
      say(best ?? silence)
      best = undefined
    }
  }
}
