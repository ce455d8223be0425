import { type CallOptions, isNatError } from '@postern/interface'
import { openTap, orAborted } from '@postern/net'
import type { StunAddress } from './address-codec.js'
import { answers, askServer, newId, send } from './ask.js'
import type { BehaviourOptions } from './behaviour.js'
import { encodeBindingRequest } from './codec.js'
import { waitsFor } from './schedule.js'

/** A datagram takes no longer than to the router and back; one of three may be lost. */
const waitsMs: readonly number[] = [250, 250, 500]

/** Made once: an abort without a reason makes a new error with its stack. */
const tried = new Error('it was tried')

/**
 * Whether a NAT turns back what is sent to its own external address (RFC 4787 §6, RFC 5780 §4.5): a second socket sends to
 * the external address of the first. Undefined where there is no second socket, or the server does not see it.
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
        // Some let in only those whom something was sent to.
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
