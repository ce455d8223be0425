import { familyOf } from '@postern/interface'
import { InvalidArgumentError } from 'commander'

/** Where a server listens. */
export interface ListenPlace {
  /** A local IP address. */
  readonly host: string
  /** The port, from 1 to 65535. */
  readonly port: number
}

/** Parses `0.0.0.0:4003` or `[::]:4003`. */
export function parseListen(text: string): ListenPlace {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  const isBracketed = match?.[1] !== undefined
  if (match === null || familyOf(host) !== (isBracketed ? 6 : 4) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('give an IP address and a port, as 0.0.0.0:4003 or [::]:4003')
  return { host, port }
}

/** Formats a place as it is parsed. */
export const formatListen = ({ host, port }: ListenPlace): string =>
  familyOf(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
