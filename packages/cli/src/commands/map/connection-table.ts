import {
  type Arrival,
  type Clock,
  canonicalAddress,
  natError,
  type Protocol,
  type ServerHost
} from '@postern/interface'
import { nodeFs } from '@postern/net'

/** A line of the kernel's table of TCP sockets. */
export interface TcpSocketLine {
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly isListening: boolean
}

/** TCP_LISTEN in include/net/tcp_states.h. */
const listening = '0A'
/** The interval between two looks at the table, in ms. The witness holds its connection open longer than that. */
const lookMs = 50

/** The table of TCP sockets of both families, which every program may read on Linux. */
const readTables = (): string =>
  ['/proc/self/net/tcp', '/proc/self/net/tcp6'].map((path) => nodeFs().readFileSync(path, 'utf8')).join('\n')

/**
 * Parses /proc/net/tcp and /proc/net/tcp6. Addresses are groups of four bytes in the byte order of the machine. Lines of
 * another form are left out.
 */
export function parseProcNetTcp(text: string): readonly TcpSocketLine[] {
  return text.split('\n').flatMap((line) => {
    const match =
      /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{2}) /.exec(
        line
      )
    if (match === null) return []
    const [, local = '', localPort = '', remote = '', remotePort = '', state] = match
    const [localAddress, remoteAddress] = [addressOf(local), addressOf(remote)]
    if (localAddress === undefined || remoteAddress === undefined) return []
    return [
      {
        localAddress,
        localPort: Number.parseInt(localPort, 16),
        remoteAddress,
        remotePort: Number.parseInt(remotePort, 16),
        isListening: state === listening
      }
    ]
  })
}

/** Linux runs Node.js on little-endian machines, except s390x. */
const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

function addressOf(hex: string): string | undefined {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => {
    const four = (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16))
    return isLittleEndian ? four.toReversed() : four
  })
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((bytes[2 * at] ?? 0) * 256 + (bytes[2 * at + 1] ?? 0)).toString(16)
  )
  return canonicalAddress(groups.join(':'))
}

/** Whether this system shows the connections of other programs. */
export const showsConnections = (protocol: Protocol): boolean => protocol === 'tcp' && process.platform === 'linux'

/**
 * Returns the arrivals at a TCP port on which another program listens, as the table of sockets of the kernel shows them
 * while they are open. Throws `UNSUPPORTED` while no program listens on the port.
 */
export function connectionTable(port: number, clock: Clock, read: () => string = readTables): ServerHost['arrivals'] {
  return (at, each, { signal }) => {
    const look = (): readonly TcpSocketLine[] => parseProcNetTcp(read()).filter(({ localPort }) => localPort === port)
    const before = look()
    if (at.protocol !== 'tcp') throw natError('UNSUPPORTED', 'the system shows no datagrams of other programs')
    if (!before.some(({ isListening }) => isListening))
      throw natError('UNSUPPORTED', `no program listens on TCP port ${port} yet, so no witness is asked`)
    const known = new Set(before.map(keyOf))
    const watch = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(lookMs, { signal })
        for (const line of look()) {
          if (line.isListening || known.has(keyOf(line))) continue
          known.add(keyOf(line))
          each(arrivalOf(line))
        }
      }
    }
    watch().catch(() => undefined)
  }
}

const keyOf = ({ remoteAddress, remotePort, isListening }: TcpSocketLine): string =>
  `${remoteAddress} ${remotePort} ${isListening}`

const arrivalOf = ({ isListening: _, ...place }: TcpSocketLine): Arrival => ({
  protocol: 'tcp',
  ...place,
  recognize: () => undefined
})
