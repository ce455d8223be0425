import type { Connection } from '@libp2p/interface'
import { type CallOptions, natError } from '@postern/interface'
import { messagesOf, openStream } from '@postern/messages'
import { within } from '@postern/net'
import {
  decodeDialBackResponse,
  dialBackProtocol,
  dialStatus,
  encodeDialBack,
  encodeMessage,
  responseStatus
} from './codec.js'
import { directRoute } from './route.js'
import type { AutonatServerComponents } from './server.js'
import type { Choice } from './server-choice.js'
import type { ServerSettings } from './server-options.js'

/** A response of one status of each kind. */
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
/** The response of a dial back is empty, or a few bytes. */
const mostBytes = 256

/** What libp2p throws before it has dialled anything: nothing is known of the address then. */
const notDialled: Readonly<Record<string, Verdict>> = {
  NoValidAddressesError: refused,
  DialDeniedError: refused,
  NotStartedError: failed
}

/** Dials an address anew and takes the nonce there. Rejects with the reason of the signal only. */
export async function dialBack(
  { address, route }: Choice,
  nonce: bigint,
  { connectionManager }: AutonatServerComponents,
  { clock, dialTimeoutMs }: ServerSettings,
  call: CallOptions
): Promise<Verdict> {
  const before = new Set(connectionManager.getConnections().map(({ id }) => id))
  const late = (what: string) => (): Error => natError('NO_REPLY', `no ${what} in time`)
  let connection: Connection
  try {
    connection = await within(clock, dialTimeoutMs, call, late('connection'), (bounded) => {
      // A connection of its own, from a port of its own: the one that the peer has made says nothing of what others can
      // do, and has opened the way through its NAT.
      const opening = connectionManager.openConnection(address, { ...bounded, force: true })
      opening.then(
        (opened) => {
          if (bounded.signal.aborted && !before.has(opened.id)) opened.abort(new Error('too late'))
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
  // libp2p joins dials to the same peer, and then the connection may be another one.
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
  const late = (): Error => natError('NO_REPLY', 'the dial back was not answered')
  try {
    return await within(clock, dialBackMs, call, late, async (bounded) => {
      const messages = messagesOf(await openStream(connection, dialBackProtocol, bounded), mostBytes, clock)
      await messages.write(encodeDialBack(nonce), bounded)
      const status = decodeDialBackResponse(await messages.read(bounded))
      return status === 0 ? dialStatus.ok : dialStatus.dialBackError
    })
  } catch {
    call.signal.throwIfAborted()
    return dialStatus.dialBackError
  }
}

/** Closes the new connection, and with it the stream. */
async function close(connection: Connection, clock: ServerSettings['clock']): Promise<void> {
  const late = (): Error => new Error('it does not close')
  try {
    await within(clock, closeMs, new AbortController(), late, (call) => connection.close(call))
  } catch (error) {
    connection.abort(error instanceof Error ? error : late())
  }
}
