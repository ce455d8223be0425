/** A gateway has no sockets. What connects it to real or imagined ones speaks the language of this file. */

/** Where datagrams go: NAT-PMP and PCP share 5351, SSDP has 1900. */
export type DatagramPort = 'port-mapping' | 'ssdp'
export type Cast = 'unicast' | 'multicast'

export interface Sender {
  readonly address: string
  readonly port: number
}

export interface OutgoingDatagram {
  readonly bytes: Uint8Array
  readonly to: Sender
  /** The port it leaves from. */
  readonly from: DatagramPort
  /** What is false about its source. */
  readonly disguise: 'address' | 'port' | undefined
  readonly cast: Cast
}

/** One link that a gateway is reached on. */
export interface Outlet {
  /** The gateway's own address there. */
  readonly address: string
  /** Where its description is served now. */
  httpPort(): number
  send(datagram: OutgoingDatagram): void
  /** A port may have to be opened or closed. */
  changed(): void
  /** The gateway was rebooted: its HTTP port is this one now, if any is named. */
  rebooted(httpPort: number | undefined): void
}

export interface HttpRequest {
  readonly method: string
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** An answer, and the manner in which it is given. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Uint8Array
  readonly delayMs: number
  readonly manner:
    | 'plain'
    | 'endless'
    | 'drip'
    | 'slow-headers'
    | 'hang'
    | 'reset'
    | 'no-content-length'
    | 'chunked'
    | 'tight-headers'
    | 'not-http'
}

/** The gateway's end of an {@link Outlet}. */
export interface Line {
  datagram(port: DatagramPort, bytes: Uint8Array, from: Sender, cast: Cast): void
  exchange(request: HttpRequest, from: Sender): HttpAnswer
  /** Whether anybody listens there. */
  isOpen(port: DatagramPort | 'http'): boolean
  /** Nothing comes out of it any more. Twice is once. */
  close(): void
}
