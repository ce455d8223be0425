import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { anySignal, systemClock as clock } from '@postern/interface'
import { isDirect } from '@postern/libp2p-utils'
import { exitCodes } from '../../shared/exit-codes.js'
import { untilInterrupted } from '../../shared/interrupt.js'
import { listenFailure } from '../../shared/libp2p-stack.js'
import { Failure, line, type Output } from '../../shared/output.js'
import { stopWithin } from '../../shared/stop.js'
import { colorsFor } from '../../shared/terminal.js'
import { dialPeer, openConnections, type Upgraded, upgradePeer } from '../tunnel/connections.js'
import { makeNode, type TunnelNodeOptions } from '../tunnel/make-node.js'
import { meet } from '../tunnel/meet.js'
import { pingOver } from './ping-over.js'
import { pingUntil } from './pings.js'
import { describePinged, describeSummary, type Summary, summarize } from './text.js'

/** The options of {@link ping}. */
export interface PingOptions extends Pick<TunnelNodeOptions, 'mappers' | 'relays' | 'witnesses' | 'privateKey'> {
  readonly peer: PeerId
  /** The addresses to try for the peer, in any order. */
  readonly addresses: readonly Multiaddr[]
  /** The maximum number of pings. */
  readonly count: number
  /** The pause after each ping, in ms. */
  readonly intervalMs: number
  /** Whether to end with the first answer over a direct connection. */
  readonly untilDirect: boolean
  readonly json: boolean
}

/** Pings a peer, and replaces a relayed connection to it by a direct one if possible. Resolves to the exit code. */
export async function ping(options: PingOptions, { out, err }: Output): Promise<number> {
  const { peer, addresses, relays, witnesses, json, count } = options
  const id = peer.toString()
  const colors = colorsFor(out)
  const interrupt = untilInterrupted(err)
  const over = new AbortController()
  const signal = anySignal([interrupt.signal, over.signal])
  const tell = (event: object, text: string): void => line(out, json ? JSON.stringify(event) : text)
  const node = await makeNode({
    ...options,
    reserves: false,
    trusted: new Set([id]),
    program: 'postern ping',
    signal
  })
  try {
    await node.start()
  } catch (error) {
    await stopWithin(node, err)
    throw new Failure(listenFailure(error))
  }
  // The hole puncher asks these peers for its external ports. The peer itself is dialled below.
  const meeting = meet(
    node,
    [...relays, ...witnesses],
    (address, message) =>
      tell({ event: 'not-connected', address, message }, `${colors.yellow('!')} ${address}: ${message}`),
    { clock, signal }
  )
  let upgraded: Upgraded | undefined
  let upgrading: Promise<void> | undefined
  const upgrade = async (): Promise<void> => {
    upgraded = await upgradePeer(node, peer, { clock, signal })
    if (upgraded?.event === 'not-direct' && !signal.aborted)
      tell(upgraded, `${colors.yellow('!')} stays relayed: ${upgraded.message}`)
    upgrading = undefined
  }
  const pinged = await pingUntil(
    {
      open: () => openConnections(node, peer),
      async dial(call) {
        const connection = await dialPeer(node, peer, addresses, call)
        if (!isDirect(connection)) upgrading ??= upgrade()
        return connection
      },
      ping: (connection, call) => pingOver(connection, { clock, ...call })
    },
    { ...options, told: (each) => tell(each, describePinged(each, id, colors)) },
    { clock, signal }
  )
  const summary = summarize(pinged, { peer: id, upgraded, relays, count })
  over.abort()
  tell(summary, describeSummary(summary, colors))
  await stopWithin(node, err)
  await Promise.all([meeting, upgrading])
  interrupt.done()
  return codeOfPings(summary, interrupt.signal.aborted)
}

/** Returns the exit code. An interruption before the first outcome shows nothing about the peer. */
function codeOfPings({ reached, pings }: Summary, isInterrupted: boolean): number {
  if (reached === 'direct') return exitCodes.success
  if (reached === 'relayed') return exitCodes.relayed
  return isInterrupted && pings === 0 ? exitCodes.unknown : exitCodes.failed
}
