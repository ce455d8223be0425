// Dishonest AutoNAT v2 servers. The messages are written by hand, since a correct server cannot send them.
import { lpStream } from '@libp2p/utils'

/** DialResponse { status: OK, addrIdx: 0, dialStatus } in a Message (autonat-v2.md). */
const answers = {
  // 200 = OK, without a dial.
  reachable: [0x12, 0x06, 0x08, 0xc8, 0x01, 0x18, 0xc8, 0x01],
  // 100 = E_DIAL_ERROR, without a dial.
  unreachable: [0x12, 0x05, 0x08, 0xc8, 0x01, 0x18, 0x64]
}

export const lying = (how) => (components) => ({
  async start() {
    await components.registrar.handle('/libp2p/autonat/2/dial-request', async (stream) => {
      const messages = lpStream(stream)
      await messages.read()
      if (how === 'silent') return
      await messages.write(Uint8Array.from(answers[how]))
      await stream.close()
    })
  },
  stop: () => components.registrar.unhandle('/libp2p/autonat/2/dial-request')
})
