/** The interfaces between a gateway, which has no sockets, and a real or simulated network. */

/** The UDP port of a datagram. NAT-PMP and PCP share 5351, and SSDP uses 1900. */
export type DatagramPort = 'port-mapping' | 'ssdp'
/** Whether a datagram goes to one host or to all hosts of a multicast group. */
export type Cast = 'unicast' | 'multicast'

/** The host and port that a datagram comes from. */
export interface Sender {
  /** Its IP address. */
  readonly address: string
  /** Its UDP port. */
  readonly port: number
}

/** A datagram of the gateway. */
export interface OutgoingDatagram {
  /** The payload. */
  readonly bytes: Uint8Array
  /** The receiver. */
  readonly to: Sender
  /** The source port. */
  readonly from: DatagramPort
  /** The part of the source that is false, if any. */
  readonly disguise: 'address' | 'port' | undefined
  /** Whether it is sent by unicast or multicast. */
  readonly cast: Cast
}

/** A link through which a gateway is reachable. */
export interface Outlet {
  /** The address of the gateway on this link. */
  readonly address: string
  /** Returns the current HTTP port of the description. */
  httpPort(): number
  /** Sends a datagram to a client. */
  send(datagram: OutgoingDatagram): void
  /** Called when ports may have to be opened or closed. */
  changed(): void
  /** Called after a reboot, with the new HTTP port if it has changed. */
  rebooted(httpPort: number | undefined): void
}

/** An HTTP request of a client. */
export interface HttpRequest {
  /** The request method. */
  readonly method: string
  /** The path of the URL, with its query. */
  readonly path: string
  /** The headers, with names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The body, as text. */
  readonly body: string
}

/** An HTTP answer and the manner in which it is sent. */
export interface HttpAnswer {
  /** The status code. */
  readonly status: number
  /** The headers, in their order. */
  readonly headers: readonly (readonly [string, string])[]
  /** The body. */
  readonly body: Uint8Array
  /** The delay of the answer, in milliseconds. */
  readonly delayMs: number
  /** The manner in which the answer is sent; see the fault `http`. */
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
  /** Passes a received datagram to the gateway. */
  datagram(port: DatagramPort, bytes: Uint8Array, from: Sender, cast: Cast): void
  /** Returns the answer to an HTTP request. */
  exchange(request: HttpRequest, from: Sender): HttpAnswer
  /** Returns whether the port is open. */
  isOpen(port: DatagramPort | 'http'): boolean
  /** Disconnects the link. Idempotent. */
  close(): void
}
