import { type Report, systemHost } from '@postern/core'
import { isGlobal, type Protocol, parseMultiaddr, waitAtMost } from '@postern/interface'
import { protocolVerdicts } from './protocols.js'
import { waitText } from './text.js'
import type { Trial, UdpState } from './trial.js'

/** How long to wait for peers, from the start, in ms: they are dialled, dial back, and are dialled again after a
 * failure. */
const witnessMs = 14_000
/** How long to wait for STUN servers, from the start, in ms: they are given up after 7.5 s, and the filtering test
 * needs time. */
const observeMs = 9000
/** The interval at which the report is looked at, in ms. */
const pollMs = 50

/** Resolves when no strategy waits for an answer any more, or when a port is mapped. Calls `told` with what it waits
 * for. */
export function answered(trial: Trial, limitMs: number, told: (text: string) => void): Promise<void> {
  return new Promise((resolve) => {
    let text = ''
    const look = (): void => {
      const { verdict, cause, strategies, candidates } = trial.report()
      // A router behind the one that has mapped may still answer.
      const isBehind = verdict === 'unknown' && (cause === 'double-nat' || cause === 'carrier-nat')
      const isMapped = !isBehind && candidates.some(({ type }) => type === 'mapped' || type === 'manual')
      const waits = waitText(strategies)
      if (verdict === 'public' || isMapped || (waits === '' && !isBehind)) return resolve()
      if (waits !== text && waits !== '') told(`Waiting ${limitMs / 1000} s at most for: ${waits} …`)
      text = waits
    }
    for (const name of ['strategy', 'verdict', 'mapped'] as const) trial.addEventListener(name, look)
    look()
  })
}

/** Resolves when the witnesses have decided, or at the time limit. */
export async function untilDecided(trial: Trial, began: number, signal: AbortSignal): Promise<void> {
  const left = (ms: number): number => began + ms - systemHost.clock.monotonicMs()
  const udp = (): UdpState => trial.udp?.() ?? 'untried'
  if (udp() === 'untried') {
    await bounded(decided(trial), left(witnessMs), signal)
    return
  }
  await polled(() => isTcpDecided(trial.report()), left(witnessMs), signal)
  // A NAT with another port for each destination gives several addresses, which a witness tries one after the other.
  if (udp() === 'provable') await polled(() => isUdpDecided(trial.report()), left(witnessMs), signal)
}

/** Resolves when there is a verdict. */
function decided(trial: Trial): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (isDecided(trial.report())) resolve()
    }
    for (const name of ['verdict', 'verified', 'refuted'] as const) trial.addEventListener(name, look)
    look()
  })
}

/** Resolves when a condition holds, or at the time limit. No event tells of an observed address that no witness reached. */
async function polled(isDone: () => boolean, ms: number, signal: AbortSignal): Promise<void> {
  const { clock } = systemHost
  const endMs = clock.monotonicMs() + ms
  while (!isDone() && clock.monotonicMs() < endMs && !signal.aborted)
    await clock.sleep(pollMs, { signal }).catch(() => undefined)
}

/** Returns whether there is a verdict. A host counts as private only after the witnesses have tried its addresses. */
const isDecided = (report: Report): boolean =>
  report.verdict !== 'unknown' && (report.verdict !== 'private' || !isUntried(report))

function isTcpDecided(report: Report): boolean {
  const { tcp } = protocolVerdicts(report)
  return tcp !== 'unknown' && (tcp !== 'private' || !isUntried(report, 'tcp'))
}

function isUdpDecided(report: Report): boolean {
  const { udp } = protocolVerdicts(report)
  return udp !== 'unknown' && (udp !== 'private' || !isUntried(report, 'udp'))
}

/** Returns whether witnesses have not decided yet about an address that they can dial. */
const isUntried = ({ candidates }: Report, only?: Protocol): boolean =>
  candidates.some(({ address, type, state }) => {
    const parsed = parseMultiaddr(address)
    return (
      (type === 'mapped' || type === 'manual') &&
      (state === 'claimed' || state === 'consistent') &&
      parsed !== undefined &&
      isGlobal(parsed.address) &&
      (only === undefined || parsed.protocol === only)
    )
  })

/** Resolves when every STUN server has answered or failed, or at the time limit. In a trial over UDP they are asked over two
 * sockets: that of the trial, which a router may have mapped, and one that shows how the NAT treats others. */
export async function untilObserved(trial: Trial, began: number, signal: AbortSignal): Promise<void> {
  const left = (): number => began + observeMs - systemHost.clock.monotonicMs()
  await bounded(observed(trial), left(), signal)
  if (trial.udp?.() !== 'untried') await polled(() => trial.isObserving?.() !== true, left(), signal)
}

function observed(trial: Trial): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      const { strategies } = trial.report()
      if (
        strategies.every(({ kind, state, tookMs }) => kind !== 'observer' || (state !== 'available' && tookMs !== null))
      )
        resolve()
    }
    trial.addEventListener('strategy', look)
    look()
  })
}

/** Waits for a promise with a timeout. Resolves to undefined after it. */
export const bounded = <T>(work: Promise<T>, ms: number, signal: AbortSignal): Promise<T | undefined> =>
  waitAtMost(systemHost.clock, Math.max(0, ms), work, undefined, { signal })
