import {
  type CallOptions,
  type Clock,
  formatMultiaddr,
  type ObservedNotice,
  type RemoteParty
} from '@postern/interface'
import type { Settings } from '../options.js'
import type { ServerUrl } from '../server-url.js'
import { addressPath, decodeAddress, maxReplyBytes, mediaType } from '../wire/messages.js'
import { refusalOf } from './ask.js'

/** The port of the notice. The server does not tell a port, because that of a request leads to no listener. */
const anyPort = 1

/**
 * Asks a server at which address it sees this host, over the family of the server's address. Resolves with a notice.
 *
 * Rejects with `NO_REPLY`, `REFUSED`, `UNREACHABLE`, `MALFORMED_REPLY`, `REPLY_TOO_LARGE`, `UNTRUSTED_REPLY`, `UNSUPPORTED`
 * (an older server), `WITNESS_REFUSED`, or the signal's reason.
 */
export async function observe(
  server: ServerUrl,
  { party, serverAddress }: { readonly party: RemoteParty; readonly serverAddress: string },
  { exchangeHttp, timeoutMs }: Settings,
  clock: Clock,
  call: CallOptions
): Promise<ObservedNotice> {
  const reply = await exchangeHttp(
    {
      url: new URL(`${server.base}${addressPath}`),
      headers: { Accept: mediaType },
      connectTo: serverAddress,
      maxBytes: maxReplyBytes,
      timeoutMs,
      clock
    },
    call
  )
  if (reply.status !== 200) throw refusalOf(reply, server)
  const address = formatMultiaddr(decodeAddress(reply.body), 'tcp', anyPort)
  return { kind: 'notice', what: 'observed', party, address, isListener: false }
}
