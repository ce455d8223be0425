import { printable, systemClock, untilAborted } from '@postern/interface'
import { exitCodes } from '../../shared/exit-codes.js'
import { untilInterrupted } from '../../shared/interrupt.js'
import { listenFailure } from '../../shared/libp2p-stack.js'
import { Failure, line, type Output } from '../../shared/output.js'
import { stopWithin } from '../../shared/stop.js'
import { colorsFor, formatSocket } from '../../shared/terminal.js'
import { makeNode, type TunnelNodeOptions } from './make-node.js'
import { meet } from './meet.js'
import { type Served, serveTunnels } from './serve.js'

/** The options of {@link listen}. */
export interface ListenOptions extends Omit<TunnelNodeOptions, 'reserves' | 'trusted' | 'signal'> {
  readonly target: { readonly host: string; readonly port: number }
  readonly allow: readonly string[]
  readonly maxTotal: number
  readonly maxPerPeer: number
  readonly json: boolean
}

/**
 * Returns the command line for the other home. A port below 1024 needs more privileges there, so it names another one.
 * If no relay is configured, it contains a placeholder for one.
 */
export function connectCommand(peerId: string, port: number, relays: readonly string[]): string {
  const localPort = port < 1024 ? port + 8000 : port
  const through = relays.length === 0 ? ['RELAY'] : relays
  return `postern tunnel connect ${peerId} ${localPort}${through.map((each) => ` --relay ${each}`).join('')}`
}

/** Serves tunnels of allowed peers until it is interrupted. Resolves to the exit code. */
export async function listen(options: ListenOptions, { out, err }: Output): Promise<number> {
  const { json, target, allow, maxTotal, maxPerPeer, relays, witnesses } = options
  const colors = colorsFor(out)
  const interrupt = untilInterrupted(err)
  const { signal } = interrupt
  const tell = (event: object, text: string): void => line(out, json ? JSON.stringify(event) : text)
  const node = await makeNode({ ...options, reserves: true, trusted: new Set(allow), signal })
  const peerId = node.peerId.toString()

  const refusals = new Set<string>()
  const told = (news: Served): void => {
    if (signal.aborted) return
    if (news.event !== 'refused') {
      tell(news, colors.dim(`  ${news.event.padEnd(9)} ${news.peer} ${news.direct ? 'directly' : 'through a relay'}`))
      return
    }
    // Only once for each peer and reason, because a refused peer can ask again and again.
    const known = `${news.peer} ${news.reason}`
    if (refusals.has(known) || refusals.size >= maxRefusals) return
    refusals.add(known)
    const what = news.reason === 'not-allowed' ? `it would get in with --allow ${news.peer}` : String(news.reason)
    tell(news, `${colors.yellow('!')} ${colors.bold('refused')}   ${news.peer}: ${what}`)
  }

  let announced = ''
  const tellAddresses = (): void => {
    const addresses = node.getMultiaddrs().map((each) => printable(each.toString()))
    if (signal.aborted || addresses.join() === announced) return
    announced = addresses.join()
    tell({ event: 'addresses', addresses }, ['Addresses', ...addresses.map((address) => `  ${address}`)].join('\n'))
  }
  node.addEventListener('self:peer:update', tellAddresses)

  try {
    await serveTunnels(node, { target, allow: new Set(allow), maxTotal, maxPerPeer, told, clock: systemClock, signal })
    await node.start()
  } catch (error) {
    await stopWithin(node, err)
    throw new Failure(listenFailure(error))
  }
  tell(
    { event: 'listening', peerId, target: { address: target.host, port: target.port }, allowed: allow },
    `${colors.bold('Tunnel')} to ${formatSocket({ address: target.host, port: target.port })} for ${allow.length} ${allow.length === 1 ? 'peer' : 'peers'}\n` +
      `  there: ${connectCommand(peerId, target.port, relays)}`
  )
  if (relays.length === 0) {
    line(
      err,
      '! no relay is named: start `postern relay` on a public machine and give the address that it prints as --relay here and there,'
    )
    line(
      err,
      '  or have the peer connect to one of the addresses of this machine in the place of its id, without --relay'
    )
  }
  if (allow.length === 0) line(err, '! no peer gets in: name peers with --allow <peer id>')
  const meeting = meet(
    node,
    [...relays, ...witnesses],
    (address, message) => tell({ event: 'not-connected', address, message }, `! ${address}: ${message}`),
    { clock: systemClock, signal }
  )
  await untilAborted(signal)
  await stopWithin(node, err)
  await meeting
  tell({ event: 'stopped' }, 'Stopped')
  interrupt.done()
  return exitCodes.success
}

/** How many refusals are written, and remembered as written: peers with new ids must not fill the output or memory. */
const maxRefusals = 1000
