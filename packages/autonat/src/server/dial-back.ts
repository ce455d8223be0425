import type { Connection } from '@libp2p/interface'
import { type CallOptions, natError, within } from '@postern/interface'
import { directRoute, messagesOf, openStream } from '@postern/libp2p-utils'
import {
  decodeDialBackResponse,
  dialBackProtocol,
  dialStatus,
  encodeDialBack,
  encodeMessage,
  responseStatus
} from '../wire/v2.js'
import type { Choice } from './choose-address.js'
import type { ServerSettings } from './options.js'
import type { AutonatServerComponents } from './types.js'

/** The two status values of a response. */
export interface Verdict {
  readonly status: number
  readonly dialStatus: number
}

export const refused: Verdict = { status: responseStatus.dialRefused, dialStatus: dialStatus.unused }
export const failed: Verdict = { status: responseStatus.internalError, dialStatus: dialStatus.unused }
export const rejected: Verdict = { status: responseStatus.requestRejected, dialStatus: dialStatus.unused }
const served = (status: number): Verdict => ({ status: responseStatus.ok, dialStatus: status })

export const encodeVerdict = (verdict: Verdict, index: number): Uint8Array<ArrayBuffer> =>
  encodeMessage({ kind: 'dial-response', index, ...verdict })

const dialBackMs = 5_000
const closeMs = 1_000
/** The response to a dial back is empty or a few bytes long. */
const maxBytes = 256

/** Errors that libp2p throws before it dials; they say nothing about the address. */
const notDialled: Readonly<Record<string, Verdict>> = {
  NoValidAddressesError: refused,
  DialDeniedError: refused,
  NotStartedError: failed
}

/** Dials an address with a new connection and delivers the nonce over it. Rejects only with the signal's reason. */
export async function dialBack(
  { address, route }: Choice,
  nonce: bigint,
  { connectionManager }: AutonatServerComponents,
  { clock, dialTimeoutMs }: ServerSettings,
  call: CallOptions
): Promise<Verdict> {
  const before = new Set(connectionManager.getConnections().map(({ id }) => id))
  const late = (what: string) => (): Error => natError('NO_REPLY', `there was no ${what} in time`)
  let connection: Connection
  try {
    connection = await within(clock, dialTimeoutMs, call, late('connection'), (bounded) => {
      // `force` opens a new connection from a new port. The connection that the peer made has opened a path through the
      // peer's NAT, so it says nothing about other peers.
      const opening = connectionManager.openConnection(address, { ...bounded, force: true })
      opening.then(
        (opened) => {
          if (bounded.signal.aborted && !before.has(opened.id))
            opened.abort(new Error('the connection opened after the timeout'))
        },
        () => undefined
      )
      return opening
    })
  } catch (error) {
    call.signal.throwIfAborted()
    const isFull = error instanceof Error && error.message === 'Dial queue is full'
    if (isFull) return failed
    return (error instanceof Error && notDialled[error.name]) || served(dialStatus.dialError)
  }
  // libp2p merges concurrent dials to one peer, so the connection may belong to another dial.
  const went = directRoute(connection)
  const isOurs = !before.has(connection.id) && connection.direction === 'outbound'
  if (!isOurs) return failed
  try {
    if (went?.host !== route.host || went.port !== route.port || went.transport !== route.transport) return failed
    return served(await deliver(connection, nonce, clock, call))
  } finally {
    await close(connection, clock)
  }
}

async function deliver(
  connection: Connection,
  nonce: bigint,
  clock: ServerSettings['clock'],
  call: CallOptions
): Promise<number> {
  const late = (): Error => natError('NO_REPLY', 'the peer did not answer the dial back in time')
  try {
    return await within(clock, dialBackMs, call, late, async (bounded) => {
      const messages = messagesOf(await openStream(connection, dialBackProtocol, bounded), maxBytes, clock)
      await messages.write(encodeDialBack(nonce), bounded)
      const status = decodeDialBackResponse(await messages.read(bounded))
      return status === 0 ? dialStatus.ok : dialStatus.dialBackError
    })
  } catch {
    call.signal.throwIfAborted()
    return dialStatus.dialBackError
  }
}

/** Closes the new connection and its streams. */
async function close(connection: Connection, clock: ServerSettings['clock']): Promise<void> {
  const late = (): Error => new Error('the connection did not close in time')
  try {
    await within(clock, closeMs, new AbortController(), late, (call) => connection.close(call))
  } catch (error) {
    connection.abort(error instanceof Error ? error : late())
  }
}
