import type { Socket } from 'node:net'
import type { Connection, PeerId } from '@libp2p/interface'
import { anySignal, type CallOptions, isNatError, type NatError, natError, within } from '@postern/interface'
import { proposes, type Role, upgradeSocket } from '../dial/libp2p-upgrade.js'
import type { Budget } from '../dial/syn-budget.js'
import { type Connect, dialAgain, type Pair } from '../dial/tcp-dial.js'
import type { HolePunchHost } from '../host.js'

/** One simultaneous open: both sides dial each other at the same time. */
export interface Round {
  readonly peer: PeerId
  /** The local ports and targets to dial. */
  readonly pairs: readonly Pair[]
  /** The role of this side according to the spec. */
  readonly role: Role
  /**
   * How long this side listens for the other one before it assumes its own role, in milliseconds. 0 means not at all.
   */
  readonly listenMs: number
  /** The maximum number of dials of one pair while it is refused. */
  readonly maxDials: number
  /** The time limit of the round, in milliseconds. */
  readonly timeoutMs: number
}

/** How long a silent socket, for instance of another service at the address, delays the next one (ms). */
const turnMs = 1500

/**
 * Dials all pairs and resolves with the first direct connection. Every other socket is reset.
 *
 * Rejects with the NatError of the first pair that failed (`REFUSED`, `NO_REPLY`, `QUOTA_EXCEEDED`, `UNREACHABLE`, …),
 * or with the signal's reason; then no socket is left.
 */
export async function punchRound(
  host: HolePunchHost,
  connect: Connect,
  budget: Budget,
  round: Round,
  call: CallOptions
): Promise<Connection> {
  const { clock } = host
  const { pairs, timeoutMs } = round
  const over = new AbortController()
  const open = new Set<Socket>()
  const failures: NatError[] = []
  const { promise: connected, resolve: win } = Promise.withResolvers<Connection>()
  let isWon = false
  /** A client uses one socket at a time; the server takes the socket on which it receives data. */
  let turn: Promise<void> = Promise.resolve()

  async function attempt(pair: Pair, bounded: CallOptions): Promise<void> {
    const socket = await dialAgain(connect, pair, round.maxDials, clock, budget, bounded)
    open.add(socket)
    if (round.role === 'server') return finish(socket, bounded)
    const upgrading = turn.then(() => finish(socket, bounded))
    turn = turn.then(() => Promise.race([upgrading, clock.sleep(turnMs, bounded)])).catch(() => undefined)
    await upgrading
  }

  async function finish(socket: Socket, bounded: CallOptions): Promise<void> {
    bounded.signal.throwIfAborted()
    const role = await roleOn(socket, bounded)
    const opened = (): void => void open.delete(socket)
    const connection = await upgradeSocket(host, socket, round.peer, role, opened, bounded)
    if (isWon) return connection.abort(new Error('another connection was established first'))
    isWon = true
    win(connection)
  }

  async function roleOn(socket: Socket, bounded: CallOptions): Promise<Role> {
    if (round.listenMs === 0) return round.role
    const isClient = await proposes(socket, round.listenMs, clock, bounded)
    // The side that proposes a protocol is the client, whatever its role in the spec: go-libp2p reversed the roles
    // until 0.40, and reverses them in the third round since 0.48. A side that receives no proposal makes one in either
    // role.
    return isClient ? 'server' : 'client'
  }

  const late = (): Error => natError('NO_REPLY', `no connection was established within ${timeoutMs} ms`)
  try {
    return await within(clock, timeoutMs, call, late, (timed) => {
      const bounded = { signal: anySignal([timed.signal, over.signal]) }
      const attempts = pairs.map((pair) =>
        attempt(pair, bounded).catch((error: unknown) => {
          if (isNatError(error)) failures.push(error)
          else failures.push(natError('NO_REPLY', 'the libp2p handshake with the other side failed', { cause: error }))
        })
      )
      const allFailed = Promise.all(attempts).then(() => {
        if (isWon) return connected
        throw failures[0] ?? natError('NO_REPLY', 'there was nothing to dial')
      })
      return Promise.race([connected, allFailed])
    })
  } finally {
    over.abort()
    for (const socket of open) socket.resetAndDestroy()
  }
}
