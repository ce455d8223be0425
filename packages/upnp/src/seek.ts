import {
  anySignal,
  type CallOptions,
  type ErrorCode,
  type Gateway,
  type Host,
  isNatError,
  type NatError,
  natError
} from '@postern/interface'
import { orAborted } from '@postern/net'
import type { Device } from './device.js'
import { createInspector, type Inspector } from './inspect.js'
import type { Settings } from './options.js'
import { openSearch, roundMs } from './search.js'

/** Between rounds that found nothing: doubling from the first to the last. */
const firstPauseMs = 2000
const longestPauseMs = 5 * 60 * 1000

/** How long to wait after a round that found nothing. Lives on where the search at a gateway begins again in the same network. */
export interface Pace {
  pauseMs: number
}

export const createPace = (): Pace => ({ pauseMs: firstPauseMs })

export interface SeekOptions {
  readonly host: Host
  /** @default one that begins */
  readonly pace?: Pace | undefined
  readonly settings: Settings
  readonly gateway: Gateway
  /** How many rounds before giving up. */
  readonly rounds: number
  /** Why there is nothing so far: told as soon as it is known, and again only when it is something else. */
  readonly absent: (reason: NatError) => void
  /** A device of the gateway that can be talked to; true if it is what is sought. */
  readonly isSought: (device: Device) => boolean
  /** Another host of the link seems to be a gateway. */
  readonly met?: (address: string) => void
}

export interface Seeking {
  /** The device. Rejects with `NO_REPLY` after the last round, or the signal's reason. */
  readonly device: Promise<Device>
  readonly inspector: Inspector
  /** Something was heard: the next round is now. */
  hurry(): void
}

/** Searches for a device at a gateway until there is one, ever less often. Holds no socket afterwards. */
export function seekDevice(options: SeekOptions, { signal }: CallOptions): Seeking {
  const { host, pace = createPace(), settings, gateway, rounds, absent, isSought, met = () => undefined } = options
  const { clock } = host
  const { openUdp, exchangeHttp, ssdpPort } = settings
  const ended = new AbortController()
  const whole = anySignal([signal, ended.signal])
  const reasons = rankReasons(absent)
  const good = Promise.withResolvers<Device>()
  // It may be rejected after the search has ended, when nothing awaits it.
  good.promise.catch(() => undefined)
  let pause = new AbortController()

  const inspector = createInspector({
    web: { clock, exchangeHttp, ...settings.lineOf(gateway.address) },
    gateway,
    signal: whole,
    failed: reasons.add,
    broke: good.reject,
    met,
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
          : natError('NO_REPLY', `${gateway.address} has answered a UPnP search, and not yet the request for ${step}`)
      reasons.endRound(silence)
      if (round >= rounds) {
        // What has answered the search may take long for the rest.
        await orAborted(inspector.settled(), { signal: whole })
        throw silence
      }
      pause = new AbortController()
      const jittered = pace.pauseMs * (0.9 + 0.2 * host.random())
      await clock.sleep(jittered, { signal: anySignal([whole, pause.signal]) }).then(
        () => (pace.pauseMs = Math.min(2 * pace.pauseMs, longestPauseMs)),
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

/** The least telling first. What is not here says something of the device itself, and tells most. */
const leastTelling: readonly ErrorCode[] = [
  'NO_REPLY',
  'UNREACHABLE',
  'REFUSED',
  'MALFORMED_REPLY',
  'REPLY_TOO_LARGE',
  'UNTRUSTED_REPLY',
  'NO_SERVICE'
]

/** Of the reasons of one round the most telling one counts. */
function rankReasons(tell: (reason: NatError) => void): Reasons {
  let best: NatError | undefined
  let told: string | undefined
  const weight = (reason: NatError): number => {
    const index = leastTelling.findIndex((code) => code === reason.code)
    return index === -1 ? leastTelling.length : index
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
      // That one way is blocked says nothing while the answer to another is on its way.
      if (reason.code !== 'UNREACHABLE') say(reason)
    },
    endRound(silence) {
      say(best ?? silence)
      best = undefined
    }
  }
}
