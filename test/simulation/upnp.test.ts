import { upnp } from '@postern/upnp'
import { expect, it } from 'vitest'
import { liveThrough } from './month.js'

/** Only a few homes, because each renewal is four HTTP exchanges with XML, and takes ten times as long as a
 * datagram. */
it('a month in twenty homes with UPnP leaves no gap that the protocol does not force', {
  timeout: 400_000
}, async () => {
  await expect(liveThrough({ homes: 20, protocol: 'upnp', strategy: upnp })).resolves.toBeUndefined()
})
