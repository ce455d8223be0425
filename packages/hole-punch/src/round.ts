import type { Socket } from 'node:net'
import type { Connection, PeerId } from '@libp2p/interface'
import { anySignal, type CallOptions, isNatError, type NatError, natError } from '@postern/interface'
import { within } from '@postern/net'
import type { Budget } from './budget.js'
import type { HolePunchHost } from './host.js'
import { type Connect, dialAgain, type Pair } from './sockets.js'
import { proposes, type Role, upgradeSocket } from './upgrade.js'

/** One simultaneous open: both sides dial each other at the same moment. */
export interface Round {
  readonly peer: PeerId
  readonly pairs: readonly Pair[]
  /** What the spec says that this side is. */
  readonly role: Role
  /** How long this side listens for the other one before it takes its role for granted, in ms. 0: not at all. */
  readonly listenMs: number
  /** How often one pair may be dialled while it is refused. */
  readonly mostDials: number
  /** When it is given up, in ms. */
  readonly timeoutMs: number
}

/** Who answers nothing, such as another service at an address that was named, does not keep the others waiting, in ms. */
const turnMs = 1500

/**
 * Punches: resolves with the one direct connection that came of it. Every other socket is reset.
 *
 * Rejects with a NatError that tells what most of the pairs met with (`REFUSED`, `NO_REPLY`, `QUOTA_EXCEEDED`, …), or with
 * the signal's reason; then no socket is left.
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
  /** A client speaks on one socket at a time: the server takes the one on which it hears something. */
  let turn: Promise<void> = Promise.resolve()

  async function attempt(pair: Pair, bounded: CallOptions): Promise<void> {
    const socket = await dialAgain(connect, pair, round.mostDials, clock, budget, bounded)
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
    if (isWon) return connection.abort(new Error('another one is there already'))
    isWon = true
    win(connection)
  }

  async function roleOn(socket: Socket, bounded: CallOptions): Promise<Role> {
    if (round.listenMs === 0) return round.role
    const isClient = await proposes(socket, round.listenMs, clock, bounded)
    // Whoever proposes a protocol is the client, whatever the spec calls it: go-libp2p had the roles reversed until 0.40,
    // and has them in the third round since 0.48. Who hears no proposal makes one, a client and a server alike.
    return isClient ? 'server' : 'client'
  }

  const late = (): Error => natError('NO_REPLY', `no connection came about within ${timeoutMs} ms`)
  try {
    return await within(clock, timeoutMs, call, late, (timed) => {
      const bounded = { signal: anySignal([timed.signal, over.signal]) }
      const attempts = pairs.map((pair) =>
        attempt(pair, bounded).catch((error: unknown) => {
          if (isNatError(error)) failures.push(error)
          else failures.push(natError('NO_REPLY', 'the other side did not become a libp2p peer', { cause: error }))
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
