import type { Network, ServerHost, Strategy } from '@postern/interface'
import { line, type Output } from '../../shared/output.js'
import type { PortArgument } from '../../shared/parse.js'
import { colorsFor } from '../../shared/terminal.js'
import { showsConnections } from './connection-table.js'
import { isUnused } from './unused-port.js'

/** Leaves the witnesses out, with a remark, if this system does not show what arrives at the port of another program. */
export function withoutBlindWitnesses(
  strategies: readonly Strategy<ServerHost>[],
  { port, protocol }: PortArgument,
  host: ServerHost,
  err: Output['err']
): readonly Strategy<ServerHost>[] {
  if (showsConnections(protocol)) return strategies
  const others = strategies.filter((strategy) => strategy(host).kind !== 'witness')
  if (others.length < strategies.length) {
    const what = protocol === 'udp' ? 'datagrams' : 'connections'
    line(
      err,
      `${colorsFor(err).yellow('!')} no witness is asked: another program has ${protocol} port ${port}, and this system does not show its ${what}, so nothing would be proven. Use expose() in that program${protocol === 'tcp' ? ', or free the port for a moment: postern doctor --port ' + port : ''}`
    )
  }
  return others
}

/** Warns if no program listens on the port. It is mapped anyway: the server may start later. Resolves to whether it warned. */
export async function warnIfUnused(
  { port, protocol }: PortArgument,
  { addresses }: Network,
  err: Output['err']
): Promise<boolean> {
  if (!(await isUnused(protocol, port, addresses))) return false
  line(err, `${colorsFor(err).yellow('!')} no program listens on ${protocol} port ${port} of this host yet`)
  return true
}
