import { once } from 'node:events'
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { anySignal, systemClock as clock, natError, untilAborted, within } from '@postern/interface'
import { exitCodes } from '../../shared/exit-codes.js'
import { untilInterrupted } from '../../shared/interrupt.js'
import { late } from '../../shared/late.js'
import { listenFailure, reasonOf } from '../../shared/libp2p-stack.js'
import { Failure, line, type Output } from '../../shared/output.js'
import { stopWithin } from '../../shared/stop.js'
import { type Colors, colorsFor, formatSocket } from '../../shared/terminal.js'
import { forwardServer, openTunnel } from './forward.js'
import { type Keeper, type Kept, keepPeer } from './keep.js'
import { makeNode, type TunnelNodeOptions } from './make-node.js'
import { meet, meetMs } from './meet.js'

/** The options of {@link connect}. */
export interface ConnectOptions extends Omit<TunnelNodeOptions, 'reserves' | 'trusted' | 'signal'> {
  readonly peer: PeerId
  /** The addresses to try for the peer, in any order. */
  readonly addresses: readonly Multiaddr[]
  /** Where to accept TCP connections. */
  readonly local: { readonly address: string; readonly port: number }
  readonly json: boolean
}

/** Carries TCP connections to the service of a peer until it is interrupted. Resolves to the exit code. */
export async function connect(options: ConnectOptions, { out, err }: Output): Promise<number> {
  const { json, peer, addresses, local, relays, witnesses } = options
  const colors = colorsFor(out)
  const interrupt = untilInterrupted(err)
  const ended = new AbortController()
  const signal = anySignal([interrupt.signal, ended.signal])
  const tell = (event: object, text: string): void => {
    if (!signal.aborted) line(out, json ? JSON.stringify(event) : text)
  }
  const node = await makeNode({ ...options, reserves: false, trusted: new Set([peer.toString()]), signal })
  const own = node.peerId.toString()

  let code: number = exitCodes.success
  const refused = (reason: string): void => {
    const error = natError('NOT_AUTHORIZED', `${peer.toString()} does not let this peer in`)
    const hint = `postern tunnel listen <port> --allow ${own}`
    tell(
      { event: 'refused', peer: peer.toString(), reason, code: error.code, hint },
      `${colors.red('✘')} refused: ${error.message}. Allow it there: ${hint}`
    )
    code = exitCodes.refused
    ended.abort()
  }

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
  let keeper: Keeper | undefined
  const toldKept = (news: Kept): void => {
    tell(news, describe(news, colors))
    if (news.event === 'connected') void ask()
  }
  async function ask(): Promise<void> {
    const kept = keeper
    if (kept === undefined) return
    try {
      const { answer } = await within(clock, meetMs, { signal }, late, async (call) =>
        openTunnel(await kept.best(call), 'ask', call)
      )
      if (answer === 'not-allowed') refused(answer)
    } catch (error) {
      const message = reasonOf(error)
      tell({ event: 'no-tunnel', message }, `${colors.yellow('!')} the peer does not answer for a tunnel: ${message}`)
    }
  }
  keeper = keepPeer(node, peer, addresses, toldKept, { clock, signal })
  const server = forwardServer(
    keeper,
    (reason, error) => {
      if (reason === 'not-allowed') return refused(reason)
      const message = error === undefined ? reason : reasonOf(error)
      tell({ event: 'failed', reason, message }, `${colors.red('✘')} a TCP connection was refused: ${message}`)
    },
    { clock, signal }
  )
  try {
    server.listen(local.port, local.address)
    await once(server, 'listening', { signal })
  } catch (error) {
    // An interruption during the start is not a failure; the command ends below.
    if (!signal.aborted) {
      ended.abort()
      await stopWithin(node, err)
      throw new Failure(listenFailure(error))
    }
  }
  tell(
    { event: 'listening', peerId: own, local },
    `${colors.bold('Tunnel')} from ${formatSocket(local)} to ${peer.toString()}\n  there: postern tunnel listen <port> --allow ${own}`
  )
  await untilAborted(signal)
  server.close()
  await stopWithin(node, err)
  await meeting
  if (!ended.signal.aborted) line(out, json ? JSON.stringify({ event: 'stopped' }) : 'Stopped')
  interrupt.done()
  return code
}

function describe(news: Kept, colors: Colors): string {
  switch (news.event) {
    case 'connected':
      return `${colors.green('✔')} ${colors.bold('connected')} ${news.via === 'direct' ? 'directly' : 'through a relay'} to ${news.address}`
    case 'upgraded':
      return `${colors.green('✔')} ${colors.bold('upgraded')}  to a direct connection: ${news.address}`
    case 'not-direct':
      return `${colors.yellow('!')} stays relayed: ${news.message}`
    case 'lost':
      return `${colors.red('✘')} ${colors.bold('lost')}      the peer is gone; it is dialled again`
    case 'not-connected':
      return `${colors.yellow('!')} the peer is not reached: ${news.message}; again in ${news.retryMs / 1000} s`
  }
}
