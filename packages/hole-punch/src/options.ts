import { checkOptions } from '@postern/interface'
import { type Connect, systemConnect } from './sockets.js'

export interface HolePunchOptions {
  /** Local ports that are shown to an observer and dialled from in each round. More help where both routers answer with RST
   * and are very near each other; each costs a connection to the relay.
   * @default 1 */
  readonly ports?: number
  /** How often the two sides try to meet.
   * @default 3, as in the specification */
  readonly rounds?: number
  /** Tries 256 ports against 1024 guesses where exactly one of the two NATs takes another port for each destination. Both
   * sides have to want it. Some routers take so many SYNs for an attack.
   * @default false */
  readonly birthday?: boolean
  /** Peers that are punched for at the same time.
   * @default 8 */
  readonly mostPeers?: number
  /** How long the relayed connection is kept beside a direct one that carries traffic, in ms. `Infinity`: until
   * the peer or the application closes it.
   * @default 5000 */
  readonly graceMs?: number
  /** Makes the sockets, as `net.connect` does.
   * @default net.connect */
  readonly connect?: Connect
}

export type Settings = Required<HolePunchOptions>

/** Throws a TypeError for what cannot be right. */
export function readOptions(options: HolePunchOptions): Settings {
  checkOptions('holePunch()', options, {
    ports: 'any',
    rounds: 'any',
    birthday: 'any',
    mostPeers: 'any',
    graceMs: 'any',
    connect: 'any'
  })
  const { ports = 1, rounds = 3, birthday = false, mostPeers = 8, graceMs = 5000, connect = systemConnect } = options
  checkCount('ports', ports, 4)
  checkCount('rounds', rounds, 10)
  checkCount('mostPeers', mostPeers, 64)
  if (typeof birthday !== 'boolean') throw new TypeError('birthday must be true or false')
  if (typeof graceMs !== 'number' || !(graceMs >= 0)) throw new TypeError('graceMs must be a number of ms, 0 or more')
  if (typeof connect !== 'function') throw new TypeError('connect must be a function that makes a socket')
  return { ports, rounds, birthday, mostPeers, graceMs, connect }
}

function checkCount(name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 1 || value > most)
    throw new TypeError(`${name} must be a whole number from 1 to ${most}`)
}
