import type { Protocol } from '@postern/interface'
import { InvalidArgumentError } from 'commander'

/** A port with its protocol. */
export interface PortArgument {
  readonly port: number
  readonly protocol: Protocol
}

/** Parses `8080`, `8080/tcp` or `4001/udp`. */
export function parsePort(text: string): PortArgument {
  const match = /^(\d{1,5})(?:\/(tcp|udp))?$/i.exec(text)
  const port = Number(match?.[1])
  if (match === null || port < 1 || port > 65_535)
    throw new InvalidArgumentError('give a port as 8080, 8080/tcp or 4001/udp')
  return { port, protocol: match[2]?.toLowerCase() === 'udp' ? 'udp' : 'tcp' }
}

/** Parses a port number. */
export function parsePortNumber(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) throw new InvalidArgumentError('give a port in 1…65535')
  return port
}

/** Parses the number of a port to listen on; 0 is a free one. */
export const parseListenPort = (text: string): number => (text === '0' ? 0 : parsePortNumber(text))

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Parses `90s`, `30m`, `2h` or `1d` to milliseconds. Rejects a number without a unit, because it is ambiguous. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,7})([smhd])$/.exec(text)
  const ms = Number(match?.[1]) * (units[match?.[2] ?? ''] ?? 0)
  if (match === null || ms < 1000 || ms > 86_400_000) {
    throw new InvalidArgumentError('give a time from 1s to 1d, such as 90s, 30m or 2h')
  }
  return ms
}

/** Parses a positive integer. */
export function parseCount(text: string): number {
  const count = Number(text)
  if (!/^\d{1,7}$/.test(text) || count < 1) throw new InvalidArgumentError('give a number from 1 on')
  return count
}

const sizes: Readonly<Record<string, number>> = { '': 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 }

/** Parses `131072`, `128KiB`, `1MiB` or `2GiB` to bytes. */
export function parseSize(text: string): number {
  const match = /^(\d{1,12})(|kib|mib|gib)$/i.exec(text)
  const bytes = Number(match?.[1]) * (sizes[match?.[2]?.toLowerCase() ?? ''] ?? 0)
  if (match === null || bytes < 1024 || bytes > 1024 ** 4) {
    throw new InvalidArgumentError('give a size from 1KiB on, such as 131072, 128KiB or 1MiB')
  }
  return bytes
}
