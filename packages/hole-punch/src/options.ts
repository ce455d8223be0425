import { checkOptions } from '@postern/interface'
import { type Connect, systemConnect } from './dial/tcp-dial.js'

/** Options of `holePunch()`. */
export interface HolePunchOptions {
  /**
   * How many local ports are used in each round. More ports help if both routers answer with RST and are very near each
   * other; each port costs a connection to an observer, such as the relay.
   * @default 1
   */
  readonly ports?: number
  /** How many rounds the two sides try.
   * @default 3, as in the specification */
  readonly rounds?: number
  /** Whether to try 256 ports against 1024 guesses if exactly one of the two NATs uses a different port for each
   * destination. Both sides must enable it. Some routers treat that many SYNs as an attack.
   * @default false */
  readonly birthday?: boolean
  /** The maximum number of concurrent hole punches.
   * @default 8 */
  readonly maxPeers?: number
  /** How long the relayed connection is kept beside a direct connection that carries traffic, in milliseconds.
   * `Infinity` keeps it until the peer or the application closes it.
   * @default 5000 */
  readonly graceMs?: number
  /** Creates the TCP sockets, as `net.connect` does.
   * @default net.connect */
  readonly connect?: Connect
}

export type Settings = Required<HolePunchOptions>

/** Reads the options once. Throws a TypeError for an invalid option. */
export function readOptions(options: HolePunchOptions): Settings {
  checkOptions('holePunch()', options, {
    ports: 'any',
    rounds: 'any',
    birthday: 'any',
    maxPeers: 'any',
    graceMs: 'any',
    connect: 'any'
  })
  const { ports = 1, rounds = 3, birthday = false, maxPeers = 8, graceMs = 5000, connect = systemConnect } = options
  checkCount('ports', ports, 4)
  checkCount('rounds', rounds, 10)
  checkCount('maxPeers', maxPeers, 64)
  if (typeof birthday !== 'boolean') throw new TypeError('birthday must be true or false')
  if (typeof graceMs !== 'number' || !(graceMs >= 0))
    throw new TypeError('graceMs must be a number of milliseconds, 0 or more')
  if (typeof connect !== 'function') throw new TypeError('connect must be a function that creates a socket')
  return { ports, rounds, birthday, maxPeers, graceMs, connect }
}

function checkCount(name: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new TypeError(`${name} must be a whole number from 1 to ${max}`)
}
