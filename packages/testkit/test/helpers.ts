import type { SocketAddress } from '@postern/net'
import { createGateway, type FakeGateway, type GatewayOptions, memoryNetwork, virtualClock } from '../src/index.js'

export const never: AbortSignal = new AbortController().signal

/** Returns the bytes of hexadecimal text. Spaces are ignored. */
export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))

export const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString('hex')

/** Creates a gateway at 192.168.1.1 and a function that sends it a request. */
export function home(options: GatewayOptions = {}) {
  const clock = virtualClock()
  const network = memoryNetwork({ clock, random: () => 0.5 })
  const gateway: FakeGateway = createGateway({ clock, externalAddress: '203.0.113.9', random: () => 0.5, ...options })
  network.attach(gateway, '192.168.1.1')
  const client = async (address: string, port = 5351, localPort = 0) => {
    const replies: { bytes: Uint8Array; from: SocketAddress }[] = []
    const errors: string[] = []
    const socket = await network.host(address).openUdp(
      {
        family: 4,
        local: { port: localPort },
        onMessage: (bytes, from) => replies.push({ bytes, from }),
        onError: ({ code }) => errors.push(code)
      },
      { signal: never }
    )
    return {
      replies,
      errors,
      async ask(bytes: Uint8Array): Promise<Uint8Array | undefined> {
        const before = replies.length
        socket.send(bytes, { address: '192.168.1.1', port })
        await clock.advance(0)
        return replies.length > before ? replies.at(-1)?.bytes : undefined
      }
    }
  }
  return { clock, network, gateway, client }
}
