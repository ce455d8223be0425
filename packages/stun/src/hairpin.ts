import { abortReason, type CallOptions, isNatError, orAborted } from '@postern/interface'
import { openTap } from '@postern/net'
import type { StunAddress } from './address-codec.js'
import { answers, askServer, newId, send } from './ask.js'
import type { BehaviourOptions } from './behaviour-options.js'
import { encodeBindingRequest } from './codec.js'
import { waitsFor } from './schedule.js'

/** The waits after each datagram, in ms. A datagram only goes to the router and back, and two of three may get lost. */
const waitsMs: readonly number[] = [250, 250, 500]

const tried = abortReason('it was tried')

/**
 * Tests whether a NAT returns datagrams that are sent to its own external address (RFC 4787 §6, RFC 5780 §4.5): a
 * second socket sends to the external address of the first. Resolves to undefined if the second socket cannot be
 * opened, or if the server does not answer it. Rejects with the signal's reason.
 */
export async function tryHairpin(
  options: BehaviourOptions & { readonly mapped: StunAddress },
  { signal }: CallOptions
): Promise<'works' | 'fails' | undefined> {
  const { clock, tap, server, mapped, openUdp, requests } = options
  const { family, address } = tap.endpoint
  const over = new AbortController()
  const stop = (): void => over.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    const second = await openTap({ family, address, ...(openUdp === undefined ? {} : { open: openUdp }) }, over)
    const asked = await askServer({ clock, tap: second, server, waitsMs: waitsFor(requests) }, over)
    const id = newId()
    const heard = Promise.withResolvers<'works'>()
    tap.receive((bytes) => {
      if (answers(bytes, id)) heard.resolve('works')
    }, over)
    const sendings = async (): Promise<'fails'> => {
      for (const waitMs of waitsMs) {
        // Some NATs let in only datagrams of addresses to which something was sent.
        send(tap, encodeBindingRequest({ id: newId() }), asked.mapped)
        second.send(encodeBindingRequest({ id }), mapped)
        await clock.sleep(waitMs, over)
      }
      return 'fails'
    }
    return await orAborted(Promise.race([heard.promise, sendings()]), over)
  } catch (error) {
    signal.throwIfAborted()
    if (isNatError(error)) return undefined
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
    over.abort(tried)
  }
}
